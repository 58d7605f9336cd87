"""Pin an environment before its run is launched: a program that the client starts on the user's machine.

    python -m remote.environments.pin     stdin: {source, backend, home, python}

A requirement becomes the newest version that fits the training stack, if that depends on verifiers; for
Modal, a folder becomes a wheel. Answers {source}, or {error}; the worker installs the source.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from remote.contract.environment_package import required_python
from remote.contract.errors import EnvironmentMissing, Hint, VfmError
from remote.contract.json_text import from_json
from remote.contract.model_choice import OURS, is_ours
from remote.contract.old_environment import check_age
from remote.contract.platforms import MODAL_PYTHON, PYTHONS, THIS_PYTHON
from remote.environments.siblings import siblings
from remote.image import pins
from remote.output import redact
from remote.output.answers import answer, answer_failure
from remote.processes import uv

VERIFIERS = next(pin for pin in pins.STACK if pin.startswith("verifiers=="))
PATIENCE = 600.0
"""Seconds that uv may take to look up, fetch or build an environment: an index may trickle."""
_UNREACHED = re.compile(
    r"dns error|tcp connect error|error sending request|[Cc]onnection (refused|reset)|timed out|"
    r"Network is unreachable|Failed to fetch"
)


def pin(source: str, backend: str, home: Path, python: str | None = None) -> dict[str, str]:
    """The pinned source of a run's environment. `python`: `image.python`.

    Raises `EnvironmentMissing`, and `ImageError` where uv is missing.
    """
    if not Path(source).is_absolute():
        _check_foreign(source)
        pinned = _pinned(source, source, backend, python)
        _check_age(pinned["source"])
        return pinned
    if backend == "local":
        return {"source": source}  # the worker installs it from there
    if source.endswith(".whl"):
        wheel = source
    else:
        _check_alone(Path(source))
        wheel = str(_built(Path(source), home, python or MODAL_PYTHON))
    _pinned(source, wheel, backend, python)
    return {"source": wheel}


def _check_foreign(requirement: str) -> None:
    """Refuse names of this project, which anybody could claim in an index."""
    if is_ours(_bare(requirement)):
        raise EnvironmentMissing(
            f"{requirement} is an environment of this project, and is never taken from the package index",
            hint=Hint("name it without a version: environments/ holds it"),
        )


def _check_age(requirement: str) -> None:
    """Refuse a package of the index that is too old, by its wheel; one without a wheel is not checked."""
    with tempfile.TemporaryDirectory(prefix="vfm-environment-") as scratch:
        place = ["--target", scratch, "--no-deps", "--only-binary", ":all:"]
        code, _ = _uv(["pip", "install", *place, requirement])
        if code == 0:
            check_age(Path(scratch), requirement)


def _check_alone(folder: Path) -> None:
    """Refuse a package that needs packages beside it, since a run on Modal is given one wheel."""
    if needed := siblings(folder):
        names = ", ".join(path.name for path in needed)
        raise EnvironmentMissing(
            f"the environment in {folder} needs {names}, which lies beside it: "
            "a run elsewhere is given one wheel",
            hint=Hint(f"move {folder.name} and {names} into environments/, which is uploaded whole"),
        )


def _pinned(name: str, requirement: str, backend: str, python: str | None) -> dict[str, str]:
    """The newest version that fits the training stack. Refuses a package that does not need verifiers."""
    lines = _resolved(name, requirement, backend, python)
    needed = {line.split("==")[0] for line in lines if "==" in line}
    if "verifiers" not in needed:
        raise EnvironmentMissing(
            f"the package {_pin(requirement, lines)} is no environment: it does not need verifiers",
            hint=Hint(f"an environment depends on {VERIFIERS.replace('==', '>=')} in its pyproject.toml"),
        )
    return {"source": _pin(requirement, lines)}


def _pin(requirement: str, lines: list[str]) -> str:
    """The line of the package itself: `some-env[extra]==1.2`."""
    name = _bare(requirement)
    own = (line.partition(" #")[0].strip() for line in lines)
    return next((pin for pin in own if re.split(r"[\[=]", pin)[0] == name), requirement)


def _bare(requirement: str) -> str:
    """The canonical name of a requirement's package."""
    return re.sub(r"[-_.]+", "-", re.split(r"[\[=~!<> ]", requirement)[0]).lower()


def _resolved(name: str, requirement: str, backend: str, python: str | None) -> list[str]:
    with tempfile.TemporaryDirectory(prefix="vfm-environment-") as scratch:
        requirements, constraints = Path(scratch, "wanted.in"), Path(scratch, "limits.txt")
        requirements.write_text(f"{requirement}\n")
        constraints.write_text("\n".join((f"torch=={pins.TORCH}", *pins.STACK)) + "\n")
        excluded = Path(scratch, "ours.txt")
        excluded.write_text("\n".join(OURS) + "\n")
        arguments = ["pip", "compile", "--no-header", "--annotation-style", "line", "-c", str(constraints)]
        arguments += ["--excludes", str(excluded)]
        if backend == "modal":
            arguments += ["--python-platform", "x86_64-manylinux_2_28"]
            python = python or MODAL_PYTHON
        if python:
            arguments += ["--python-version", python]
        code, lines = _uv([*arguments, str(requirements)])
        if code and _UNREACHED.search("\n".join(lines)):  # uv's cache may be enough
            code, offline_lines = _uv([*arguments, "--offline", str(requirements)])
            lines = lines if code else offline_lines
    if code:
        raise _unfit(name, lines)
    return lines


def _unfit(name: str, lines: list[str]) -> EnvironmentMissing:
    text, cause = " ".join(lines), uv.cause(lines)
    bare = _bare(name)
    if _UNREACHED.search(text):
        message = f"the package index could not be reached, so the environment {name!r} cannot be looked up"
        return EnvironmentMissing(message, cause=cause, hint=uv.hint(text))
    if re.search(rf"Because (there are )?(no versions of )?{re.escape(bare)}\S* (was )?not found in", text):
        return EnvironmentMissing(f"the package index has no package {name!r}", cause=cause)
    if f"there is no version of {bare}" in text:
        return EnvironmentMissing(
            f"the package index has no {name}", cause=cause, hint=Hint("name another version")
        )
    if python := re.search(r"depends? on (Python\S+)", text):
        return EnvironmentMissing(
            f"the environment {name} wants {python[1]}, and the image has another",
            cause=cause,
            hint=Hint(f"set image.python, to one of {', '.join(PYTHONS)}", "image.python"),
        )
    message = f"the environment {name} does not fit the training stack ({VERIFIERS})"
    advice = (
        "name a version that fits (NAME==VERSION), or mend its dependencies; the stack: remote/image/pins.py"
    )
    return EnvironmentMissing(message, cause=cause, hint=Hint(advice))


def _built(folder: Path, home: Path, python: str) -> Path:
    """Build the wheel of a package's folder, which can be uploaded."""
    place = home / "environments" / hashlib.sha256(str(folder).encode()).hexdigest()[:10]
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        # uv refuses to build for another Python than the package requires.
        own = python == THIS_PYTHON
        with_python = sys.executable if own or not required_python(folder) else python
        code, lines = _uv(["build", "--wheel", "--out-dir", scratch, str(folder)], with_python)
        wheels = list(Path(scratch).glob("*.whl"))
        if code or len(wheels) != 1:
            raise EnvironmentMissing(
                f"the environment in {folder} cannot be built as a wheel, which a run elsewhere needs",
                cause=uv.cause(lines),
                hint=Hint("mend its pyproject.toml, or build the wheel yourself and name that"),
            )
        return wheels[0].replace(place / wheels[0].name)


def _uv(arguments: list[str], python: str = sys.executable) -> tuple[int, list[str]]:
    command = [*uv.command(), *arguments, *uv.find_links(os.environ)]
    try:
        done = subprocess.run(
            [*command, "--python", python, "--color", "never", "--no-progress"],
            # The user is waiting, so there is only one retry.
            env={"UV_HTTP_RETRIES": "1", **uv.environment(os.environ)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=PATIENCE,
        )
    except subprocess.TimeoutExpired as error:
        subcommand = " ".join(arguments[: 1 + (arguments[0] == "pip")])
        raise EnvironmentMissing(
            f"the environment cannot be looked up: `uv {subcommand}` had not ended after {PATIENCE:g} s",
            cause=redact.line((error.output or b"").decode(errors="replace").strip()),
            hint=Hint("if the package index is slow: name another in UV_DEFAULT_INDEX, or try again later"),
        ) from error
    return done.returncode, [redact.line(line) for line in done.stdout.splitlines()]


def main() -> int:
    """See the module's docstring."""
    question: dict[str, Any] = from_json(sys.stdin.read())
    home, python = Path(question["home"]), question.get("python")
    try:
        answer(dict(pin(question["source"], question["backend"], home, python)))
    except OSError as error:
        return answer_failure(EnvironmentMissing(f"the environment cannot be looked up: {error}"))
    except VfmError as error:
        return answer_failure(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Finds an environment by any of its names, and installs it where only this run sees it.

Owns names (`wordle` → `vf_wordle`), the overlay folder that packages of `environments/` and what they
lack are installed into, and naming the user's line when an environment's code raises. Building the
verifiers objects and playing episodes are `rollouts`'; what uv says and is told is `uv_process`'.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.machinery
import importlib.util
import os
import subprocess
import sys
import tempfile
import tomllib
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version
from pydantic import ValidationError

from remote import uv_process
from remote.contract.errors import EnvironmentMissing, Hint, ImageError
from remote.contract.models import module_names

Say = Callable[[str], None]

_KEYS = ".vfm-installed"  # folder of the overlay that notes what each package was installed from
_NOT_SOURCE = {"__pycache__", ".git", ".venv", "dist", "build", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


def available(folder: Path) -> list[str]:
    """The package folders of `environments/`, sorted; empty where there is no such folder."""
    return sorted(path.parent.name for path in folder.glob("*/pyproject.toml"))


def resolve(name: str, folder: Path) -> str:
    """The module that a name stands for: a package of the folder, or else an installed module.

    Case, hyphens and a missing `vf-` do not matter. Raises `EnvironmentMissing` with the nearest name.
    """
    names, there = module_names(name), available(folder)
    for known in (there.__contains__, _importable):
        for module in names:
            if known(module):
                return module
    raise _unknown(name, names[0], folder, there)


def install(module: str, folder: Path, target: Path, say: Say) -> None:
    """Install a package of the folder, and what it needs and is not installed, into the overlay `target`.

    An unchanged package stays as it is; a module that is no package of the folder is taken as
    installed. `say` gets each line of output. Raises `EnvironmentMissing` with the installer's words.
    """
    source = folder / module
    if not (source / "pyproject.toml").is_file():
        say(f"{module} is an installed module")
        return
    note, key = target / _KEYS / module, _key(source)
    if note.is_file() and note.read_text() == key:
        say(f"{module} is unchanged since it was installed")
        return
    say(f"installing {module} from {source}")
    target.mkdir(parents=True, exist_ok=True)
    # uv keeps builds by the time stamp of pyproject.toml: a changed module alone must be built again too.
    name = _distribution(source)
    into = ["--no-deps", "--target", str(target), "--link-mode", "copy"]
    _uv(["pip", "install", *into, "--reinstall-package", name, str(source)], module, say)
    _install_missing(module, name, target, into, say)
    # A folder that was looked into a moment ago is remembered as it was.
    importlib.invalidate_caches()
    if importlib.machinery.PathFinder.find_spec(module, [str(target)]) is None:
        raise EnvironmentMissing(
            f"the package in {source} installs no module {module}",
            hint=Hint(f"name its module {module}, as its folder is called"),
        )
    note.parent.mkdir(exist_ok=True)
    note.write_text(key)


def activate(target: Path) -> None:
    """Let this process import from the overlay, before everything else."""
    path = str(target)
    if path in sys.path:
        sys.path.remove(path)
    sys.path.insert(0, path)
    importlib.invalidate_caches()


@contextmanager
def user_code(module: str, doing: str = "be loaded") -> Iterator[None]:
    """Around calls into an environment: what they raise becomes `EnvironmentMissing`.

    `cause` is `file:line: Error: text` of the innermost line of the environment's own code. Options that
    its config refuses are named as keys of `training.environment_args`.
    """
    try:
        yield
    except EnvironmentMissing:
        raise
    except (Exception, SystemExit) as error:
        refused = _refused_options(error)
        raise EnvironmentMissing(
            f"the environment {module} cannot {doing}: {'; '.join(refused) or _text(error)}",
            cause=where(error, module),
            hint=Hint("mend training.environment_args", key=refused[0].split(":")[0])
            if refused
            else Hint(f"mend the environment's code: {where(error, module)}"),
        ) from error


def where(error: BaseException, module: str) -> str:
    """`file:line: Error: text`, the line being the environment's own where one was running."""
    home = _home(module)
    last = error
    chain: BaseException | None = error
    while chain is not None:
        last = chain
        if isinstance(chain, SyntaxError) and chain.filename:
            return f"{chain.filename}:{chain.lineno}: {type(chain).__name__}: {chain.msg}"
        frames = traceback.extract_tb(chain.__traceback__)
        own = [f for f in frames if home is not None and Path(f.filename).is_relative_to(home)]
        if own:
            return f"{own[-1].filename}:{own[-1].lineno}: {_text(chain)}"
        chain = chain.__cause__ or chain.__context__
    frames = traceback.extract_tb(last.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{place}{_text(last)}"


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _home(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)


def _refused_options(error: BaseException) -> list[str]:
    if not isinstance(error, ValidationError):
        return []
    problems = error.errors(include_url=False, include_context=False)
    if any(p["loc"][:1] != ("taskset",) for p in problems):
        return []  # not the options: the environment's own data
    keys = [".".join(("training.environment_args", *map(str, p["loc"][1:]))) for p in problems]
    return [f"{key}: {p['msg']} (got {p['input']!r})" for key, p in zip(keys, problems, strict=True)]


def _importable(module: str) -> bool:
    # The standard library holds no environments, but many a name that one may be mistyped as.
    if not module.isidentifier() or module in sys.stdlib_module_names:
        return False
    return importlib.util.find_spec(module) is not None


def _unknown(name: str, plain: str, folder: Path, there: list[str]) -> EnvironmentMissing:
    spoken = [module.replace("_", "-") for module in there]
    if not there:
        return EnvironmentMissing(
            f"there is no environment {name!r}: {folder} holds none",
            hint=Hint(f"put a package into {folder}", key="training.environment", old=name),
        )
    known = {form: m for m, s in zip(there, spoken, strict=True) for form in (m, m.removeprefix("vf_"))}
    near = difflib.get_close_matches(plain, known, n=1, cutoff=0.5)
    nearest = known[near[0]].replace("_", "-") if near else None
    guess = f"; did you mean {nearest!r}?" if nearest else ""
    return EnvironmentMissing(
        f"there is no environment {name!r} in {folder}{guess}",
        hint=Hint(f"there are: {', '.join(spoken)}", key="training.environment", old=name, new=nearest),
    )


def _key(source: Path) -> str:
    """A digest of the package's files and of the Python that it is installed for."""
    digest = hashlib.sha256(f"{sys.version} {sys.prefix}".encode())
    for path in sorted(source.rglob("*")):
        parts = path.relative_to(source).parts
        if path.is_file() and not _NOT_SOURCE.intersection(parts) and path.suffix != ".pyc":
            digest.update(f"\0{'/'.join(parts)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def _distribution(source: Path) -> str:
    """The name that the package is published under, by its pyproject.toml."""
    file = source / "pyproject.toml"
    try:
        return str(tomllib.loads(file.read_text(encoding="utf-8"))["project"]["name"])
    except (ValueError, KeyError, TypeError) as error:
        reason = "it has no project.name" if isinstance(error, KeyError | TypeError) else str(error)
        raise EnvironmentMissing(
            f"{file} cannot be used: {reason}", cause=_text(error), hint=Hint(f"mend {file}")
        ) from error


def _install_missing(module: str, name: str, target: Path, into: list[str], say: Say) -> None:
    """Install what the package needs and this Python has not, at versions that fit what it has."""
    have = _versions([path for path in sys.path if path != str(target)])
    missing = _missing(module, name, target, have)
    if not missing:
        return
    say(f"{module} also needs {', '.join(missing)}")
    with tempfile.TemporaryDirectory(prefix="vfm-environment-") as scratch:
        wanted, limits = Path(scratch, "wanted.txt"), Path(scratch, "constraints.txt")
        wanted.write_text("\n".join(missing) + "\n")
        limits.write_text("".join(f"{n}=={v.public}\n" for n, v in sorted(have.items())))
        plain = ["--no-header", "--no-annotate", "--constraints", str(limits)]
        found = _uv(["pip", "compile", *plain, str(wanted)], module, say)
    pins = [pin for line in found if (pin := _pin(line)) is not None]
    absent = [str(pin) for pin in pins if canonicalize_name(pin.name) not in have]
    _uv(["pip", "install", *into, *absent], module, say)


def _missing(module: str, name: str, target: Path, have: dict[str, Version]) -> list[str]:
    in_overlay = _versions([str(target)])
    missing = []
    for text in _requires(name, target):
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        version = have.get(canonicalize_name(need.name))
        if version is not None and not need.specifier.contains(version, prereleases=True):
            raise EnvironmentMissing(
                f"the environment {module} needs {need}, but the training stack has {need.name} {version}",
                hint=Hint(f"widen the dependency on {need.name} in the environment's pyproject.toml"),
            )
        version = version or in_overlay.get(canonicalize_name(need.name))
        if version is None or not need.specifier.contains(version, prereleases=True):
            need.marker = None
            missing.append(str(need))
    return missing


def _requires(name: str, target: Path) -> list[str]:
    found = next(iter(metadata.Distribution.discover(name=name, path=[str(target)])))
    return found.requires or []


def _versions(path: list[str]) -> dict[str, Version]:
    """Installed distributions by canonical name; the first on the path counts, as it does for imports."""
    found: dict[str, Version] = {}
    for distribution in metadata.distributions(path=path):
        try:
            found.setdefault(canonicalize_name(distribution.metadata["Name"]), Version(distribution.version))
        except (InvalidVersion, TypeError):
            continue  # half-removed or hand-made: nothing can be pinned to it
    return found


def _pin(line: str) -> Requirement | None:
    line = line.strip()
    return Requirement(line) if "==" in line or " @ " in line else None


def _uv(arguments: list[str], module: str, say: Say) -> list[str]:
    """Run uv and return its lines; from what is cached if that suffices, else over the network."""
    command = [*_uv_command(), *arguments, *uv_process.find_links(os.environ)]
    command += ["--python", sys.executable, "--color", "never", "--no-progress"]
    code, lines = _run([*command, "--offline"], None)
    if code == 0:
        for line in lines:
            say(line)
        return lines
    code, lines = _run(command, say)
    if code != 0:
        raise EnvironmentMissing(
            f"the environment {module} could not be installed",
            cause=uv_process.cause(lines),
            hint=Hint("mend its pyproject.toml, or the connection to the package index, and launch again"),
        )
    return lines


def _uv_command() -> list[str]:
    try:
        return uv_process.command()
    except ImageError as error:
        raise EnvironmentMissing(
            "environments are installed with uv, and the image has none",
            cause=error.message,
            hint=error.hint,
        ) from error


def _run(command: list[str], say: Say | None) -> tuple[int, list[str]]:
    lines: list[str] = []
    with subprocess.Popen(
        command,
        env=uv_process.environment(os.environ),  # an environment's build has no use for the run's secrets
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(uv_process.without_passwords(line.rstrip()))
                if say is not None:
                    say(lines[-1])
        except BaseException:
            process.kill()  # whoever stops listening must not leave an installer behind
            raise
    return process.returncode, lines

"""Load and check an environment in the local image, by `remote/evaluation/environment_check.py`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import IO, Any

from remote.contract import layout
from remote.contract.errors import Hint, ImageError, VfmError, error_from
from remote.contract.json_text import from_json
from remote.contract.record import LaunchRequest
from remote.contract.redaction import Redactor
from tui.backends.local.volumes import LocalVolumes
from tui.backends.programs import remote_command, remote_environment
from tui.settings import Settings, from_shell, surroundings

_OVERLAY = "/environments/"  # in the path of what is installed in the cache
_LAST = 12  # lines of an unexpected error


def report(
    request: LaunchRequest, settings: Settings, *, check: bool, say: Callable[[str], None]
) -> dict[str, Any]:
    """Install and load the environment as a run would, into the experiment's cache, and report on it.

    Raises `ImageError` without a local image, and what loading the environment raises.
    """
    cache = LocalVolumes(settings.home).root / layout.cache_volume(settings.experimenter, settings.experiment)
    directories = {"project_dir": str(settings.project_dir), "cache_dir": str(cache)}
    request = request.model_copy(update=directories)
    secrets = {**settings.secrets, **from_shell(request.spec.training.environment_secrets)}
    question = {"request": request.model_dump(mode="json"), "check": check, "env": secrets}
    python = image_python(settings, version=request.spec.image.python)
    read, write = os.pipe()
    checker = remote_command("remote.evaluation.environment_check", str(read), python=python)
    # The guardian ends what the environment leaves behind; its stdin says that this process lives.
    command = remote_command("remote.processes.guardian", "--grace", "2", "--", *checker)
    env = remote_environment(settings.home, settings.project_dir)
    with tempfile.TemporaryFile("w+", errors="replace") as aside, os.fdopen(write, "w") as asking:
        child = subprocess.Popen(
            command,
            cwd=settings.project_dir,
            env=env,
            pass_fds=[read],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=aside,
            text=True,
            errors="replace",
        )
        os.close(read)
        try:
            with suppress(BrokenPipeError), asking:  # it died at once: what it printed says why
                json.dump(question, asking)
            return _answer(child, say, aside, Redactor.of(secrets))
        finally:
            if child.poll() is None:  # it has answered, or was interrupted
                child.terminate()
            child.wait()


def image_python(
    settings: Settings,
    missing: str = "environments are loaded in the local image, which is not built yet",
    version: str | None = None,
) -> str:
    """The path of the local image's Python. Raises `ImageError`, with the message `missing`, where not built.

    version: a minor version, as in `image.python`.
    """
    if given := surroundings().get("VFM_IMAGE_PYTHON"):
        return given
    also = ["--python", version] if version else []
    command = remote_command("remote.image.local", "--home", str(settings.home), "--where", *also)
    env = remote_environment(settings.home, settings.project_dir)
    done = subprocess.run(
        command, cwd=settings.project_dir, env=env, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise ImageError(
            missing,
            cause=done.stderr.strip(),
            hint=Hint(f"build it: {' '.join(['vfm image build local', *also])}"),
        )
    return done.stdout.strip()


def _answer(
    child: subprocess.Popen[str], say: Callable[[str], None], aside: IO[str], redactor: Redactor
) -> dict[str, Any]:
    assert child.stdout is not None
    last = ""
    for line in child.stdout:
        message = from_json(line)
        if "say" in message:
            last = message["say"]
            say(last)
        elif "error" in message:
            raise error_from(message["error"])
        else:
            return dict(message["report"])
    code = child.wait()
    aside.seek(0)
    lines = redactor.text(aside.read()).strip().splitlines()
    crash = next((at for at, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
    frames = [] if crash is None else [line.strip() for line in lines[crash:] if line.startswith('  File "')]
    place = next((frame for frame in frames if _OVERLAY in frame), "")
    number = code - 128
    how = f"by {signal.Signals(number).name}" if number in list(signal.Signals) else f"with exit code {code}"
    raise VfmError(
        f"the check of the environment was ended from within, {how}"
        + (f": {place}" if place else f", after: {last}" if last else ""),
        boundary="environment",
        cause="\n".join(lines[crash : crash + _LAST] if crash is not None else lines[-_LAST:]),
        hint=Hint("look for what exits or aborts in the environment's code and its libraries"),
    )

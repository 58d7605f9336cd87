"""Start modules of `remote/`, such as the supervisor, and read their answer.

They read one JSON document from stdin, so that secrets reach no command line and no file, and answer in one
line.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from remote.contract.errors import BackendError, Hint, error_from
from remote.contract.json_text import from_json
from tui.settings import PACKAGES, environment

TIMEOUT = 120.0
"""Seconds that `Program.ask` waits; ending a run takes half a minute at most."""


def remote_command(module: str, *arguments: str, python: str = sys.executable) -> list[str]:
    """The command of a module of `remote/`. -P: folders of the project hide no package."""
    return [python, "-P", "-m", module, *arguments]


def remote_environment(
    home: Path, project_dir: Path, also: Mapping[str, str] | None = None, *, modal: bool = False
) -> dict[str, str]:
    """`settings.environment` with a PYTHONPATH that leads to our `remote`."""
    paths = os.pathsep.join(dict.fromkeys(map(str, (_remote_parent(home), project_dir))))
    return environment({"PYTHONPATH": paths, **(also or {})}, modal=modal)


def _remote_parent(home: Path) -> Path:
    """A folder that has `remote/` but no installed package, so that an image may import from it.

    That is a checkout. For a client installed as a wheel, it is a folder with a link to `remote/`.
    """
    if not any(PACKAGES.glob("*.dist-info")):
        return PACKAGES
    link = home / "remote" / hashlib.sha256(str(PACKAGES).encode()).hexdigest()[:12] / "remote"
    with suppress(FileExistsError):
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(PACKAGES / "remote", target_is_directory=True)
    return link.parent


class Program:
    """A module of `remote/` as a process. variables: added to its environment."""

    def __init__(
        self,
        module: str,
        home: Path,
        project_dir: Path,
        *,
        python: str = sys.executable,
        variables: Mapping[str, str] | None = None,
        modal: bool = False,
    ) -> None:
        self.module, self.python = module, python
        self._home, self._project_dir = home, project_dir
        self._variables, self._modal = variables, modal
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def name(self) -> str:
        """Its name in messages: `supervisor`, `launcher`."""
        return self.module.rpartition(".")[2]

    def start(self, document: Mapping[str, Any], *arguments: str) -> dict[str, Any]:
        """Start it in a session of its own, send the document, and wait for its answer, not for its end.

        Raises the `error` in its answer, or `BackendError` where it does not answer.
        """
        self._children = [child for child in self._children if child.poll() is None]  # reaps the dead
        child = self._spawn(arguments)
        self._children.append(child)
        assert child.stdin is not None
        assert child.stdout is not None
        try:
            with child.stdin:
                child.stdin.write(json.dumps(document).encode())
        except BrokenPipeError:
            pass  # it ended at once: its output says why
        with child.stdout:
            answer = self._answer(child.stdout.read().decode(errors="replace"))
        if "error" in answer:
            raise error_from(answer["error"])
        return answer

    def ask(self, *arguments: str) -> None:
        """Run it with arguments and wait for its end. Raises `BackendError`."""
        command = remote_command(self.module, *arguments, python=self.python)
        try:
            done = subprocess.run(
                command,
                cwd=self._project_dir,
                env=self._environment(),
                capture_output=True,
                text=True,
                timeout=TIMEOUT,
            )
        except subprocess.TimeoutExpired as error:
            raise BackendError(
                f"the {self.name} ({arguments[0].strip('-')}) did not end within {TIMEOUT:g} s",
                cause=str(error),
                hint=Hint("check the disk of VFM_HOME, then try again"),
            ) from error
        if done.returncode:
            message = _last_line(done.stderr) or f"the {self.name} failed"
            raise BackendError(message, cause=done.stderr)

    def _environment(self) -> dict[str, str]:
        return remote_environment(self._home, self._project_dir, self._variables, modal=self._modal)

    def _spawn(self, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                remote_command(self.module, *arguments, python=self.python),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._project_dir,
                env=self._environment(),
                start_new_session=True,
            )
        except OSError as error:
            raise BackendError(
                f"cannot start {self.python} in {self._project_dir}: {error.strerror}", cause=str(error)
            ) from error

    def _answer(self, output: str) -> dict[str, Any]:
        """Parse the answer. Raises `BackendError`, whose cause is the output."""
        try:
            answer = from_json(_last_line(output))
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            last = _last_line(output) or "no output"
            raise BackendError(f"the run's {self.name} did not start: {last}", cause=output)
        return answer


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()

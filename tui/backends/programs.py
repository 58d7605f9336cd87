"""Start `python -m remote.supervisor` and `python -m remote.modal_app.launcher`, and read their answer.

Owns the way in (one JSON document on stdin, so that secrets reach no command line and no file) and the one
line with which they answer. What a run makes of it is the backend's.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from remote.contract.errors import BackendError, Hint, error_from
from remote.contract.json_text import from_json
from tui.settings import environment

PATIENCE = 120.0
"""Seconds that a program may take to do what it is asked; ending a run takes half a minute at most."""


class Program:
    """A module of `remote/` as a process. `given` is what it inherits, where that is not the usual."""

    def __init__(
        self,
        module: str,
        project_dir: Path,
        *,
        python: str = sys.executable,
        given: Mapping[str, str] | None = None,
    ) -> None:
        self.module, self.python, self._cwd = module, python, project_dir
        self._given = environment({}) if given is None else given
        self._children: list[subprocess.Popen[bytes]] = []

    @property
    def name(self) -> str:
        """What people know it as: `supervisor`, `launcher`."""
        return self.module.rpartition(".")[2]

    def start(self, document: Mapping[str, Any], *arguments: str) -> dict[str, Any]:
        """Start it in a session of its own, hand it the document, and wait for its answer, not for its end.

        Raises what it answers with as an `error`, or `BackendError` where it does not answer.
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
            pass  # It died at once: what it printed says why.
        with child.stdout:
            answer = self._answer(child.stdout.read().decode(errors="replace"))
        if "error" in answer:
            raise error_from(answer["error"])
        return answer

    def ask(self, *arguments: str) -> None:
        """Have it do something to a run, and wait until it is done. Raises `BackendError`."""
        command = [self.python, "-m", self.module, *arguments]
        try:
            done = subprocess.run(
                command, cwd=self._cwd, env=self._given, capture_output=True, text=True, timeout=PATIENCE
            )
        except subprocess.TimeoutExpired as error:
            raise BackendError(
                f"the {self.name}, asked to {arguments[0].strip('-')}, had not ended after {PATIENCE:g} s",
                cause=str(error),
                hint=Hint("does the disk that VFM_HOME lies on answer? Then start it again"),
            ) from error
        if done.returncode:
            said = _last_line(done.stderr) or f"the {self.name}'s helper failed"
            raise BackendError(said, cause=done.stderr)

    def _spawn(self, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        try:
            return subprocess.Popen(
                [self.python, "-m", self.module, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self._cwd,
                env=self._given,
                start_new_session=True,
            )
        except OSError as error:
            raise BackendError(
                f"cannot start {self.python} in {self._cwd}: {error.strerror}", cause=str(error)
            ) from error

    def _answer(self, said: str) -> dict[str, Any]:
        """Its answer; whatever else it printed is evidence of why there is none."""
        try:
            answer = from_json(_last_line(said))
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            last = _last_line(said) or "it said nothing"
            raise BackendError(f"the run's {self.name} did not start: {last}", cause=said)
        return answer


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2].strip()

"""One attempt at a run in a container on Modal, called by the function in `app.py`.

Starts the same supervisor that runs on a user's machine, copies its stream to the container's output, and
commits the outputs volume. Does not import Modal's client: the function to commit, and the exception that
means that the run was cancelled, are arguments.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from stat import S_ISREG
from typing import Any

from remote.contract import layout
from remote.contract.errors import BackendError, error_from
from remote.contract.exit_codes import INTERRUPTED
from remote.contract.json_text import from_json
from remote.contract.record import LaunchRequest, RunRecord
from remote.image import pins
from remote.modal_app.log_mirror import Mirror
from remote.output.emitter import Emitter
from remote.output.run_dir import VOLUME, RunDir, sync
from remote.processes import lifecycle

COMMIT_EVERY = 60.0
"""Seconds between two commits of a run that goes on without a checkpoint."""
POLL = 0.5
LAST_COMMIT = 6.0
"""Seconds that a commit in progress, and then the last one, may take where the machine is taken away."""


@dataclass(frozen=True)
class Place:
    """The container: its directories, and its ids on Modal."""

    outputs: Path
    cache: Path
    project: Path
    """The folder that holds `remote/` and `environments/`."""
    task: str | None = None
    call: str | None = None


class AttemptOver(Exception):
    """This attempt is over and the run is not: Modal should start another."""


def run(
    request: LaunchRequest,
    head: str,
    place: Place,
    commit: Callable[[], None],
    cancelled: type[BaseException],
    out: int = 1,
) -> dict[str, Any]:
    """Run an attempt until its last commit; returns the run's status and exit code.

    Raises what has interrupted it (`KeyboardInterrupt`: the machine is taken away; `cancelled`), and
    `AttemptOver` where another attempt has to follow.
    """
    attempt = AttemptThread(request, head, place, commit, out)
    attempt.start()
    interruption: BaseException | None = None
    while not attempt.over.is_set():
        try:
            attempt.over.wait()  # an interrupted `join` would take the thread for ended
        except (KeyboardInterrupt, cancelled) as request_to_end:
            interruption = interruption or request_to_end
            stop = isinstance(request_to_end, cancelled)
            attempt.ask(signal.SIGTERM if stop else signal.SIGUSR1)
    record = attempt.outcome()
    if interruption is not None and record.status not in ("done", "failed"):
        raise interruption
    if not record.ended_already:
        why = record.attempts[-1].why or "lost"
        raise AttemptOver(f"attempt {len(record.attempts)} of {record.run_id} is over ({why})")
    return {"status": record.status, "exit_code": record.exit_code}


class AttemptThread(threading.Thread):
    """The attempt itself. Not in the main thread, in which Modal's signals raise at any moment."""

    def __init__(
        self, request: LaunchRequest, head: str, place: Place, commit: Callable[[], None], out: int
    ) -> None:
        super().__init__(name="attempt", daemon=True)
        self._request, self._head, self._place = localized(request, place), head, place
        self._commit, self._out = commit, out
        self._run_dir = RunDir(Path(self._request.run_dir))
        self._listener: subprocess.Popen[bytes] | None = None
        self._signal: signal.Signals | None = None
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self.over = threading.Event()

    def ask(self, signum: signal.Signals) -> None:
        """Signal the supervisor, or do so as soon as it handles signals: before that it would just die."""
        with self._lock:
            self._signal = signum
            if self._listener is not None:
                self._listener.send_signal(signum)

    def outcome(self) -> RunRecord:
        """The record after the attempt. Raises what kept the attempt from running."""
        if self._error is not None:
            raise self._error
        return self._run_dir.record()

    def run(self) -> None:
        """Run the attempt; its exception is raised by `outcome`."""
        try:
            self._see_through()
        except BaseException as error:
            self._error = error
        finally:
            self.over.set()

    def _see_through(self) -> None:
        supervisor = self._start()
        record = self._answer(supervisor)
        if record.ended_already:  # Modal repeats a call whose container died after its last commit.
            supervisor.wait()
            return
        stream = self._run_dir.path / layout.STREAM
        committer = Committer(self._run_dir.path, self._commit)
        mirror = Mirror(stream, len(record.attempts), record.attempts[-1].offset, committer.notice, self._out)
        committer.commit()  # before anything is printed, so that a next attempt knows of this one
        mirror.start()
        committer.start()
        code = supervisor.wait()
        lifecycle.end_session(supervisor.pid)
        patience = LAST_COMMIT if self._signal == signal.SIGUSR1 else None
        committer.finish(patience)
        mirror.finish()
        committer.commit_last(patience)
        if code != INTERRUPTED and not self._run_dir.record().ended_already:
            raise AttemptOver(f"the supervisor of {record.run_id} ended with code {code}")

    def _start(self) -> subprocess.Popen[bytes]:
        """Start a supervisor in a session of its own, since this process passes on the container's
        signals."""
        env = {**os.environ, **pins.caches(str(self._place.cache)), "PYTHONPATH": str(self._place.project)}
        env[VOLUME] = self._request.outputs
        return subprocess.Popen(
            [sys.executable, "-m", "remote.supervisor", "--attempt"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=self._place.project,
            env=env,
            start_new_session=True,
        )

    def _answer(self, supervisor: subprocess.Popen[bytes]) -> RunRecord:
        """Send the supervisor its document, and read its answer. Its stdin ends with this process."""
        document = {
            "request": self._request.model_dump(mode="json"),
            "head": self._head,
            "container": self._place.task,
            "identifiers": {"call": self._place.call} if self._place.call else {},
        }
        assert supervisor.stdin is not None
        assert supervisor.stdout is not None
        with suppress(BrokenPipeError):  # It died at once: its output is in the container's.
            supervisor.stdin.write(json.dumps(document).encode() + b"\n")
            supervisor.stdin.flush()
        answer = from_json(supervisor.stdout.readline() or b"{}")
        if "record" not in answer:
            failure = answer.get("error")
            raise error_from(failure) if failure else BackendError("the run's supervisor did not start")
        with self._lock:
            self._listener = supervisor
            if self._signal is not None:
                supervisor.send_signal(self._signal)
        return RunRecord.model_validate(answer["record"])


class Committer(threading.Thread):
    """Commits the volume at every checkpoint, at every change of the record, and every `COMMIT_EVERY`
    seconds."""

    def __init__(self, run_dir: Path, commit: Callable[[], None]) -> None:
        super().__init__(name="committer", daemon=True)
        self._run_dir, self._commit = run_dir, commit
        self._due, self._over = threading.Event(), threading.Event()
        self._grown = False
        self._failed = ""
        self._synced: dict[str, tuple[int, int]] = {}

    def notice(self, data: bytes) -> None:
        """Called with the bytes by which the stream has grown."""
        self._grown = True
        if b'"type":"checkpoint"' in data:
            self._due.set()

    def run(self) -> None:
        """Commit when that is due, until `finish`."""
        committed, last = "", time.monotonic()
        while not self._over.is_set():
            stamp, now = self._stamp(), time.monotonic()
            if self._due.is_set() or stamp != committed or (self._grown and now - last >= COMMIT_EVERY):
                self._due.clear()
                self._grown = False
                committed, last = stamp, now
                self.commit()
            self._due.wait(POLL)

    def finish(self, patience: float | None = None) -> None:
        """Stop; waits at most `patience` seconds for a commit in progress."""
        self._over.set()
        self._due.set()
        self.join(patience)

    def commit_last(self, patience: float | None = None) -> None:
        """Commit once more, with two more tries, within at most `patience` seconds."""
        last = threading.Thread(target=self.commit, args=(3,), name="last commit", daemon=True)
        last.start()
        last.join(patience)

    def commit(self, tries: int = 1) -> None:
        """Commit. A failure is logged once; the next commit includes everything."""
        for _ in range(tries):
            try:
                self._sync()
                self._commit()
            except Exception as error:
                self._say(f"{type(error).__name__}: {error}")
            else:
                self._failed = ""
                return

    def _sync(self) -> None:
        """fsync the files written since the last commit. Modal leaves files out of a commit that are open for
        writing and not synced, and the stream is open all the time."""
        for folder, _, names in os.walk(self._run_dir):
            for path in (os.path.join(folder, name) for name in names):
                with suppress(OSError):  # it is gone, or the commit should be tried anyway
                    stat = os.lstat(path)
                    state = (stat.st_mtime_ns, stat.st_size)
                    if S_ISREG(stat.st_mode) and self._synced.get(path) != state:
                        sync(Path(path))
                        self._synced[path] = state

    def _say(self, failure: str) -> None:
        if failure == self._failed:
            return
        self._failed = failure
        message = f"the outputs volume could not be committed: {failure}"
        try:
            fd = os.open(self._run_dir / layout.STREAM, os.O_WRONLY | os.O_APPEND)
            try:
                Emitter(None, fd).say("worker", message)
            finally:
                os.close(fd)
        except OSError as error:  # on a full volume Modal's own log is left
            print(f"{message} ({error})", file=sys.stderr, flush=True)

    def _stamp(self) -> str:
        try:
            stat = (self._run_dir / layout.RECORD).stat()
        except FileNotFoundError:
            return ""
        return f"{stat.st_mtime_ns}:{stat.st_ino}"


def localized(request: LaunchRequest, place: Place) -> LaunchRequest:
    """The request with its paths in this container."""
    paths = {
        "run_dir": str(place.outputs / layout.run_path(request.run_id)),
        "cache_dir": str(place.cache),
        "project_dir": str(place.project),
        "checkpoint": _mounted(request.checkpoint, place),
    }
    return request.model_copy(update=paths)


def _mounted(path: str, place: Place) -> str:
    """A path under Modal's usual mount points in this container; other paths unchanged."""
    for mount, folder in ((layout.MODAL_OUTPUTS, place.outputs), (layout.MODAL_CACHE, place.cache)):
        if PurePosixPath(path).is_relative_to(mount):
            return str(folder / PurePosixPath(path).relative_to(mount))
    return path

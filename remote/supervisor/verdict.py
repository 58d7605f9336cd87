"""How a run ends: what its worker said and how it died, put into one verdict and on record.

Owns the failure and end events of runs whose worker said none, and the record's last status.
Watching processes is left to `remote/supervisor/attempt.py` and `remote/processes/lifecycle.py`.
"""

from __future__ import annotations

import os
import re
import signal
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from remote.contract import layout
from remote.contract.errors import DiskError, Hint, VfmError
from remote.contract.events import (
    RECORD_SEPARATOR,
    AnyEvent,
    AttemptEvent,
    CheckpointEvent,
    EndEvent,
    FailureEvent,
    ProgressEvent,
    decode_line,
)
from remote.contract.record import FINAL, LaunchRequest, Reached, Status
from remote.contract.spec import ExperimentSpec
from remote.output.emitter import Emitter, failure_event
from remote.output.run_dir import RunDir, disk_error
from remote.processes import oom

_TAKEN = (b'"failure"', b'"end"', b'"attempt"', b'"progress"', b'"checkpoint"')
Asked = Literal["cancel", "timeout", "budget", "preempted"]
CANCELLED = 128 + signal.SIGTERM
_OF_PYTHON = re.compile(r"/lib/python3\.\d+/|/remote/rollouts/episode_loop\.py")
TIMED_OUT = 124  # as timeout(1) has it
INTERRUPTED = 75  # EX_TEMPFAIL: somebody else goes on
SERVER_LOST = 76  # of a worker: its server died once too often, and another attempt may follow


@dataclass(frozen=True)
class Said:
    """The last failure and end events of an attempt, and how far the run has come, where it has said so."""

    failure: FailureEvent | None = None
    end: EndEvent | None = None
    progress: ProgressEvent | None = None
    """Of steps, or of an evaluation's episodes."""
    checkpoint: int | None = None
    """The step of the last checkpoint that a training can go on from."""

    @property
    def reached(self) -> Reached | None:
        """The same as it is put on record."""
        if self.progress is None or not (0 <= self.progress.done < 1e15 and 0 <= self.progress.total < 1e15):
            return None
        return Reached(
            done=int(self.progress.done),
            total=int(self.progress.total),
            counts="episodes" if self.progress.what == "episodes" else "steps",
            checkpoint=self.checkpoint,
        )


@dataclass(frozen=True)
class Ending:
    """A run's verdict; `error` only where the worker has not said itself why it fails."""

    status: Status
    exit_code: int
    error: VfmError | None = None


@dataclass(frozen=True)
class Interruption:
    """An attempt is over and the run is not: another one goes on from the last checkpoint."""

    why: str
    """As `Attempt.why` has it."""


class EventsTail:
    """Reads `events.jsonl` as it grows, and remembers what decides how the last attempt ends."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / layout.EVENTS
        self._position = 0
        self.said = Said()

    def read(self) -> Said:
        """Take in the whole lines that are new; a torn last line waits for its rest."""
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._position)
            while (line := file.readline()).endswith(b"\n"):
                self._position += len(line)
                if any(kind in line for kind in _TAKEN):
                    self._take(decode_line(RECORD_SEPARATOR + line.decode(errors="replace")))
        return self.said

    def _take(self, event: AnyEvent | str) -> None:
        match event:
            case FailureEvent():
                self.said = replace(self.said, failure=event)
            case EndEvent():
                self.said = replace(self.said, end=event)
            case AttemptEvent():
                self.said = replace(self.said, failure=None, end=None)
            case ProgressEvent(what="steps" | "episodes"):
                self.said = replace(self.said, progress=event)
            case CheckpointEvent() if event.path == layout.checkpoint_path(event.step):
                self.said = replace(self.said, checkpoint=event.step)


def judge(
    said: Said,
    code: int,
    asked: Asked | None,
    request: LaunchRequest,
    last_line: str,
    spent: float = 0.0,
    out_of_memory: bool | None = None,
) -> Ending:
    """The verdict on a worker that ended with `code` (negative: by that signal); `spent` US dollars.

    `out_of_memory`: whether the system has killed for want of memory meanwhile; None where nothing tells.
    """
    exit_code = 128 - code if code < 0 else code or 1
    if asked == "timeout" and not (said.end and said.end.status == "done"):
        return Ending("failed", TIMED_OUT, timed_out(request))
    if asked == "budget" and not (said.end and said.end.status == "done"):
        return Ending("failed", 1, over_budget(request, spent))
    if said.end is not None:
        return Ending(_status(said.end.status), said.end.exit_code)
    if asked == "cancel":
        return Ending("cancelled", CANCELLED)
    if code < 0:
        way_on = f"{_from(said.reached)}: vfm resume {request.run_id}"
        return Ending("failed", exit_code, _killed(-code, request.spec, last_line, out_of_memory, way_on))
    if said.failure is not None:
        return Ending("failed", exit_code)
    return Ending("failed", exit_code, _stuck(request) or _silent(code, last_line))


def conclude(run_dir: RunDir, ending: Ending, said: Said, fd: int) -> Ending:
    """Say what has not been said, and complete the record; gives the ending that stands.

    A full disk cannot keep a run from ending: what can still be written is.
    """
    failure = said.failure if ending.error is None else failure_event(ending.error)
    try:
        _say(run_dir.path, ending, said, fd)
    except OSError as error:
        ending = replace(ending, status="failed", exit_code=ending.exit_code or 1)
        failure = failure or failure_event(disk_error(error, error.filename or run_dir.path))
    # A record that cannot be written stays open; the near side finds the lock free and calls it failed.
    with suppress(DiskError, OSError, ValueError):
        _complete(run_dir, ending, failure if ending.status == "failed" else None, said.reached)
    return ending


def interrupt(run_dir: RunDir, why: str, fd: int) -> None:
    """Put on record that the attempt is over and the run is not. Raises `DiskError`, `OSError`."""
    restore_events(run_dir.path, fd)
    Emitter(None, fd).say("worker", f"⏸ this attempt is over ({why}): another one goes on")
    run_dir.write_record(run_dir.record().with_attempt_ended(why))


def last_text(run_dir: Path, reach: int = 8192) -> str:
    """The last line of text in the stream: often the only evidence of a worker that died speechless."""
    try:
        with (run_dir / layout.STREAM).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - reach))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    texts = (line.strip() for line in reversed(lines) if not line.startswith(RECORD_SEPARATOR))
    return next((text for text in texts if text), "")


def _say(run_dir: Path, ending: Ending, said: Said, fd: int) -> None:
    restore_events(run_dir, fd)
    emit = Emitter(run_dir, fd)
    if ending.error is not None:
        emit.failure(ending.error)
    if said.end is None or ending.error is not None:
        emit.emit(EndEvent(status=ending.status, exit_code=ending.exit_code))


def end_torn_line(path: Path) -> None:
    """A worker that is killed in mid-write leaves half a line: the next event may not be glued to it."""
    if not path.exists():
        return
    with path.open("rb+") as file:
        size = file.seek(0, os.SEEK_END)
        if size and (file.seek(size - 1), file.read(1))[1] != b"\n":
            file.write(b"\n")


def restore_events(run_dir: Path, fd: int) -> int:
    """Append to the stream, which `fd` is, the events that only `events.jsonl` has; returns how many.

    An event is written to that file first, and the file is closed again each time. So it may hold more than
    the stream: of a worker that was killed between the two writes, and of a machine that was lost, of whose
    stream the volume has what was synced before a commit. Text lines are only in the stream.
    """
    events, stream = run_dir / layout.EVENTS, run_dir / layout.STREAM
    end_torn_line(events)
    end_torn_line(stream)
    known = last_seq(stream)
    # Nearly always they are all there; a machine that is taken away has no time to read them.
    if last_seq(events, b"{") <= known:
        return 0
    with events.open(encoding="utf-8", errors="replace", newline="\n") as file:
        lines = [RECORD_SEPARATOR + line for line in file]
    decoded = ((line, decode_line(line.rstrip("\n"))) for line in lines)
    missing = [line for line, event in decoded if not isinstance(event, str) and event.seq > known]
    data = "".join(missing).encode(errors="replace")
    while data:
        data = data[os.write(fd, data) :]
    return len(missing)


def last_seq(path: Path, mark: bytes = RECORD_SEPARATOR.encode(), reach: int = 1 << 20) -> int:
    """The number of a file's last event, whose line begins with `mark`; -1 where it has none."""
    try:
        with path.open("rb") as file:
            begin = max(0, file.seek(0, os.SEEK_END) - reach)
            file.seek(begin)
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return -1
    for line in reversed(lines if begin == 0 else lines[1:]):
        if line.startswith(mark):
            text = line.decode(errors="replace").removeprefix(RECORD_SEPARATOR)
            event = decode_line(RECORD_SEPARATOR + text)
            if not isinstance(event, str):
                return event.seq
    return -1 if begin == 0 else last_seq(path, mark, 8 * reach)


def _complete(run_dir: RunDir, ending: Ending, failure: FailureEvent | None, reached: Reached | None) -> None:
    record = run_dir.record()
    changes: dict[str, Any] = {"status": ending.status, "exit_code": ending.exit_code, "reached": reached}
    if failure is not None:
        changes["failure"] = failure.on_record()
    # The verdict outranks a status that the worker set: it knows of the timeout.
    record = record.model_copy(update={**changes, "ended": record.ended or time.time()})
    run_dir.write_record(record.with_attempt_ended(ending.status))


def _status(said: str) -> Status:
    # A status of a later version counts as a failure rather than as a run that never ends.
    return said if said in FINAL else "failed"  # type: ignore[return-value]


def timed_out(request: LaunchRequest) -> VfmError:
    """The last attempt took too long: the key that allows more, or more attempts where it is at its limit."""
    modal, longest = request.spec.modal, 86400
    key, old, new = "modal.timeout", modal.timeout, min(2 * modal.timeout, longest)
    attempts = modal.retries + 1
    if attempts > 1 and modal.timeout == longest and modal.retries < 10:
        key, old, new = "modal.retries", modal.retries, min(2 * modal.retries, 10)
    hint = Hint(f"allow more time: --set {key}={new}", key, old, new)
    how = f", in the last of {attempts} attempts," if attempts > 1 else ""
    return VfmError(
        f"the run took longer than modal.timeout = {modal.timeout} s{how} and was stopped", hint=hint
    )


def interrupted(run_id: str, reached: Reached | None, last_line: str, written: float | None) -> VfmError:
    """The processes of a run are gone, and none of them has said why; `written`: when its log was, last."""
    return VfmError(
        f"the run was interrupted{_at(reached)}: its processes are gone (killed, or the machine restarted)",
        cause=_said_last(last_line, written),
        hint=Hint(f"{_from(reached)}: vfm resume {run_id}"),
    )


def _said_last(line: str, written: float | None = None) -> str:
    """A log's last line, as what it is: where somebody else ended the run it tells of no cause."""
    when = "" if written is None else time.strftime(", of %Y-%m-%d %H:%M:%S UTC", time.gmtime(written))
    return line and f"the last line of its log{when}: {line}"


def _at(reached: Reached | None) -> str:
    """` at step 12 of 50`; empty before the first."""
    if reached is None:
        return ""
    what = "step" if reached.counts == "steps" else "episode"
    return f" at {what} {reached.done} of {reached.total}"


def _from(reached: Reached | None) -> str:
    """What a run that is resumed begins with."""
    if reached is not None and reached.checkpoint is not None:
        return f"go on from the checkpoint of step {reached.checkpoint}"
    if reached is not None and reached.counts == "episodes":
        return "go on with the episodes that are missing"
    return "start it again in the same place"


def over_budget(request: LaunchRequest, spent: float) -> VfmError:
    """The run has cost what it may: `spent` US dollars."""
    limit = request.spec.budget.max_usd or 0.0
    hint = Hint(
        f"allow more: --set budget.max_usd={2 * limit:g}, or leave the budget out",
        "budget.max_usd",
        limit,
        2 * limit,
    )
    price = request.usd_per_hour or 0.0
    return VfmError(
        f"the run has cost about ${spent:,.2f} (at ${price:,.2f} an hour), which is what "
        f"budget.max_usd = {limit:g} allows: it was stopped, and what it has learnt was saved",
        hint=hint,
    )


def _killed(
    number: int, spec: ExperimentSpec, last_line: str, out_of_memory: bool | None, way_on: str
) -> VfmError:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = _dtype_hint(spec) if number == signal.SIGILL else None
    if number == signal.SIGKILL:
        hint = _memory_hint(spec) if out_of_memory else Hint(f"{oom.who_killed(out_of_memory)}; {way_on}")
    return VfmError(f"the worker was killed by {name}", cause=_said_last(last_line), hint=hint)


def _memory_hint(spec: ExperimentSpec) -> Hint:
    text = f"{oom.who_killed(True)}: try smaller batches"
    size, training = spec.training.batch_size, spec.training
    half = size // 2
    if half and half * training.gradient_accumulation_steps % training.num_generations == 0:
        return Hint(text, "training.batch_size", size, half)
    return Hint(text)


def _dtype_hint(spec: ExperimentSpec) -> Hint | None:
    dtype = spec.model.dtype
    if dtype == "float32":
        return None
    # Seen on virtual machines that announce AMX and do not allow it.
    text = f"this processor does not run what it announces for {dtype}: use float32"
    return Hint(text, "model.dtype", dtype, "float32")


def _stuck(request: LaunchRequest) -> VfmError | None:
    """The failure of a worker that ended itself since an episode let no Python run, if that was it."""
    try:
        text = (Path(request.run_dir) / layout.LAST_WORDS).read_text(errors="replace")
    except OSError:
        return None
    stacks = [stack for stack in text.split("\n\n") if "episode_loop.py" in stack]
    lines = [line.strip() for stack in stacks for line in stack.splitlines() if 'File "' in line]
    if not lines:
        return None
    own = [line for line in lines if not _OF_PYTHON.search(line)]  # most recent call first
    limit = request.spec.training.episode_timeout
    return VfmError(
        f"an episode kept all of Python waiting for longer than training.episode_timeout = {limit:g} seconds",
        boundary="rollout",
        cause=(own or lines)[0],
        hint=Hint("give what runs there a limit of its own, or run it in another process"),
    )


def _silent(code: int, last_line: str) -> VfmError:
    hint = Hint("its log says more: the last lines of logs/stream.log in the run directory")
    return VfmError(f"the worker ended with code {code} without saying why", cause=last_line, hint=hint)

"""The verdict on a run, from its worker's last events and exit code, and its end on record.

Owns the failure and end events of workers that wrote none, and the record's final status. Watching processes
is `attempt.py`'s.
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
from remote.contract.exit_codes import CANCELLED, TIMED_OUT
from remote.contract.record import FINAL, LaunchRequest, Reached, Status, how_to_resume
from remote.contract.spec import ExperimentSpec
from remote.output.emitter import Emitter, failure_event, write_all
from remote.output.run_dir import RunDir, disk_error
from remote.processes import oom

_TAKEN = (b'"failure"', b'"end"', b'"attempt"', b'"progress"', b'"checkpoint"')
StopReason = Literal["cancel", "timeout", "budget", "preempted"]
_NOT_USERS = re.compile(r"/lib/python3\.\d+/|/remote/rollouts/")
"""Frames of Python's own files and of this program."""


@dataclass(frozen=True)
class LastEvents:
    """The last failure and end events of an attempt, and how far the run has come."""

    failure: FailureEvent | None = None
    end: EndEvent | None = None
    progress: ProgressEvent | None = None
    """In optimiser steps, or in an evaluation's episodes."""
    checkpoint: int | None = None
    """Step of the last checkpoint from which a training can be resumed."""

    @property
    def reached(self) -> Reached | None:
        """How far the run has come, for its record."""
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
    """A run's verdict. `error` is None where the worker has written the failure itself."""

    status: Status
    exit_code: int
    error: VfmError | None = None


@dataclass(frozen=True)
class Interruption:
    """An attempt is over and the run is not: another one continues from the last checkpoint."""

    why: str
    """See `Attempt.why`."""


class EventsTail:
    """Reads `events.jsonl` as it grows, and keeps what decides how the last attempt ends."""

    def __init__(self, run_dir: Path) -> None:
        self._path = run_dir / layout.EVENTS
        self._position = 0
        self.events = LastEvents()

    def read(self) -> LastEvents:
        """Read the new lines; an incomplete last line is left for the next call."""
        with suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._position)
            while (line := file.readline()).endswith(b"\n"):
                self._position += len(line)
                if any(kind in line for kind in _TAKEN):
                    self._take(decode_line(RECORD_SEPARATOR + line.decode(errors="replace")))
        return self.events

    def _take(self, event: AnyEvent | str) -> None:
        match event:
            case FailureEvent():
                self.events = replace(self.events, failure=event)
            case EndEvent():
                self.events = replace(self.events, end=event)
            case AttemptEvent():
                self.events = replace(self.events, failure=None, end=None)
            case ProgressEvent(what="steps" | "episodes"):
                self.events = replace(self.events, progress=event)
            case CheckpointEvent() if event.path == layout.checkpoint_path(event.step):
                self.events = replace(self.events, checkpoint=event.step)


def judge(
    events: LastEvents,
    code: int,
    reason: StopReason | None,
    request: LaunchRequest,
    last_line: str,
    spent: float = 0.0,
    out_of_memory: bool | None = None,
) -> Ending:
    """The verdict on a worker that ended with `code` (negative: by that signal).

    `reason`: why it was asked to stop, if it was; `spent`: US dollars; `out_of_memory`: whether the system
    has killed a process for lack of memory meanwhile, None where that is unknown.
    """
    exit_code = 128 - code if code < 0 else code or 1
    if reason == "timeout" and not (events.end and events.end.status == "done"):
        return Ending("failed", TIMED_OUT, timed_out(request))
    if reason == "budget" and not (events.end and events.end.status == "done"):
        return Ending("failed", 1, over_budget(request, spent))
    if events.end is not None:
        return Ending(_status(events.end.status), events.end.exit_code)
    if reason == "cancel":
        return Ending("cancelled", CANCELLED)
    if code < 0:
        resume = how_to_resume(request.run_id, events.reached)
        cause = _crashed_at(request) or _quote_log(last_line)
        return Ending("failed", exit_code, _killed(-code, request.spec, cause, out_of_memory, resume))
    if events.failure is not None:
        return Ending("failed", exit_code)
    return Ending("failed", exit_code, _stuck(request) or _silent(code, last_line))


def conclude(run_dir: RunDir, ending: Ending, events: LastEvents, fd: int) -> Ending:
    """Write the events that the worker has not written, and complete the record; returns the final verdict.

    Where the disk is full, whatever can still be written is.
    """
    failure = events.failure if ending.error is None else failure_event(ending.error)
    try:
        _write_end(run_dir.path, ending, events, fd)
    except OSError as error:
        ending = replace(ending, status="failed", exit_code=ending.exit_code or 1)
        failure = failure or failure_event(disk_error(error, error.filename or run_dir.path))
    # A record that cannot be written stays open; the client finds the lock free and shows the run as failed.
    with suppress(DiskError, OSError, ValueError):
        _complete(run_dir, ending, failure if ending.status == "failed" else None, events.reached)
    return ending


def interrupt(run_dir: RunDir, why: str, fd: int) -> None:
    """Record that the attempt is over and the run is not. Raises `DiskError`, `OSError`."""
    restore_events(run_dir.path, fd)
    Emitter(None, fd).say("worker", f"⏸ this attempt is over ({why}): another one follows")
    run_dir.write_record(run_dir.record().with_attempt_ended(why))


def last_text(run_dir: Path, reach: int = 8192) -> str:
    """The last line of text in the stream, often the only evidence of a worker that was killed.

    A line of the server, another process, counts where there is no other.
    """
    try:
        with (run_dir / layout.STREAM).open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - reach))
            lines = file.read().decode(errors="replace").split("\n")
    except OSError:
        return ""
    texts = [line.strip() for line in reversed(lines) if not line.startswith(RECORD_SEPARATOR)]
    own = (text for text in texts if text and not text.startswith("[vllm]"))
    return next(own, next(filter(None, texts), ""))


def _write_end(run_dir: Path, ending: Ending, events: LastEvents, fd: int) -> None:
    restore_events(run_dir, fd)
    emit = Emitter(run_dir, fd)
    if ending.error is not None:
        emit.failure(ending.error)
    if events.end is None or ending.error is not None:
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
    """Append to the stream `fd` the events that only `events.jsonl` has; returns their number.

    Events are written to that file first, which is closed each time. So it may have more of them than the
    stream: where a worker was killed between the two writes, and where a machine was lost, of whose stream
    the volume has what was synced before a commit. Text lines are in the stream only.
    """
    events, stream = run_dir / layout.EVENTS, run_dir / layout.STREAM
    end_torn_line(events)
    end_torn_line(stream)
    known = last_seq(stream)
    # Nearly always none is missing, and a machine that is taken away has no time to read the file.
    if last_seq(events, b"{") <= known:
        return 0
    with events.open(encoding="utf-8", errors="replace", newline="\n") as file:
        lines = [RECORD_SEPARATOR + line for line in file]
    decoded = ((line, decode_line(line.rstrip("\n"))) for line in lines)
    missing = [line for line, event in decoded if not isinstance(event, str) and event.seq > known]
    write_all(fd, "".join(missing))
    return len(missing)


def last_seq(path: Path, mark: bytes = RECORD_SEPARATOR.encode(), reach: int = 1 << 20) -> int:
    """The number of a file's last event; -1 where it has none. Lines of events begin with `mark`."""
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
    done = None if reached is None else reached.done
    run_dir.write_record(record.with_attempt_ended(ending.status, exit_code=ending.exit_code, done=done))


def _status(status: str) -> Status:
    # An unknown status of a later version counts as a failure rather than as a run that never ends.
    return status if status in FINAL else "failed"  # type: ignore[return-value]


def timed_out(request: LaunchRequest) -> VfmError:
    """The last attempt took too long; the hint raises modal.timeout, or modal.retries if that is at its
    limit."""
    modal, longest = request.spec.modal, 86400
    key, old, new = "modal.timeout", modal.timeout, min(2 * modal.timeout, longest)
    attempts = modal.retries + 1
    if attempts > 1 and modal.timeout == longest and modal.retries < 10:
        key, old, new = "modal.retries", modal.retries, min(2 * modal.retries, 10)
    hint = Hint(f"allow more time: --set {key}={new}", key, old, new)
    last = f", in the last of {attempts} attempts," if attempts > 1 else ""
    return VfmError(
        f"the run took longer than modal.timeout = {modal.timeout} s{last} and was stopped", hint=hint
    )


def vanished(run_id: str, reached: Reached | None, last_line: str, written: float | None) -> VfmError:
    """The processes of a run are gone without a verdict. `written`: Unix time of its log's last change."""
    return VfmError(
        f"the run was interrupted{_at(reached)}: its processes are gone (killed, or the machine restarted)",
        cause=_quote_log(last_line, written),
        hint=Hint(how_to_resume(run_id, reached)),
    )


def _quote_log(line: str, written: float | None = None) -> str:
    """A log's last line, labelled as such: where the run was killed from outside, it is not the cause."""
    when = "" if written is None else time.strftime(", of %Y-%m-%d %H:%M:%S UTC", time.gmtime(written))
    return line and f"the last line of its log{when}: {line}"


def _at(reached: Reached | None) -> str:
    """` at step 12 of 50`; empty before the first."""
    if reached is None:
        return ""
    unit = reached.counts.removesuffix("s")
    return f" at {unit} {reached.done} of {reached.total}"


def over_budget(request: LaunchRequest, spent: float) -> VfmError:
    """The run has cost `budget.max_usd`. `spent`: US dollars."""
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
    number: int, spec: ExperimentSpec, cause: str, out_of_memory: bool | None, resume: str
) -> VfmError:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    hint = _dtype_hint(spec) if number == signal.SIGILL else None
    if number == signal.SIGKILL:
        hint = _memory_hint(spec) if out_of_memory else Hint(f"{oom.who_killed(out_of_memory)}; {resume}")
    return VfmError(f"the worker was killed by {name}", cause=cause, hint=hint)


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
    text = f"this processor does not support the {dtype} instructions that it announces: use float32"
    return Hint(text, "model.dtype", dtype, "float32")


def _stuck(request: LaunchRequest) -> VfmError | None:
    """The failure of a worker that ended itself because an episode blocked all its threads, if it did."""
    stacks = [stack for stack in _stacks(request) if "episode_loop.py" in stack]
    lines = [line.strip() for stack in stacks for line in stack.splitlines() if 'File "' in line]
    if not lines:
        return None
    own = [line for line in lines if not _NOT_USERS.search(line)]  # most recent call first
    limit = request.spec.training.episode_timeout
    return VfmError(
        f"an episode blocked all of Python for longer than training.episode_timeout = {limit:g} seconds",
        boundary="rollout",
        cause=(own or lines)[0],
        hint=Hint("give the code at that line a time limit, or run it in another process"),
    )


def _crashed_at(request: LaunchRequest) -> str:
    """The line that a worker was in when a signal of its own doing (SIGSEGV, SIGABRT) ended it, if known."""
    stack = next((stack for stack in _stacks(request) if stack.startswith("Current thread")), "")
    lines = [line.strip() for line in stack.splitlines() if 'File "' in line]
    return next((line for line in lines if not _NOT_USERS.search(line)), lines[0] if lines else "")


def _stacks(request: LaunchRequest) -> list[str]:
    """The stacks of its threads that a worker wrote when it was ended, the most recent call first."""
    try:
        text = (Path(request.run_dir) / layout.THREAD_STACKS).read_text(errors="replace")
    except OSError:
        return []
    return text.split("\n\n")


def _silent(code: int, last_line: str) -> VfmError:
    return VfmError(
        f"the worker ended with code {code} without saying why: something within it ended the process",
        cause=_quote_log(last_line),
        hint=Hint(
            "its log says more: logs/stream.log in the run directory; look for what exits in the "
            "environment, its libraries and the training script"
        ),
    )

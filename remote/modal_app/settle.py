"""Settle a run on Modal: complete the record of one whose container or launcher died, here and in its volume.

The client finds out that it died and why, and updates the staged stream before it calls this.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.errors import BackendError, VfmError, error_from
from remote.contract.events import RECORD_SEPARATOR, decode_line
from remote.contract.record import RunRecord
from remote.modal_app import client as calls
from remote.modal_app.staging import KNOWN_ON_MODAL, known_on_modal, upload
from remote.output import redact
from remote.output.answers import answer, answer_failure
from remote.output.run_dir import RunDir, as_disk_error, write_atomic
from remote.processes import lifecycle
from remote.supervisor.attempt_log import last_event_time
from remote.supervisor.verdict import Ending, EventsTail, conclude, restore_events


async def settle_and_answer(staged: Path, document: dict[str, Any]) -> int:
    """`settle`, answered on stdout as a launch is; returns the exit code."""
    redact.hide(document["env"])
    try:
        record = await settle(RunDir(staged), document)
    except (VfmError, OSError) as error:
        return answer_failure(as_disk_error(error, staged))
    answer({"record": record.model_dump(mode="json")})
    return 0


async def settle(run_dir: RunDir, document: dict[str, Any]) -> RunRecord:
    """Complete the run's record and return it. One that is over in the volume or here is only copied to the
    other.

    Raises `BackendError` where Modal cannot be reached, with everything unchanged.
    """
    lock = lifecycle.take_lock(run_dir.path, patience=2.0)
    if lock is None:
        raise BackendError(f"the launch of {run_dir.path.name} is still under way")
    try:
        return await _settle(run_dir, document)
    finally:
        os.close(lock)


async def _settle(run_dir: RunDir, document: dict[str, Any]) -> RunRecord:
    record = run_dir.record()
    given_up = record.ended_already  # by its launcher, when Modal was out of reach
    client = await calls.connect()
    volume = await calls.volume(record.outputs, client, create=True)  # a launch may have died before
    data = await calls.read_json(volume, f"{layout.run_path(record.run_id)}/{layout.RECORD}")
    in_volume = None if data is None else RunRecord.model_validate(data)
    if in_volume is not None and (in_volume.attempts or not given_up):
        record = _merged(record, in_volume)
        if given_up:  # a container ran anyway: what the launcher wrote about the end is wrong
            os.truncate(run_dir.path / layout.STREAM, 0)
        if given_up or record.ended_already:
            return run_dir.write_record(record)
    snapshot = _Snapshot(run_dir)
    try:
        if not given_up:
            await _take_events(run_dir, volume)
            _complete(run_dir, record, document)
        await upload(volume, run_dir, layout.STREAM, layout.EVENTS, layout.RECORD)
    except BaseException:
        snapshot.restore()
        raise
    if app_id := record.identifiers.get("app"):
        await calls.stop_app(app_id, client)
    return run_dir.write_record(known_on_modal(run_dir.record()))


def _merged(staged: RunRecord, in_volume: RunRecord) -> RunRecord:
    """The volume's record with the staged ids and offsets, since the staged stream may be longer."""
    ids = {name: staged.identifiers[name] for name in KNOWN_ON_MODAL if name in staged.identifiers}
    changes: dict[str, Any] = {"identifiers": {**in_volume.identifiers, **ids}}
    if len(staged.attempts) == len(in_volume.attempts):
        pairs = zip(in_volume.attempts, staged.attempts, strict=True)
        changes["attempts"] = [
            attempt.model_copy(update={"offset": staged_attempt.offset}) for attempt, staged_attempt in pairs
        ]
    return in_volume.model_copy(update=changes)


def _complete(run_dir: RunDir, record: RunRecord, document: dict[str, Any]) -> None:
    fd = os.open(run_dir.path / layout.STREAM, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        restore_events(run_dir.path, fd)
        _collect_events(run_dir.path)
        ended = last_event_time(run_dir.path) or None
        run_dir.write_record(record.with_attempt_ended(document["status"], ended))
        text = "".join(f"[modal] {redact.line(calls.plain(line))}\n" for line in document["text"])
        os.write(fd, text.encode(errors="replace"))
        failure = document["error"]
        error = error_from(failure) if failure else None
        ending = Ending(document["status"], document["exit_code"], error)
        events = EventsTail(run_dir.path).read()
        conclude(run_dir, ending, replace(events, failure=None, end=None), fd)
    finally:
        os.close(fd)


async def _take_events(run_dir: RunDir, volume: Any) -> None:
    """Replace the staged events, which are the launcher's, by the volume's."""
    path = str(layout.run_path(run_dir.path.name) / layout.EVENTS)
    in_volume = await calls.read(volume, path)
    if in_volume:
        write_atomic(run_dir.path / layout.EVENTS, in_volume.decode(errors="replace"))


def _collect_events(run_dir: Path) -> None:
    """Rewrite `events.jsonl` from the stream, without events whose number does not increase."""
    lines_of_events, last = [], -1
    with (run_dir / layout.STREAM).open(encoding="utf-8", errors="replace", newline="\n") as lines:
        for line in lines:
            event = decode_line(line.rstrip("\n")) if line.startswith(RECORD_SEPARATOR) else ""
            if not isinstance(event, str) and event.seq > last:
                last = event.seq
                lines_of_events.append(line[1:])
    write_atomic(run_dir / layout.EVENTS, "".join(lines_of_events))


class _Snapshot:
    """The staged files before settling, to restore them where it fails."""

    def __init__(self, run_dir: RunDir) -> None:
        self._run_dir = run_dir
        self._record = run_dir.record()
        stream, events = (run_dir.path / name for name in (layout.STREAM, layout.EVENTS))
        stream.parent.mkdir(parents=True, exist_ok=True)
        stream.touch()
        self._size = stream.stat().st_size
        self._events = events.read_bytes() if events.exists() else None

    def restore(self) -> None:
        self._run_dir.write_record(self._record)
        os.truncate(self._run_dir.path / layout.STREAM, self._size)
        events = self._run_dir.path / layout.EVENTS
        if self._events is None:
            events.unlink(missing_ok=True)
        else:
            events.write_bytes(self._events)

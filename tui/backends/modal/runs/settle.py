"""Completes the record of a run that ended without a word of its own.

Owns gathering what is needed on this machine: everything that was said, and Modal's last words about it.
Writing the verdict into stream, events and record, and into the volume, is `remote/modal_app/launcher.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.events import RECORD_SEPARATOR
from remote.contract.json_text import from_json
from remote.contract.record import RunRecord
from tui.backends.base import Volumes
from tui.backends.modal.runs.app_logs import past
from tui.backends.modal.runs.calls import Outcome
from tui.backends.modal.runs.fetch import BEFORE, Bringer
from tui.backends.modal.runs.records import Records
from tui.backends.modal.runs.status import judge
from tui.backends.modal.runs.stream_copy import Journal
from tui.backends.modal.session import Session
from tui.backends.programs import Program

LAST_WORDS = 40
"""Lines of Modal's about a run that are kept."""


class Settler:
    """Settles runs, each from the directory that this machine has of it."""

    def __init__(
        self,
        session: Session,
        records: Records,
        volumes: Volumes,
        launcher: Program,
        bringer: Callable[[RunRecord], Bringer],
        env: Mapping[str, str],
    ) -> None:
        """`env`: what the runs were handed, so that it can be kept out of what their machines said last."""
        self._session, self._records, self._volumes = session, records, volumes
        self._launcher, self._bringer, self._env = launcher, bringer, dict(env)

    async def settle(self, record: RunRecord, outcome: Outcome) -> RunRecord:
        """Put it on record; gives the record as it is then. Raises `BackendError`."""
        run_dir = self._records.run_dir(record)
        text = await self._gather(record)
        journal = self._bringer(record).journal
        await asyncio.to_thread(self._say_where_attempts_begin, record, journal)
        last_line = await asyncio.to_thread(_last_line, journal.path, text)
        document = judge(outcome, await self._spec(record), last_line, record.run_id).document(text)
        document = {**document, "env": self._env}
        answer = await asyncio.to_thread(self._launcher.start, document, "--settle", str(run_dir))
        found = RunRecord.model_validate(answer["record"])
        if found.ended_already:
            await asyncio.to_thread(journal.complete)
        return self._records.keep(found)

    async def _gather(self, record: RunRecord) -> list[str]:
        """Bring everything that was said here; gives what Modal, or a dying process, said besides."""
        bringer, app = self._bringer(record), record.identifiers.get("app")
        text: list[str] = []
        if app:
            client = await self._session.client()
            from modal.exception import NotFoundError

            cursor = await asyncio.to_thread(bringer.journal.cursor)
            with suppress(NotFoundError):
                entries = await past(client, app, (cursor.seen or record.created) - BEFORE)
                await bringer.take_entries(entries)
                # What was said of earlier attempts explains nothing of how the last one ended.
                begun = record.attempts[-1].started if record.attempts else 0.0
                text = [e.text for e in entries if e.source != "stdout" and e.time >= begun]
        await bringer.all_of(record)
        lines = [line.rstrip() for line in "".join(text).split("\n")]
        return [line for line in lines if line][-LAST_WORDS:]

    async def _spec(self, record: RunRecord) -> dict[str, Any]:
        """The run's spec, as it was asked for; empty where that cannot be read."""
        try:
            path = f"{layout.run_path(record.run_id)}/{layout.REQUEST}"
            spec = from_json(await self._volumes.read(record.outputs, path))["spec"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}
        return spec if isinstance(spec, dict) else {}

    def _say_where_attempts_begin(self, record: RunRecord, journal: Journal) -> None:
        """The journal is the stream that goes on record: it may hold more than was ever committed."""
        begins = {mark.attempt: mark.base for mark in reversed(journal.cursor().marks)}
        attempts = [
            attempt.model_copy(update={"offset": begins.get(number, attempt.offset)})
            for number, attempt in enumerate(record.attempts, 1)
        ]
        self._records.keep(record.model_copy(update={"attempts": attempts}))


def _last_line(stream: Path, text: list[str]) -> str:
    """The last that was said: by whoever died, or else in the run's output."""
    if text:
        return text[-1]
    lines = stream.read_bytes()[-8192:].decode(errors="replace").split("\n") if stream.exists() else []
    said = (line.strip() for line in reversed(lines) if not line.startswith(RECORD_SEPARATOR))
    return next((line for line in said if line), "")

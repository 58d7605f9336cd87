"""Completes the record of a run that ended without writing its end.

Owns gathering the run's output and Modal's last lines about it. `remote/modal_app/launcher.py` writes the
verdict into stream, events and record, and into the volume.
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
from tui.backends.modal.runs.fetch import BEFORE, StreamFetcher
from tui.backends.modal.runs.records import Records
from tui.backends.modal.runs.status import judge
from tui.backends.modal.runs.stream_copy import StreamCopy
from tui.backends.modal.session import Session
from tui.backends.programs import Program

LAST_WORDS = 40
"""Lines of Modal's about a run that go into its record."""


class Settler:
    """Settles runs, each from its directory on this machine."""

    def __init__(
        self,
        session: Session,
        records: Records,
        volumes: Volumes,
        launcher: Program,
        fetcher: Callable[[RunRecord], StreamFetcher],
        env: Mapping[str, str],
    ) -> None:
        """env: the secrets that runs get, to be redacted from their last lines."""
        self._session, self._records, self._volumes = session, records, volumes
        self._launcher, self._fetcher, self._env = launcher, fetcher, dict(env)

    async def settle(self, record: RunRecord, outcome: Outcome) -> RunRecord:
        """Complete a record and return it. Raises `BackendError`."""
        run_dir = self._records.run_dir(record)
        text = await self._gather(record)
        copy = self._fetcher(record).copy
        await asyncio.to_thread(self._note_offsets, record, copy)
        last_line = await asyncio.to_thread(_last_line, copy.path, text)
        document = judge(outcome, await self._spec(record), last_line, record.run_id).document(text)
        document = {**document, "env": self._env}
        answer = await asyncio.to_thread(self._launcher.start, document, "--settle", str(run_dir))
        found = RunRecord.model_validate(answer["record"])
        if found.ended_already:
            await asyncio.to_thread(copy.complete)
        return self._records.save(found)

    async def _gather(self, record: RunRecord) -> list[str]:
        """Fetch all of the run's output; returns what Modal, or a dying process, said besides."""
        fetcher, app = self._fetcher(record), record.identifiers.get("app")
        text: list[str] = []
        if app:
            client = await self._session.client()
            from modal.exception import NotFoundError

            cursor = await asyncio.to_thread(fetcher.copy.cursor)
            with suppress(NotFoundError):
                entries = await past(client, app, (cursor.seen or record.created) - BEFORE)
                await fetcher.take_entries(entries)
                # Lines about earlier attempts do not explain the end of the last one.
                begun = record.attempts[-1].started if record.attempts else 0.0
                text = [e.text for e in entries if e.source != "stdout" and e.time >= begun]
        await fetcher.all_of(record)
        lines = [line.rstrip() for line in "".join(text).split("\n")]
        return [line for line in lines if line][-LAST_WORDS:]

    async def _spec(self, record: RunRecord) -> dict[str, Any]:
        """The spec of the run's request; empty where that cannot be read."""
        try:
            path = f"{layout.run_path(record.run_id)}/{layout.REQUEST}"
            spec = from_json(await self._volumes.read(record.outputs, path))["spec"]
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            return {}
        return spec if isinstance(spec, dict) else {}

    def _note_offsets(self, record: RunRecord, copy: StreamCopy) -> None:
        """Note where attempts begin in the copy, which becomes the stream: the volume's may be shorter."""
        begins = {mark.attempt: mark.base for mark in reversed(copy.cursor().marks)}
        attempts = [
            attempt.model_copy(update={"offset": begins.get(number, attempt.offset)})
            for number, attempt in enumerate(record.attempts, 1)
        ]
        self._records.save(record.model_copy(update={"attempts": attempts}))


def _last_line(stream: Path, text: list[str]) -> str:
    """The last of these lines, or else of the run's output."""
    if text:
        return text[-1]
    lines = stream.read_bytes()[-8192:].decode(errors="replace").split("\n") if stream.exists() else []
    texts = (line.strip() for line in reversed(lines) if not line.startswith(RECORD_SEPARATOR))
    return next((text for text in texts if text), "")

"""How a run stands: by its record, or by what became of its call where the record does not say.

Owns telling a run that goes on from one that nobody is left of, and what is put on record of such a death.
A server that cannot be reached changes nothing: only what is certain is settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from remote.contract.errors import BackendError
from remote.contract.record import RunRecord
from tui.backends.modal.runs import calls
from tui.backends.modal.runs.calls import Outcome
from tui.backends.modal.runs.records import Records
from tui.backends.modal.session import Session

_PAUSES = (0.0, 0.3, 0.6, 1.2, 2.0)
"""Seconds before each look at a record that should have become final by now: a commit takes its time."""


class Standing:
    """Answers how runs stand."""

    def __init__(
        self, session: Session, records: Records, settle: Callable[[RunRecord, Outcome], Awaitable[RunRecord]]
    ) -> None:
        self._session, self._records, self._settle = session, records, settle
        self._settling: dict[tuple[str, str], asyncio.Lock] = {}

    async def of(self, run: RunRecord) -> RunRecord:
        """The record as it stands now; a run that nobody is left of is put on record as it ended.

        Raises `RunNotFound` and `BackendError`.
        """
        here = await asyncio.to_thread(self._records.here, run.outputs, run.run_id)
        if here is not None and here.ended_already:
            return await self.settled(here)
        if here is not None and await asyncio.to_thread(self._records.launching, run):
            return here
        record = await self._records.fetch(run)
        return record if record.ended_already else await self.settled(record)

    async def settled(self, record: RunRecord) -> RunRecord:
        """An open record, once it is completed where its run is over; one that is final stays as it is."""
        if record.ended_already and "pid" not in record.identifiers:
            return record
        if await asyncio.to_thread(self._records.launching, record):
            return record
        if record.ended_already:
            return await self._brought_up(record)
        lock = self._settling.setdefault((record.outputs, record.run_id), asyncio.Lock())
        async with lock:
            outcome = await self._outcome(record)
            if outcome is None:
                return record
            for pause in _PAUSES if outcome.how == "returned" else _PAUSES[:2]:
                await asyncio.sleep(pause)
                record = await self._records.fetch(record)
                if record.ended_already:
                    return record
            return await self._settle(record, outcome)

    async def cancelled(self, record: RunRecord) -> RunRecord:
        """Put on record that somebody has stopped the run's app: of the app that cannot be told later."""
        lock = self._settling.setdefault((record.outputs, record.run_id), asyncio.Lock())
        async with lock:
            return await self._settle(record, Outcome("cancelled"))

    async def _brought_up(self, record: RunRecord) -> RunRecord:
        """A launch that ended when Modal could not be reached: nobody but this machine knows of it yet."""
        lock = self._settling.setdefault((record.outputs, record.run_id), asyncio.Lock())
        async with lock:
            try:
                return await self._settle(record, Outcome("launch"))
            except BackendError:
                return record  # Modal is still out of reach, and what is known here stands

    async def _outcome(self, record: RunRecord) -> Outcome | None:
        """How the run's call ended; None while it goes on, and where that cannot be told."""
        call, app = record.identifiers.get("call"), record.identifiers.get("app")
        if not app and not call:
            # Only the machine that launched it knows whether its launcher lives.
            return Outcome("launch") if "pid" in record.identifiers else None
        client = await self._session.client()
        from modal.exception import NotFoundError

        try:
            found = await calls.outcome(client, call) if call else None
            if found is None and app and await calls.is_over(client, app):
                if not call and "pid" in record.identifiers:
                    return Outcome("launch")
                # What the call came to may be told a moment later than that its app is over.
                found = await calls.outcome(client, call, 2.0) if call else None
                return found or Outcome("lost")
            return found
        except NotFoundError:
            return Outcome("expired")


@dataclass(frozen=True)
class Ending:
    """What goes on record of a run that could not say itself how it ended: `--settle`'s document."""

    status: str
    exit_code: int
    error: dict[str, Any] | None = None

    def document(self, text: list[str]) -> dict[str, Any]:
        """What the launcher's program is told; `text` are the last lines of Modal's about the run."""
        return {"status": self.status, "exit_code": self.exit_code, "error": self.error, "text": text}


def judge(outcome: Outcome, spec: dict[str, Any], last_line: str, run_id: str) -> Ending:
    """The verdict on a run that has left its record open; `spec` is the run's, as JSON."""
    match outcome.how:
        case "cancelled":
            return Ending("cancelled", 143)
        case "timeout":
            return Ending("failed", 124, _timeout(spec))
        case "memory":
            return Ending("failed", 137, _memory(spec, last_line))
        case "launch":
            again = "launch it again"
            return Ending("failed", 1, _error("the launch was interrupted", "", again, boundary="backend"))
        case "raised" if outcome.exit_code is not None:
            said = f"the function on Modal ended with code {outcome.exit_code} without saying why"
            return Ending("failed", outcome.exit_code or 1, _error(said, last_line, _LOG))
        case "raised" if outcome.text.startswith("AttemptOver") and "(timeout)" in outcome.text:
            return Ending("failed", 124, _timeout(spec))  # and Modal has no retry left, whatever we counted
        case "raised" if outcome.text.startswith("AttemptOver") and "(server)" in outcome.text:
            said = "vLLM could not be started again, and Modal has started no other attempt"
            again = f"go on from its newest checkpoint: vfm resume {run_id}"
            return Ending("failed", 1, _error(said, last_line, again, boundary="vllm"))
        case "raised":
            said = "the function on Modal failed"
            return Ending("failed", 1, _error(said, outcome.text or last_line, _LOG))
        case "returned":
            said = "the function on Modal ended, but the run's record does not say how"
            return Ending("failed", 1, _error(said, last_line, _LOG))
        case _:
            said = "the run was interrupted: its container was lost, and Modal has started no other"
            again = f"go on from its newest checkpoint: vfm resume {run_id}"
            last = last_line and f"the last line of its log: {last_line}"
            return Ending("failed", 1, _error(said, outcome.text or last, again))


_LOG = "its log says more: the last lines of logs/stream.log in the run directory"


def _error(
    message: str, cause: str, hint: str, change: tuple[str, Any, Any] | None = None, boundary: str = "worker"
) -> dict[str, Any]:
    key, old, new = change or (None, None, None)
    advice = {"text": hint, "key": key, "from": old, "to": new}
    return {"boundary": boundary, "message": message, "cause": cause, "hint": advice}


def _timeout(spec: dict[str, Any]) -> dict[str, Any]:
    seconds = int(spec.get("modal", {}).get("timeout", 0))
    longer = min(2 * seconds, 86400)  # Modal's longest
    said = f"the run took longer than modal.timeout = {seconds} s and was stopped"
    if longer <= seconds:
        return _error(said, "", "raise modal.retries: each attempt resumes from the last checkpoint")
    change = ("modal.timeout", seconds, longer)
    return _error(said, "", f"allow more time: --set modal.timeout={longer}", change)


def _memory(spec: dict[str, Any], last_line: str) -> dict[str, Any]:
    mib = int(spec.get("modal", {}).get("memory", 0))
    said = f"the container ran out of memory (modal.memory = {mib} MiB)"
    hint = f"give it more: --set modal.memory={2 * mib}"
    return _error(said, last_line, hint, ("modal.memory", mib, 2 * mib))

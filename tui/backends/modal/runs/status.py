"""A run's status: by its record, or by the outcome of its call where the record is still open.

Owns telling a run that goes on from one whose call is over, and the verdict on the latter. While Modal cannot
be reached no record is changed.
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
"""Seconds before each look at a record that should be final by now: its commit may take a while."""


class StatusReader:
    """Reads records as they are now, and has those completed whose runs are over."""

    def __init__(
        self, session: Session, records: Records, settle: Callable[[RunRecord, Outcome], Awaitable[RunRecord]]
    ) -> None:
        self._session, self._records, self._settle = session, records, settle
        self._settling: dict[tuple[str, str], asyncio.Lock] = {}

    async def current(self, run: RunRecord) -> RunRecord:
        """The record as it is now, completed if the run's call is over.

        Raises `RunNotFound` and `BackendError`.
        """
        local = await asyncio.to_thread(self._records.local, run.outputs, run.run_id)
        if local is not None and local.ended_already:
            return await self.settled(local)
        if local is not None and await asyncio.to_thread(self._records.launching, run):
            return local
        record = await self._records.fetch(run)
        return record if record.ended_already else await self.settled(record)

    async def settled(self, record: RunRecord) -> RunRecord:
        """The same record, completed if it is open and the run's call is over."""
        if record.ended_already and "pid" not in record.identifiers:
            return record
        if await asyncio.to_thread(self._records.launching, record):
            return record
        if record.ended_already:
            return await self._settle_launch(record)
        lock = self._settling.setdefault((record.outputs, record.run_id), asyncio.Lock())
        async with lock:
            outcome = await self._outcome(record)
            if outcome is None:
                return record
            for pause in _PAUSES if outcome.kind == "returned" else _PAUSES[:2]:
                await asyncio.sleep(pause)
                record = await self._records.fetch(record)
                if record.ended_already:
                    return record
            return await self._settle(record, outcome)

    async def cancelled(self, record: RunRecord) -> RunRecord:
        """Complete the record of a run whose app was stopped, which cannot be read from the app later."""
        lock = self._settling.setdefault((record.outputs, record.run_id), asyncio.Lock())
        async with lock:
            return await self._settle(record, Outcome("cancelled"))

    async def _settle_launch(self, record: RunRecord) -> RunRecord:
        """Put a launch into its volume that ended while Modal could not be reached."""
        lock = self._settling.setdefault((record.outputs, record.run_id), asyncio.Lock())
        async with lock:
            try:
                return await self._settle(record, Outcome("launch"))
            except BackendError:
                return record  # Modal is still out of reach: the copy counts

    async def _outcome(self, record: RunRecord) -> Outcome | None:
        """The outcome of the run's call; None while it runs, and where that is not known."""
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
                # The call's outcome may be known a moment later than the app's end.
                found = await calls.outcome(client, call, 2.0) if call else None
                return found or Outcome("lost")
            return found
        except NotFoundError:
            return Outcome("expired")


@dataclass(frozen=True)
class Ending:
    """The verdict on a run that did not write its end: the document for the launcher's `--settle`."""

    status: str
    exit_code: int
    error: dict[str, Any] | None = None

    def document(self, text: list[str]) -> dict[str, Any]:
        """As the launcher reads it; `text` are Modal's last lines about the run."""
        return {"status": self.status, "exit_code": self.exit_code, "error": self.error, "text": text}


def judge(outcome: Outcome, spec: dict[str, Any], last_line: str, run_id: str) -> Ending:
    """The verdict on a run that left its record open; `spec` is the run's, as JSON."""
    log = "its log says more: the last lines of logs/stream.log in the run directory"
    resume = f"go on from its newest checkpoint: vfm resume {run_id}"
    match outcome.kind:
        case "cancelled":
            return Ending("cancelled", 143)
        case "timeout":
            return _timeout(spec)
        case "memory":
            return _memory(spec, last_line)
        case "launch":
            return _failed("the launch was interrupted", "", "launch it again", boundary="backend")
        case "raised" if (code := outcome.exit_code) is not None:
            message = f"the function on Modal ended with code {code} without saying why"
            return _failed(message, last_line, log, exit_code=code or 1)
        case "raised" if outcome.text.startswith("AttemptOver") and "(timeout)" in outcome.text:
            return _timeout(spec)  # and Modal has no retry left, whatever we counted
        case "raised" if outcome.text.startswith("AttemptOver") and "(server)" in outcome.text:
            message = "vLLM could not be started again, and Modal has started no other attempt"
            return _failed(message, last_line, resume, boundary="vllm")
        case "raised":
            return _failed("the function on Modal failed", outcome.text or last_line, log)
        case "returned":
            return _failed(
                "the function on Modal ended, but the run's record does not say how", last_line, log
            )
        case _:
            message = "the run was interrupted: its container was lost, and Modal has started no other"
            last = last_line and f"the last line of its log: {last_line}"
            return _failed(message, outcome.text or last, resume)


def _failed(
    message: str,
    cause: str,
    hint: str,
    change: tuple[str, Any, Any] | None = None,
    *,
    exit_code: int = 1,
    boundary: str = "worker",
) -> Ending:
    """A failed run's verdict. change: the config key that the hint mends, with its old and new value."""
    key, old, new = change or (None, None, None)
    advice = {"text": hint, "key": key, "from": old, "to": new}
    error = {"boundary": boundary, "message": message, "cause": cause, "hint": advice}
    return Ending("failed", exit_code, error)


def _timeout(spec: dict[str, Any]) -> Ending:
    seconds = int(spec.get("modal", {}).get("timeout", 0))
    longer = min(2 * seconds, 86400)  # Modal's longest
    message = f"the run took longer than modal.timeout = {seconds} s and was stopped"
    if longer <= seconds:
        hint = "raise modal.retries: each attempt resumes from the last checkpoint"
        return _failed(message, "", hint, exit_code=124)
    change = ("modal.timeout", seconds, longer)
    return _failed(message, "", f"allow more time: --set modal.timeout={longer}", change, exit_code=124)


def _memory(spec: dict[str, Any], last_line: str) -> Ending:
    mib = int(spec.get("modal", {}).get("memory", 0))
    message = f"the container ran out of memory (modal.memory = {mib} MiB)"
    hint = f"give it more: --set modal.memory={2 * mib}"
    return _failed(message, last_line, hint, ("modal.memory", mib, 2 * mib), exit_code=137)

"""Prints a run's stream while it lasts, for people or as JSON lines, and says how the run ended.

Owns what goes to stdout and when it is flushed. The wording is `narrator`'s; gap-free reading is the
backend's.
"""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING

from remote.contract import layout
from remote.contract.events import decode_line, to_dict
from remote.contract.json_text import to_json
from tui.cli import exit_codes
from tui.store.logs.stream import LastSeq
from tui.text.format import duration
from tui.text.stream import Narrator

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client


async def people(
    client: Client, run: RunRecord, narrator: Narrator, position: int = 0, *, live: bool = True
) -> None:
    """The stream as a person reads it, from a position on."""
    async for batch in client.of(run).follow(run, position, live=live):
        told = [text for line in batch.lines for text in narrator.tell(line)]
        _put([*told, *narrator.rest()])


async def machines(client: Client, run: RunRecord, position: int = 0, *, live: bool = True) -> None:
    """The stream's events, one JSON object a line, exactly as they were said, each once."""
    seq = LastSeq()
    async for batch in client.of(run).follow(run, position, live=live):
        said = [event for event in map(decode_line, batch.lines) if not isinstance(event, str)]
        new = [event for event in said if not seq.repeats(event)]
        _put([to_json(to_dict(event)) for event in new])


def _put(lines: list[str]) -> None:
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


def rejoin(run_id: str) -> str:
    """What to say when a person stops watching a run."""
    return f"Run {run_id} goes on. Join it again: vfm logs {run_id} --follow   Stop it: vfm cancel {run_id}"


def closing(run: RunRecord, command: str = "") -> str:
    """How the run ended, with its cause and what mends it first, and where its outputs are."""
    lines = []
    if run.status == "failed" and run.failure:
        failure = run.failure
        hint = failure.get("hint")
        launch = f"vfm launch {shlex.quote(run.config_path or 'CONFIG')}"
        again = command or launch
        key = hint.get("key") if hint else None
        if _goes_on(run, key):
            again = f"vfm resume {run.run_id}"
        elif key and command.startswith("vfm resume"):  # which would refuse the key
            again = launch
        message, cause = str(failure.get("message", "")), str(failure.get("cause", ""))
        lines.append(exit_codes.failure_text(message, cause, hint, again))
    took = f" after {duration(run.ended - run.created)}" if run.ended else ""
    took += _cost(run)
    where = f"{run.outputs}:{layout.run_path(run.run_id)}"
    lines.append(f"Run {run.run_id}: {run.status}{took}. Its outputs are in {where}")
    lines.append(f"  vfm get {where} .")
    if run.status in ("failed", "cancelled") and not any("vfm resume" in line for line in lines):
        from tui.services.resume import beginning

        lines.append(f"  vfm resume {run.run_id}   ({beginning(run)})")
    return "\n".join(lines)


def _goes_on(run: RunRecord, key: str | None) -> bool:
    """Whether a run that has something to go on from can with another value of a key."""
    from tui.services.resume import may_change

    return bool(run.reached and run.reached.done and key and may_change(key, run.kind))


def _cost(run: RunRecord) -> str:
    from tui.planning.price_text import estimated
    from tui.services.price import estimate

    cost = estimate(run, run.ended) if run.ended else None
    return "" if cost is None else f", {estimated(cost)}"


def exit_code(run: RunRecord) -> int:
    """0 for a run that is done, 1 for one that failed or was cancelled."""
    return exit_codes.DONE if run.status == "done" else exit_codes.RUN_FAILED

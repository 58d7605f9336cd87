"""Print a run's stream while it grows, as text or as JSON lines, and how the run ended."""

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
from tui.text.stream import StreamText

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client


async def print_text(
    client: Client, run: RunRecord, text: StreamText, position: int = 0, *, live: bool = True
) -> None:
    """Print the stream as text, from a byte position on."""
    async for batch in client.of(run).follow(run, position, live=live):
        _print([shown for line in batch.lines for shown in text.lines(line)] + text.flush())


async def print_events(client: Client, run: RunRecord, position: int = 0, *, live: bool = True) -> None:
    """Print the stream's events, each once, one JSON object a line."""
    seq = LastSeq()
    async for batch in client.of(run).follow(run, position, live=live):
        events = [event for event in map(decode_line, batch.lines) if not isinstance(event, str)]
        _print([to_json(to_dict(event)) for event in events if not seq.repeats(event)])


def _print(lines: list[str]) -> None:
    if lines:
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()


def rejoin(run_id: str) -> str:
    """How to watch a run again, or stop it."""
    return f"Run {run_id} goes on. Watch it again: vfm logs {run_id} --follow   Stop it: vfm cancel {run_id}"


def closing(run: RunRecord, command: str = "") -> str:
    """How the run ended: its failure and the fix first, then where its outputs are."""
    lines = []
    if run.status == "failed" and run.failure:
        failure = run.failure
        hint = failure.get("hint")
        launch = f"vfm launch {shlex.quote(run.config_path or 'CONFIG')}"
        again = command or launch
        key = hint.get("key") if hint else None
        if _can_resume_with(run, key):
            again = f"vfm resume {run.run_id}"
        elif key and command.startswith("vfm resume"):  # resuming would refuse the key
            again = launch
        message, cause = str(failure.get("message", "")), str(failure.get("cause", ""))
        lines.append(exit_codes.failure_text(message, cause, hint, again))
    took = f" after {duration(run.ended - run.created)}" if run.ended else ""
    took += _cost(run)
    folder = f"{run.outputs}:{layout.run_path(run.run_id)}"
    lines.append(f"Run {run.run_id}: {run.status}{took}. Its outputs are in {folder}")
    lines.append(f"  vfm get {folder} .")
    if run.failed_alike:
        lines.append("  a resumed run would end so again: its last two attempts failed at the same place")
    elif run.status in ("failed", "cancelled") and not any("vfm resume" in line for line in lines):
        from tui.services.resume import beginning

        lines.append(f"  vfm resume {run.run_id}   ({beginning(run)})")
    return "\n".join(lines)


def _can_resume_with(run: RunRecord, key: str | None) -> bool:
    """Whether the run has something to resume from, and may be resumed with another value of the key."""
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

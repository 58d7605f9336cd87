"""Computes the run screen's status line, failure and checkpoints from a live run. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remote.contract.checkpoint_names import SavedCheckpoint, checkpoints_from
from tui.services.checkpoints import still_there
from tui.services.price import estimate
from tui.store.episodes.scores import FAILED
from tui.store.logs.event_text import attempt
from tui.store.runs.phases import FINAL, doing, spans
from tui.text.format import scores_line
from tui.widgets.runs.status_line import RunSummary

if TYPE_CHECKING:
    from tui.services.live_run import LiveRun


def summary_of(live: LiveRun, now: float) -> RunSummary:
    """The contents of the status line; `now` in Unix seconds."""
    record, state, status = live.record, live.state, live.status
    over = status in FINAL
    end = record.ended or state.last_t
    done, total = _counted(live)
    until = (end if over else max(now, state.last_t or 0.0)) or now
    elapsed = max(0.0, until - (record.started or record.created))
    return RunSummary(
        status=status,
        doing="" if over else doing(state, spans(state, record.kind, now, status)) or _waiting(live),
        environment=record.environment,
        model=record.model,
        backend=record.backend,
        step=done,
        total=total,
        eta=None if over else state.eta(),
        reward=_reward(live),
        scores=scores_line(state.metrics) if record.kind == "evaluate" else "",
        failed=int(state.metrics.get(FAILED, 0)),
        elapsed=elapsed,
        cost=estimate(record, until),
        attempt=attempt(state.attempt, state.taken_up.why) if state.taken_up else "",
        ended_ago=max(0.0, now - end) if over and end else None,
    )


def _waiting(live: LiveRun) -> str:
    """That Modal has no machine yet for a run whose image is built."""
    built = live.state.phases.keys() == {"image"} and live.state.taken_up is None
    return "waiting for a machine" if built and live.record.backend == "modal" else ""


def _counted(live: LiveRun) -> tuple[int | None, int | None]:
    """Steps done and planned; of an evaluation, episodes."""
    if live.record.kind != "evaluate":
        return live.state.step, live.state.total_steps
    episodes = live.state.progress.get("episodes")
    return (None, None) if episodes is None else (int(episodes.done), int(episodes.total) or None)


def _reward(live: LiveRun) -> float | None:
    return next((live.state.metrics[n] for n in ("reward", "eval/total") if n in live.state.metrics), None)


def checkpoints_of(live: LiveRun) -> list[SavedCheckpoint]:
    """The checkpoints of a training; an evaluation has none."""
    if live.record.kind != "train":
        return []
    return checkpoints_from(still_there(live.state.checkpoints, live.saved), done=live.status == "done")


def failure_of(live: LiveRun) -> dict[str, Any] | None:
    """The failure that the run reported, or else the one in its record."""
    if live.state.failure is not None:
        return live.state.failure.on_record()
    return live.record.failure


def proposal_of(live: LiveRun) -> dict[str, Any]:
    """The change that the hint proposes: `{key: value}`, or nothing."""
    hint = (failure_of(live) or {}).get("hint") or {}
    return {str(hint["key"]): hint.get("to")} if hint.get("key") else {}

"""How a watched run stands, in the figures of the run screen: pure functions of its feed.

Owns which of a run's numbers count. How they look is `widgets/run_status.py`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remote.contract.checkpoint_names import Saved, saved_of
from tui.services.price import estimate
from tui.store.episodes.scores import FAILED
from tui.store.logs.event_text import attempt
from tui.store.runs.phases import FINAL, doing, spans
from tui.text.format import scores_line
from tui.widgets.runs.status_line import Standing

if TYPE_CHECKING:
    from tui.services.live_run import Feed


def standing(feed: Feed, now: float, price: float | None = None) -> Standing:
    """How a run stands, as its status line tells it; `now` in Unix seconds, `price` in USD an hour."""
    record, state, status = feed.record, feed.state, feed.status
    over = status in FINAL
    end = record.ended or state.last_t
    done, total = _counted(feed)
    until = (end if over else max(now, state.last_t or 0.0)) or now
    elapsed = max(0.0, until - (record.started or record.created))
    return Standing(
        status=status,
        doing="" if over else doing(state, spans(state, record.kind, now, status)) or _waiting(feed),
        environment=record.environment,
        model=record.model,
        backend=record.backend,
        step=done,
        total=total,
        eta=None if over else state.eta(),
        reward=_reward(feed),
        scores=scores_line(state.metrics) if record.kind == "evaluate" else "",
        failed=int(state.metrics.get(FAILED, 0)),
        elapsed=elapsed,
        cost=estimate(record, until, price),
        attempt=attempt(state.attempt, state.taken_up.why) if state.taken_up else "",
        ended_ago=max(0.0, now - end) if over and end else None,
    )


def _waiting(feed: Feed) -> str:
    """A run whose image is there waits until Modal has a machine for it; until then it does nothing."""
    built = feed.state.phases.keys() == {"image"} and feed.state.taken_up is None
    return "waiting for a machine" if built and feed.record.backend == "modal" else ""


def _counted(feed: Feed) -> tuple[int | None, int | None]:
    """How far it is: optimiser steps, or episodes of an evaluation."""
    if feed.record.kind != "evaluate":
        return feed.state.step, feed.state.total_steps
    episodes = feed.state.progress.get("episodes")
    return (None, None) if episodes is None else (int(episodes.done), int(episodes.total) or None)


def _reward(feed: Feed) -> float | None:
    return next((feed.state.metrics[n] for n in ("reward", "eval/total") if n in feed.state.metrics), None)


def checkpoints_of(feed: Feed) -> list[Saved]:
    """What can be evaluated of a training; an evaluation saves nothing."""
    if feed.record.kind != "train":
        return []
    return saved_of(feed.state.checkpoints, done=feed.status == "done")


def failure_of(feed: Feed) -> dict[str, Any] | None:
    """What the run said of its failure, or else what its record says."""
    if feed.state.failure is not None:
        return feed.state.failure.on_record()
    return feed.record.failure


def proposal_of(feed: Feed) -> dict[str, Any]:
    """The change that mends it, where one config key does."""
    hint = (failure_of(feed) or {}).get("hint") or {}
    return {str(hint["key"]): hint.get("to")} if hint.get("key") else {}

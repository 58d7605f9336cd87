"""The output of `vfm show`, as text and as JSON: a run's record, its state and its cost."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from remote.contract.checkpoint_names import best_checkpoint, score_label
from remote.contract.errors import BackendError
from tui.services.checkpoints import as_it_is, missing, still_there
from tui.store.episodes.scores import scores_of
from tui.text.format import duration, moment, named, number, plain, plus_minus

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client
    from tui.store.runs.state import PhaseState, RunState


@dataclass(frozen=True)
class Cost:
    """What a run costs, in US dollars; None where that is unknown, or nothing is charged."""

    hour: float | None = None
    estimated: float | None = None
    """By the time that it had machines."""
    seconds: float | None = None
    """Seconds that it had machines."""
    billed: float | None = None
    """By the backend's bill, of a run that is over."""
    note: str = ""
    """Why there is no bill."""


async def cost_of(client: Client, record: RunRecord) -> Cost:
    """A run's cost, with the backend's bill of a run that is over."""
    from tui.services.price import estimate, machine_seconds

    now = time.time()
    hour = record.usd_per_hour
    known = Cost(hour, estimate(record, now), None if hour is None else machine_seconds(record, now))
    if record.backend == "local" or not record.ended_already:
        return known
    try:
        return replace(known, billed=await client.billed(record))
    except BackendError as error:
        return replace(known, note=f"no bill: {error.message}")


def as_dict(
    record: RunRecord, state: RunState, cost: Cost, saved: frozenset[str] | None = None
) -> dict[str, Any]:
    """The record's fields, its cost, and under `state` what its events add up to.

    `saved`: names of the checkpoints in the volume; None if unknown: then all that were announced are listed.
    """
    return {
        **record.model_dump(mode="json"),
        "estimated_usd": None if cost.estimated is None else round(cost.estimated, 4),
        "billed_usd": cost.billed,
        "state": {
            "phases": [_phase(phase) for phase in state.phases.values()],
            "attempt": state.attempt,
            "server_restarts": state.restarts,
            "step": state.step,
            "total_steps": state.total_steps,
            "eta": state.eta(),
            "metrics": state.metrics,
            "scores": [asdict(score) for score in scores_of(state.metrics)],
            "checkpoints": [
                {
                    "step": c.step,
                    "path": c.path,
                    "score": c.score,
                    "best": c is best_checkpoint(state.checkpoints),
                }
                for c in still_there(state.checkpoints, saved)
            ],
            "system": state.system,
            "rollouts": state.rollouts,
        },
    }


def _restarts(state: RunState) -> str:
    if state.restarted is None:
        return ""
    times = f"{state.restarts} time{'s' * (state.restarts > 1)}"
    return f"restarted {times} (last: {state.restarted.why})"


def _phase(phase: PhaseState) -> dict[str, Any]:
    return {
        "phase": phase.name,
        "status": phase.status,
        "started": phase.started,
        "ended": phase.ended,
        "details": [_phase(detail) for detail in phase.details.values()],
    }


def as_text(record: RunRecord, state: RunState, cost: Cost, saved: frozenset[str] | None = None) -> str:
    """The text, what matters most first."""
    from tui.cli.follow import closing
    from tui.store.logs.event_text import attempt

    facts = {
        "run": f"{record.run_id} ({record.kind} on {record.backend})",
        "status": record.status,
        "attempt": attempt(state.attempt, state.taken_up.why).removeprefix("attempt ")
        if state.taken_up
        else "",
        "server": _restarts(state),
        **_progress(record, state),
        "time left": "" if (eta := state.eta()) is None else f"about {duration(eta)}",
        "environment": record.environment,
        "model": record.model,
        "config": record.config_path or "",
        "created": moment(record.created),
        "ended": moment(record.ended) if record.ended else "",
        "revision": _revision(record.git),
        "page": record.identifiers.get("page", ""),
        "cost": _cost(cost),
    }
    lines = [plain(f"{name + ':':13}{value}") for name, value in facts.items() if value]
    lines += [f"{'phases:':13}{_phases(state)}"] if state.phases else []
    lines += [f"{'score:':13}{plain(line)}" for line in _scores(state)]
    lines += [f"{'checkpoint:':13}{plain(line)}" for line in _checkpoints(record, state, saved)]
    lines += [f"  {named(name)} {number(value)}" for name, value in sorted(state.metrics.items())]
    return "\n".join([*lines, "", closing(as_it_is(record, saved))])


def _progress(record: RunRecord, state: RunState) -> dict[str, str]:
    """Progress: steps of a training, episodes of an evaluation."""
    if record.kind != "evaluate":
        return {"step": "" if state.step is None else f"{state.step} of {state.total_steps or '?'}"}
    counted = state.progress.get("episodes")
    failed = state.metrics.get("eval/failed", 0.0)
    played = "" if counted is None else f"{counted.done:.0f} of {counted.total:.0f}"
    return {"episodes": played + (f", {failed:.0f} failed" if failed else "")}


def _scores(state: RunState) -> list[str]:
    """The parts of an evaluation's reward, with their standard errors."""
    found = scores_of(state.metrics)
    width = max((len(score.name) for score in found), default=0)
    return [f"{score.name:{width}}  {plus_minus(score.mean, score.standard_error)}" for score in found]


def _checkpoints(record: RunRecord, state: RunState, saved: frozenset[str] | None) -> list[str]:
    best = best_checkpoint(state.checkpoints)
    existing = still_there(state.checkpoints, saved)
    labels = [(c, score_label(c.score, c is best)) for c in existing]
    lines = [f"step {c.step} · {c.path}" + (f" · {label}" if label else "") for c, label in labels]
    if lines and saved is None:
        lines.append("(as of the run's last event: its volume could not be listed)")
    return [*lines, *filter(None, [missing(record, saved)])]


def _cost(cost: Cost) -> str:
    from tui.planning.price_text import billed, estimated, usd

    parts = []
    if cost.estimated is not None and cost.hour is not None and cost.seconds is not None:
        parts.append(f"{estimated(cost.estimated)} ({duration(cost.seconds)} at {usd(cost.hour)} an hour)")
    if cost.billed is not None:
        parts.append(billed(cost.billed))
    if cost.note:
        parts.append(cost.note)
    return " · ".join(parts)


def _phases(state: RunState) -> str:
    phases = []
    for phase in state.phases.values():
        took = "" if phase.seconds is None else f" {duration(phase.seconds)}"
        phases.append(
            f"{phase.name}{took}" if phase.status == "done" else f"{phase.name}{took} ({phase.status})"
        )
    return " · ".join(map(plain, phases))


def _revision(git: dict[str, Any]) -> str:
    revision = str(git.get("revision") or "")[:12]
    return f"{revision} with changes" if revision and git.get("dirty") else revision

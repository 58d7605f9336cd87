"""What `vfm show` says of a run: its record and what its events add up to.

Owns the shape of that document, for people and as JSON. The fold is `tui/store/runs`'.
"""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from remote.contract.checkpoint_names import best_checkpoint, score_label
from remote.contract.errors import BackendError
from tui.store.episodes.scores import scores_of
from tui.text.format import duration, moment, named, number, plain, plus_minus

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client
    from tui.store.runs.state import PhaseState, RunState


@dataclass(frozen=True)
class Cost:
    """What a run costs, in US dollars; None where that is unknown, or nothing."""

    hour: float | None = None
    estimated: float | None = None
    """By the time that its machines took."""
    seconds: float | None = None
    """That time."""
    billed: float | None = None
    """What the backend's bill says, of a run that is over; where it says anything."""
    note: str = ""
    """Why that could not be asked."""


async def cost_of(client: Client, record: RunRecord) -> Cost:
    """What is known of a run's cost; asks the backend where its record says no price, and for the bill.

    Raises `BackendError` for the price; a bill that cannot be had is none.
    """
    from tui.services.price import estimate, machine_seconds, price_an_hour

    now = time.time()
    hour = await price_an_hour(client, record)
    known = Cost(hour, estimate(record, now, hour), None if hour is None else machine_seconds(record, now))
    if record.backend == "local" or not record.ended_already:
        return known
    try:
        return replace(known, billed=await client.billed(record))
    except BackendError as error:
        return replace(known, note=f"the bill is not to be had: {error.message}")


def as_dict(record: RunRecord, state: RunState, cost: Cost) -> dict[str, Any]:
    """The record's own fields, what it costs, and under `state` what its events add up to."""
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
                for c in state.checkpoints
            ],
            "system": state.system,
            "rollouts": state.rollouts,
        },
    }


def _restarts(state: RunState) -> str:
    if state.restarted is None:
        return ""
    times = f"{state.restarts} time{'s' * (state.restarts > 1)}"
    return f"started again {times} (last: {state.restarted.why})"


def _phase(phase: PhaseState) -> dict[str, Any]:
    return {
        "phase": phase.name,
        "status": phase.status,
        "started": phase.started,
        "ended": phase.ended,
        "details": [_phase(detail) for detail in phase.details.values()],
    }


def as_text(record: RunRecord, state: RunState, cost: Cost) -> str:
    """The same for a person: what matters most comes first."""
    from tui.cli.follow import closing
    from tui.store.logs.event_text import attempt

    facts = {
        "run": f"{record.run_id} ({record.kind} on {record.backend})",
        "status": record.status,
        "attempt": attempt(state.attempt, state.taken_up.why).removeprefix("attempt ")
        if state.taken_up
        else "",
        "server": _restarts(state),
        **_how_far(record, state),
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
    lines += [f"{'checkpoint:':13}{plain(line)}" for line in _checkpoints(state)]
    lines += [f"  {named(name)} {number(value)}" for name, value in sorted(state.metrics.items())]
    return "\n".join([*lines, "", closing(record)])


def _how_far(record: RunRecord, state: RunState) -> dict[str, str]:
    """Steps of a training, episodes of an evaluation."""
    if record.kind != "evaluate":
        return {"step": "" if state.step is None else f"{state.step} of {state.total_steps or '?'}"}
    counted = state.progress.get("episodes")
    failed = state.metrics.get("eval/failed", 0.0)
    said = "" if counted is None else f"{counted.done:.0f} of {counted.total:.0f}"
    return {"episodes": said + (f", {failed:.0f} failed" if failed else "")}


def _scores(state: RunState) -> list[str]:
    """Each part of an evaluation's reward, with its standard error."""
    found = scores_of(state.metrics)
    width = max((len(score.name) for score in found), default=0)
    return [f"{score.name:{width}}  {plus_minus(score.mean, score.standard_error)}" for score in found]


def _checkpoints(state: RunState) -> list[str]:
    best = best_checkpoint(state.checkpoints)
    said = [(c, score_label(c.score, c is best)) for c in state.checkpoints]
    return [f"step {c.step} · {c.path}" + (f" · {words}" if words else "") for c, words in said]


def _cost(cost: Cost) -> str:
    from tui.planning.price_text import billed, estimated, usd

    said = []
    if cost.estimated is not None and cost.hour is not None and cost.seconds is not None:
        said.append(f"{estimated(cost.estimated)} ({duration(cost.seconds)} at {usd(cost.hour)} an hour)")
    if cost.billed is not None:
        said.append(billed(cost.billed))
    if cost.note:
        said.append(cost.note)
    return " · ".join(said)


def _phases(state: RunState) -> str:
    told = []
    for phase in state.phases.values():
        took = "" if phase.seconds is None else f" {duration(phase.seconds)}"
        told.append(
            f"{phase.name}{took}" if phase.status == "done" else f"{phase.name}{took} ({phase.status})"
        )
    return " · ".join(map(plain, told))


def _revision(git: dict[str, Any]) -> str:
    revision = str(git.get("revision") or "")[:12]
    return f"{revision} with changes" if revision and git.get("dirty") else revision

"""What `vfm show` says of a run: its record and what its events add up to.

Owns the shape of that document, for people and as JSON. The fold is `tui/store/runs`'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tui.words import duration, moment, number, visible

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.store.runs import PhaseState, RunState


def as_dict(record: RunRecord, state: RunState) -> dict[str, Any]:
    """The record's own fields, and under `state` what its events add up to."""
    return {
        **record.model_dump(mode="json"),
        "state": {
            "phases": [_phase(phase) for phase in state.phases.values()],
            "step": state.step,
            "total_steps": state.total_steps,
            "eta": state.eta(),
            "metrics": state.metrics,
            "checkpoints": [{"step": c.step, "path": c.path} for c in state.checkpoints],
            "system": state.system,
            "rollouts": state.rollouts,
        },
    }


def _phase(phase: PhaseState) -> dict[str, Any]:
    return {
        "phase": phase.name,
        "status": phase.status,
        "started": phase.started,
        "ended": phase.ended,
        "details": [_phase(detail) for detail in phase.details.values()],
    }


def as_text(record: RunRecord, state: RunState) -> str:
    """The same for a person: what matters most comes first."""
    from tui.cli.follow import closing

    facts = {
        "run": f"{record.run_id} ({record.kind} on {record.backend})",
        "status": record.status,
        "step": "" if state.step is None else f"{state.step} of {state.total_steps or '?'}",
        "time left": "" if (eta := state.eta()) is None else f"about {duration(eta)}",
        "environment": record.environment,
        "model": record.model,
        "config": record.config_path or "",
        "created": moment(record.created),
        "ended": moment(record.ended) if record.ended else "",
        "revision": _revision(record.git),
    }
    lines = [visible(f"{name + ':':13}{value}") for name, value in facts.items() if value]
    lines += [f"{'phases:':13}{_phases(state)}"] if state.phases else []
    lines += [f"{'checkpoint:':13}step {c.step} · {visible(c.path)}" for c in state.checkpoints]
    lines += [f"  {visible(name)} {number(value)}" for name, value in sorted(state.metrics.items())]
    return "\n".join([*lines, "", closing(record)])


def _phases(state: RunState) -> str:
    told = []
    for phase in state.phases.values():
        took = "" if phase.seconds is None else f" {duration(phase.seconds)}"
        told.append(
            f"{phase.name}{took}" if phase.status == "done" else f"{phase.name}{took} ({phase.status})"
        )
    return " · ".join(map(visible, told))


def _revision(git: dict[str, Any]) -> str:
    revision = str(git.get("revision") or "")[:12]
    return f"{revision} with changes" if revision and git.get("dirty") else revision

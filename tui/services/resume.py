"""Resume a run that is over, in its own directory.

Owns reading the run's request from its volume, and which keys may change: none that would make it another
training or evaluation. `rerun.py` launches the same again, as a new run.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from pydantic import ValidationError

from remote.contract import layout
from remote.contract.errors import ConfigError, Hint
from remote.contract.record import Kind, LaunchRequest, Provenance, Reached, RunRecord
from remote.contract.spec import ExperimentSpec
from tui.client import Client
from tui.config import layers, overrides
from tui.config.overrides import Override
from tui.config.problems import ConfigProblems, Problem
from tui.config.resolve import Resolved
from tui.planning.plan import Plan, check_spec, lacks_bfloat16
from tui.planning.prices import price_of
from tui.services import checkpoints
from tui.settings import Settings

SECTIONS = ("modal", "budget", "vllm", "wandb")
"""Sections that may change: the machine, its cost, how the server runs, where metrics go."""
KEYS = frozenset(
    {
        "training.steps",
        "training.batch_size",
        "training.gradient_accumulation_steps",
        "training.gradient_checkpointing",
        "training.save_steps",
        "training.save_total_limit",
        "training.eval_steps",
        "training.concurrency",
        "training.log_rollouts",
        "training.max_logp_difference",
        "evaluation.num_examples",
        "evaluation.rollouts_per_example",
    }
)
"""Other keys that may change: how long the run is, how a step is divided, what is saved and shown."""
OF_AN_EVALUATION = frozenset({"vllm.max_model_len", "vllm.enable_auto_tool_choice", "vllm.tool_call_parser"})
"""Exceptions for evaluations: they decide what the model is asked, so that its score would mix two."""


async def plan_resume(client: Client, settings: Settings, run_id: str, typed: Sequence[str] = ()) -> Plan:
    """Plan resuming a run; `typed` are overrides (`KEY=VALUE`).

    Raises `RunNotFound`, `ConfigError` where there is nothing to resume, and `ConfigProblems` for keys that
    may not change.
    """
    run = await client.status(await client.find(run_id))
    if not run.ended_already:
        raise ConfigError(
            f"{run.run_id} is still {run.status}: there is nothing to resume",
            hint=Hint(f"watch it: vfm logs {run.run_id} --follow"),
        )
    request = await _request(client, run)
    changes = overrides.parse(typed)
    spec = _changed(request, changes)
    _check_there_is_work(run, request.spec, spec)
    provenance = {o.dotted: Provenance(layer="set", where=o.where) for o in changes}
    provenance = {**request.provenance, **provenance}
    _check_machine(request, spec, provenance, settings)
    names = await checkpoints.saved(client, run)
    gone = checkpoints.missing(run, names)
    price, note = price_of(spec, settings, run.backend, run.kind)
    request = request.model_copy(
        update={
            "spec": spec,
            "provenance": provenance,
            "usd_per_hour": None if price is None else price.hour,
        }
    )
    return Plan(
        request=request,
        diff=[],
        command=shlex.join(["vfm", "resume", run.run_id, *overrides.shown_options(changes)]),
        notices=[*([gone] if gone else []), beginning(checkpoints.as_it_is(run, names))],
        reasons={"price": note},
        price=price,
    )


def beginning(run: RunRecord) -> str:
    """Where a resumed run begins, in a sentence."""
    if run.kind == "evaluate":
        return "episodes that are over are not played again"
    if run.reached is None:
        return "it continues from its newest complete checkpoint, or at step 0 if there is none"
    if run.reached.checkpoint is None:
        return "there is no checkpoint: it starts again at step 0"
    return f"it continues from the checkpoint of step {run.reached.checkpoint}"


def offer(run: RunRecord) -> str:
    """How far an interrupted run got, and the command that resumes it."""
    return f"{run.run_id} was interrupted{_at(run.reached)}: vfm resume {run.run_id}"


def _at(reached: Reached | None) -> str:
    if reached is None:
        return ""
    what = "step" if reached.counts == "steps" else "episode"
    return f" at {what} {reached.done} of {reached.total}"


async def _request(client: Client, run: RunRecord) -> LaunchRequest:
    path = str(layout.run_path(run.run_id) / layout.REQUEST)
    try:
        request = LaunchRequest.model_validate_json(await client.read(run.outputs, path, backend=run.backend))
    except (ValueError, OSError) as error:
        raise ConfigError(
            f"{run.outputs}:{path} is damaged",
            cause=str(error).partition("\n")[0],
            hint=Hint(f"run it again: vfm rerun {run.run_id}"),
        ) from error
    if (request.run_id, request.outputs) != (run.run_id, run.outputs):
        raise ConfigError(f"{run.outputs}:{path} is the request of another run, {request.run_id}")
    return request


def _changed(request: LaunchRequest, changes: Sequence[Override]) -> ExperimentSpec:
    """The run's spec with the changes. Raises `ConfigProblems` with each invalid one."""
    problems = [problem for o in changes if (problem := _refusal(request, o)) is not None]
    if problems:
        again = shlex.join(overrides.shown_options(changes))
        raise ConfigProblems(problems, Hint(f"for a new run: vfm launch CONFIG {again}"))
    data = request.spec.model_dump()
    for change in changes:
        section: dict[str, Any] = data
        for name in change.key[:-1]:
            section = section[name]
        section[change.key[-1]] = change.value
    try:
        spec = ExperimentSpec.model_validate(data)
    except ValidationError as error:
        typed = {o.key: o.where for o in changes}
        all_options = ", ".join(typed.values())
        found = [
            (tuple(map(str, e["loc"])), str(e["msg"]).removeprefix("Value error, ")) for e in error.errors()
        ]
        raise ConfigProblems(
            [
                Problem(f"{'.'.join(key)}: {text}" if key else text, typed.get(key, all_options))
                for key, text in found
            ]
        ) from error
    if spec.episodes_per_step != request.spec.episodes_per_step:
        raise ConfigError(
            f"a step of {request.run_id} has {request.spec.episodes_per_step} episodes, and would have "
            f"{spec.episodes_per_step}: that would be another training",
            hint=Hint("keep batch_size × gradient_accumulation_steps"),
        )
    return spec


def may_change(key: str, kind: Kind) -> bool:
    """Whether a dotted key may change when a run is resumed."""
    mixes = kind == "evaluate" and key in OF_AN_EVALUATION
    return (key.partition(".")[0] in SECTIONS or key in KEYS) and not mixes


def _refusal(request: LaunchRequest, change: Override) -> Problem | None:
    if (unknown := layers.unknown(change.key, change.where)) is not None:
        return unknown
    if may_change(change.dotted, request.kind):
        return None
    what = "evaluation" if request.kind == "evaluate" else "training"
    text = f"{change.dotted} cannot change in mid-run: it would be another {what}"
    return Problem(text, change.where, change.dotted)


def _check_there_is_work(run: RunRecord, before: ExperimentSpec, now: ExperimentSpec) -> None:
    """Raise `ConfigError` where the run is done and gets nothing more to do."""
    if run.kind == "evaluate":
        more = _episodes(now) > _episodes(before)
        hint = f"play more: vfm resume {run.run_id} --set evaluation.num_examples=N"
    else:
        more = now.training.steps > before.training.steps
        hint = f"train longer: vfm resume {run.run_id} --set training.steps={2 * before.training.steps}"
    if run.status == "done" and not more:
        raise ConfigError(f"{run.run_id} is done: there is nothing to resume", hint=Hint(hint))
    done = run.reached.done if run.reached is not None and run.kind == "train" else 0
    if now.training.steps < done:
        raise ConfigError(
            f"{run.run_id} has done {done} steps already: training.steps={now.training.steps} is less",
            hint=Hint(f"keep {before.training.steps}, or raise it"),
        )


def _check_machine(
    request: LaunchRequest, spec: ExperimentSpec, known: dict[str, Provenance], settings: Settings
) -> None:
    """Check the machine and secrets as a launch does. Raises `ConfigError`."""
    values = {".".join(key): value for key, value in layers.leaves(spec.model_dump())}
    sources = {**dict.fromkeys(values, Provenance(layer="default")), **known}
    check_spec(Resolved(spec, sources, [], values), settings, request.kind, request.backend)
    if lacks_bfloat16(spec, request.kind, request.backend):
        raise ConfigError(
            f"{request.run_id} computes in bfloat16, which a {spec.modal.gpu.type} does not support",
            hint=Hint(
                "choose another modal.gpu.type, such as L4", "modal.gpu.type", spec.modal.gpu.type, "L4"
            ),
        )


def _episodes(spec: ExperimentSpec) -> int:
    return spec.evaluation.num_examples * spec.evaluation.rollouts_per_example

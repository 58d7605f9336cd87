"""Compare runs task by task: evaluations, held-out scores of trainings, one training before and after.

Owns finding each side's file of episodes, and why two sides cannot be compared. The test is in
`store/episodes/paired_test.py`.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from remote.contract import layout
from remote.contract.errors import ConfigError, Hint, VfmError
from remote.contract.json_text import from_json
from tui.store.episodes.paired_test import Paired, paired
from tui.store.episodes.task_scores import TOTAL, TaskScores, task_scores

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client

_HELD_OUT = re.compile(r"held-out-(\d+)\.jsonl")


@dataclass(frozen=True)
class Side:
    """One side of a comparison."""

    label: str
    """`k3f9x-wordle`, `k3f9x-wordle, held out after step 40`."""
    environment: str
    options: dict[str, Any] = field(default_factory=dict)
    scores: TaskScores = field(default_factory=TaskScores)


@dataclass(frozen=True)
class Comparison:
    """Two sides and the paired test of each part of the reward."""

    before: Side
    after: Side
    parts: dict[str, Paired] = field(default_factory=dict)
    """`reward` first, then each part that both sides have."""
    why_not: str = ""
    """Why the sides cannot be compared; empty where they can."""


async def compare(client: Client, runs: Sequence[RunRecord]) -> list[Comparison]:
    """Compare the first run with each further one; a training alone, before and after.

    Raises `ConfigError` where a run has no scores by task, and what reading them raises.
    """
    if len(runs) == 1:
        before, after = await _ends(client, runs[0])
        return [await asyncio.to_thread(match, before, after)]
    first, *others = [await side_of(client, run) for run in runs]
    return [await asyncio.to_thread(match, first, other) for other in others]


async def side_of(client: Client, run: RunRecord) -> Side:
    """A run's scores: an evaluation's, or a training's last held-out ones. Raises `ConfigError`."""
    if run.kind == "evaluate":
        path = str(layout.run_path(run.run_id) / layout.EVALUATION_EPISODES)
        return await _side(client, run, path, run.run_id)
    return await _held_out(client, run, (await _held_out_steps(client, run))[-1])


def match(before: Side, after: Side) -> Comparison:
    """Compare two sides, or say why they cannot be compared."""
    if why := _why_not(before, after):
        return Comparison(before, after, why_not=why)
    names = [name for name in before.scores.parts if name in after.scores.parts]
    found = {name: paired(before.scores.parts[name], after.scores.parts[name]) for name in names}
    parts = {name: result for name, result in found.items() if result is not None}
    return Comparison(before, after, parts, "" if parts else "they share no task")


def _why_not(before: Side, after: Side) -> str:
    if before.environment != after.environment:
        return f"their environments differ: {before.environment} and {after.environment}"
    keys = sorted({*before.options, *after.options})
    differing = [key for key in keys if before.options.get(key) != after.options.get(key)]
    if differing:
        options = [f"{key} ({_text(before, key)} and {_text(after, key)})" for key in differing]
        return f"options of the environment differ, so their tasks may too: {', '.join(options)}"
    empty = [side.label for side in (before, after) if not side.scores.tasks]
    return f"{' and '.join(empty)}: no episode has a score" if empty else ""


def _text(side: Side, key: str) -> str:
    return json.dumps(side.options[key], ensure_ascii=False) if key in side.options else "unset"


async def _ends(client: Client, run: RunRecord) -> tuple[Side, Side]:
    if run.kind == "evaluate":
        raise ConfigError(
            f"{run.run_id} is an evaluation, which cannot be compared alone",
            hint=Hint(f"name a second run: vfm compare {run.run_id} RUN"),
        )
    try:
        first, *others = await _held_out_steps(client, run)
    except ConfigError as error:
        raise ConfigError(
            f"a training alone is compared before and after, but {error.message}",
            hint=Hint(f"name a second run: vfm compare {run.run_id} RUN"),
        ) from error
    if not others:
        raise ConfigError(
            f"{run.run_id} has held-out scores of one step only, {first}",
            hint=Hint("compare it after its next held-out scores, or with another run"),
        )
    return await _held_out(client, run, first), await _held_out(client, run, others[-1])


async def _held_out_steps(client: Client, run: RunRecord) -> list[int]:
    """The steps at which a training scored its held-out tasks; at least one. Raises `ConfigError`."""
    folder = str(layout.run_path(run.run_id) / layout.ROLLOUTS)
    try:
        entries = await client.ls(run.outputs, folder, backend=run.backend)
    except ConfigError:
        entries = []  # no such folder yet
    found = (_HELD_OUT.fullmatch(PurePosixPath(entry.path).name) for entry in entries)
    if steps := sorted(int(match[1]) for match in found if match):
        return steps
    raise ConfigError(
        f"{run.run_id} has no held-out scores",
        hint=Hint(f"evaluate its checkpoint: vfm launch --kind evaluate --checkpoint {run.run_id}"),
    )


async def _held_out(client: Client, run: RunRecord, step: int) -> Side:
    path = str(layout.run_path(run.run_id) / layout.ROLLOUTS / f"held-out-{step:06d}.jsonl")
    when = f"after step {step}" if step else "before training"
    return await _side(client, run, path, f"{run.run_id}, held out {when}")


async def _side(client: Client, run: RunRecord, path: str, label: str) -> Side:
    spec = str(layout.run_path(run.run_id) / layout.SPEC)
    try:
        data = await client.read(run.outputs, path, backend=run.backend)
        training = from_json(await client.read(run.outputs, spec, backend=run.backend))["spec"]["training"]
        options = dict(training["environment_args"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            f"{run.outputs}:{spec} is damaged: {error}",
            hint=Hint(f"evaluate {run.run_id} again"),
        ) from error
    except VfmError as error:
        raise ConfigError(
            f"{run.run_id} has no episodes yet: {error.message}",
            hint=Hint(f"see its progress: vfm show {run.run_id}"),
        ) from error
    return Side(label, run.environment, options, await asyncio.to_thread(task_scores, data))


def headline(comparison: Comparison) -> Paired | None:
    """The comparison of the total reward."""
    return comparison.parts.get(TOTAL)

"""A run once more: as it was, or as a draft to change first.

Owns finding out what a run was asked to do, from what it keeps in its volume, whichever backend it ran
on, and that an evaluation which broke off is gone on with. Planning is plan's, starting the backend's.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from pydantic import ValidationError

from remote.contract import layout
from remote.contract.errors import ConfigError, Hint
from remote.contract.json_text import from_json
from remote.contract.record import Provenance, RunRecord
from remote.contract.spec import ExperimentSpec
from tui.client import Client
from tui.config import layers, schema
from tui.config.problems import ConfigProblems
from tui.config.schema import Row
from tui.planning.draft import RUN, YOU, Draft, value_at
from tui.planning.plan import Plan
from tui.settings import Settings


async def rerun(client: Client, settings: Settings, run_id: str) -> RunRecord:
    """Start the same run again, under the names of today's `.env`.

    Raises `RunNotFound`, `ConfigError` where the run does not say what it was, and what planning and
    launching raise.
    """
    return await client.launch(await plan_again(client, settings, run_id))


async def plan_again(client: Client, settings: Settings, run_id: str) -> Plan:
    """What `rerun` would launch, and at what price. Raises what it raises but for the launch.

    An evaluation that broke off is gone on with: its episodes that are over are not played again.
    """
    run = await client.find(run_id)
    draft = await draft_of(client, settings, run.run_id)
    plan = await asyncio.to_thread(draft.plan, settings)
    if not (resume := _left_behind(client, run, plan)):
        return plan
    notice = f"goes on with {run.run_id}: its episodes that are over are not played again"
    request = plan.request.model_copy(update={"resume": resume})
    return replace(plan, request=request, notices=[*plan.notices, notice])


def _left_behind(client: Client, run: RunRecord, plan: Plan) -> str:
    """Where the worker finds an evaluation that broke off; empty where it cannot, or there is none."""
    if run.kind != "evaluate" or run.status not in ("failed", "cancelled"):
        return ""
    if run.backend == "local":
        return str(client.of(run).log_path(run).parents[1].absolute())
    is_mounted = run.outputs == plan.request.outputs
    return f"{layout.MODAL_OUTPUTS}/{layout.run_path(run.run_id)}" if is_mounted else ""


async def draft_of(client: Client, settings: Settings, run_id: str) -> Draft:
    """A run as a draft: its config, what had been typed over it, and whatever differs from today's file.

    Where the file is gone, all that differs from the defaults is typed by the run. Raises `RunNotFound`
    and `ConfigError`.
    """
    run = await client.find(run_id)
    spec, provenance = await _asked(client, run)
    return await asyncio.to_thread(_draft, run, spec, provenance, settings)


async def _asked(client: Client, run: RunRecord) -> tuple[ExperimentSpec, dict[str, Provenance]]:
    """The run's spec and where its values came from."""
    path = str(layout.run_path(run.run_id) / layout.SPEC)
    try:
        data = from_json(await client.read(run.outputs, path, backend=run.backend))
        spec = ExperimentSpec.model_validate(data["spec"])
        sources = data.get("provenance", {})
        return spec, {key: Provenance.model_validate(source) for key, source in sources.items()}
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ConfigError(
            f"{run.outputs}:{path} does not say what {run.run_id} was asked to do: {error}",
            hint=Hint("launch its config anew"),
        ) from error


def _draft(
    run: RunRecord, spec: ExperimentSpec, provenance: dict[str, Provenance], settings: Settings
) -> Draft:
    values = {".".join(key): value for key, value in layers.leaves(spec.model_dump())}
    # What was set by itself will be again.
    asked = [row for row in schema.rows() if not _is_derived(row, provenance)]
    try:
        draft = Draft.load(run.config_path, settings.project_dir, kind=run.kind, backend=run.backend)
        for key, source in provenance.items():
            if source.layer == "set" and key in values:
                draft.put_value(key, values[key], YOU)
        _equalise(draft, spec, asked)
    except ConfigProblems:
        draft = Draft(kind=run.kind, backend=run.backend)
    if draft.resolved is None or _other(draft, spec, asked):
        # The file is gone, or no longer one that typing turns into what the run had.
        draft = Draft(kind=run.kind, backend=run.backend)
        _equalise(draft, spec, asked)
    return draft


def _equalise(draft: Draft, spec: ExperimentSpec, asked: list[Row]) -> None:
    """Type whatever the run had and the draft has not."""
    for row in _other(draft, spec, asked):
        draft.put_value(row.key, value_at(spec, row), RUN)


def _other(draft: Draft, spec: ExperimentSpec, asked: list[Row]) -> list[Row]:
    return [row for row in asked if draft.value(row) != value_at(spec, row)]


def _is_derived(row: Row, provenance: dict[str, Provenance]) -> bool:
    source = provenance.get(row.key)
    return source is not None and source.layer == "derived"

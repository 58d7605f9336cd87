"""Launch a run again: as it was, or as a draft to change first.

Owns reading a run's spec from its volume, and having an interrupted evaluation continue.
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


async def plan_again(client: Client, settings: Settings, run_id: str) -> Plan:
    """Plan the same run again, under the names of today's `.env`.

    An interrupted evaluation continues: episodes that are over are not played again. Raises `RunNotFound`,
    `ConfigError` where the run's spec cannot be read, and what planning raises.
    """
    run = await client.find(run_id)
    draft = await draft_of(client, settings, run.run_id)
    plan = await asyncio.to_thread(draft.plan, settings)
    if not (resume := _left_behind(client, run, plan)):
        return plan
    notice = f"continues {run.run_id}: episodes that are over are not played again"
    request = plan.request.model_copy(update={"resume": resume})
    return replace(plan, request=request, notices=[*plan.notices, notice])


def _left_behind(client: Client, run: RunRecord, plan: Plan) -> str:
    """The directory of the interrupted evaluation, where the worker can read it; else empty."""
    if run.kind != "evaluate" or run.status not in ("failed", "cancelled"):
        return ""
    if run.backend == "local":
        return str(client.of(run).log_path(run).parents[1].absolute())
    is_mounted = run.outputs == plan.request.outputs
    return f"{layout.MODAL_OUTPUTS}/{layout.run_path(run.run_id)}" if is_mounted else ""


async def draft_of(client: Client, settings: Settings, run_id: str) -> Draft:
    """A run as a draft: its config, its overrides, and whatever differs from today's file.

    Where the file is gone, the draft is the defaults with all that differs. Raises `RunNotFound` and
    `ConfigError`.
    """
    run = await client.find(run_id)
    spec, provenance = await _spec(client, run)
    return await asyncio.to_thread(_draft, run, spec, provenance, settings)


async def _spec(client: Client, run: RunRecord) -> tuple[ExperimentSpec, dict[str, Provenance]]:
    """The run's spec and where its values came from. Raises `ConfigError`."""
    path = str(layout.run_path(run.run_id) / layout.SPEC)
    try:
        data = from_json(await client.read(run.outputs, path, backend=run.backend))
        spec = ExperimentSpec.model_validate(data["spec"])
        sources = data.get("provenance", {})
        return spec, {key: Provenance.model_validate(source) for key, source in sources.items()}
    except (ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
        raise ConfigError(
            f"{run.outputs}:{path} is damaged: {error}",
            hint=Hint("launch its config again"),
        ) from error


def _draft(
    run: RunRecord, spec: ExperimentSpec, provenance: dict[str, Provenance], settings: Settings
) -> Draft:
    values = {".".join(key): value for key, value in layers.leaves(spec.model_dump())}
    # What was derived will be derived again.
    rows = [row for row in schema.rows() if not _is_derived(row, provenance)]
    try:
        draft = Draft.load(run.config_path, settings.project_dir, kind=run.kind, backend=run.backend)
        for key, source in provenance.items():
            if source.layer == "set" and key in values:
                draft.put_value(key, values[key], YOU)
        _equalise(draft, spec, rows)
    except ConfigProblems:
        draft = Draft(kind=run.kind, backend=run.backend)
    if draft.resolved is None or _differing(draft, spec, rows):
        # The file is gone, or overrides cannot turn it into the run's spec.
        draft = Draft(kind=run.kind, backend=run.backend)
        _equalise(draft, spec, rows)
    return draft


def _equalise(draft: Draft, spec: ExperimentSpec, rows: list[Row]) -> None:
    """Override whatever differs from the run."""
    for row in _differing(draft, spec, rows):
        draft.put_value(row.key, value_at(spec, row), RUN)


def _differing(draft: Draft, spec: ExperimentSpec, rows: list[Row]) -> list[Row]:
    return [row for row in rows if draft.value(row) != value_at(spec, row)]


def _is_derived(row: Row, provenance: dict[str, Provenance]) -> bool:
    source = provenance.get(row.key)
    return source is not None and source.layer == "derived"

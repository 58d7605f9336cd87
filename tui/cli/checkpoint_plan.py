"""`vfm launch --checkpoint`: plan the evaluation of a training's checkpoint.

Without a config, the training's own is used. The stream of a run on Modal is fetched first, since it lists
the checkpoints. `tui/planning/checkpoint.py` finds the checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client
    from tui.planning.plan import Plan

KEY = "evaluation.checkpoint"


async def plan_of_checkpoint(
    text: str, config: str | None, typed: Sequence[str], backend: str | None
) -> Plan:
    """The plan; backend None is the training's. Raises `RunNotFound` and what planning raises."""
    import asyncio

    from tui.cli.common import connect, make_plan
    from tui.config.overrides import spell

    if is_path(text):
        sets = (*typed, f"{KEY}={spell(text)}")
        return await asyncio.to_thread(make_plan, config, sets, kind="evaluate", backend=backend or "local")
    client = connect()
    run, _, name = text.partition(":")
    record = await _training(client, run)
    if record.backend != "local":
        await client.state(record)  # fetches its stream, which lists its checkpoints
    whole = f"{record.run_id}:{name}" if name else record.run_id
    if config is None:
        return await _of_its_config(client, record, whole, typed, backend)
    sets = (*typed, f"{KEY}={whole}")
    return await asyncio.to_thread(
        make_plan, config, sets, kind="evaluate", backend=backend or record.backend
    )


def is_path(text: str) -> bool:
    """Whether it names a folder: ids of runs hold no slash."""
    return "/" in text or text.startswith(("~", "."))


async def _training(client: Client, text: str) -> RunRecord:
    """Find the training; `last` is the newest one."""
    if text == "last":
        trainings = [record for record in (await client.runs()).rows if record.kind == "train"]
        if trainings:
            return trainings[0]
    return await client.find(text)


async def _of_its_config(
    client: Client, record: RunRecord, checkpoint: str, typed: Sequence[str], backend: str | None
) -> Plan:
    """The evaluation by the training's own config, with the overrides."""
    import asyncio

    from tui.config import overrides
    from tui.services.rerun import draft_of
    from tui.settings import Settings

    settings = Settings.load()
    draft = await draft_of(client, settings, record.run_id)
    draft.kind, draft.backend = "evaluate", backend or record.backend
    for override in overrides.parse([*typed, f"{KEY}={checkpoint}"]):
        draft.put_value(".".join(override.key), override.value)
    return await asyncio.to_thread(draft.plan, settings)

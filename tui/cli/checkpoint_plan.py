"""What stands behind `vfm launch --checkpoint`: the plan of an evaluation of a training's checkpoint.

Owns taking the training's own config where none is named, and bringing what is known of a run elsewhere to
this machine, so that its checkpoints can be told. Which checkpoint is meant is `tui/config/checkpoints`'.
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
    """The plan; `backend` None is the training's own. Raises `RunNotFound` and what planning raises."""
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
        await client.state(record)  # brings its output here, which tells of its checkpoints
    whole = f"{record.run_id}:{name}" if name else record.run_id
    if config is None:
        return await _of_its_config(client, record, whole, typed, backend)
    sets = (*typed, f"{KEY}={whole}")
    return await asyncio.to_thread(
        make_plan, config, sets, kind="evaluate", backend=backend or record.backend
    )


def is_path(text: str) -> bool:
    """Whether it names a folder: a run's id holds no slash."""
    return "/" in text or text.startswith(("~", "."))


async def _training(client: Client, text: str) -> RunRecord:
    """The run; `last` is the newest training."""
    if text == "last":
        trainings = [record for record in (await client.runs()).rows if record.kind == "train"]
        if trainings:
            return trainings[0]
    return await client.find(text)


async def _of_its_config(
    client: Client, record: RunRecord, checkpoint: str, typed: Sequence[str], backend: str | None
) -> Plan:
    """The evaluation in the training's own config, with what is typed over it."""
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

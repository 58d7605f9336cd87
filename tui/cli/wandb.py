"""`vfm wandb sync`: upload a run's Weights & Biases report after the run.

Owns the command; what there is to upload, and uploading it, is `tui/wandb_report`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tui.cli import outcome
from tui.cli.runs import run_argument

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.wandb_report import Written


@click.group()
def wandb() -> None:
    """Weights & Biases reports of runs."""


@wandb.command()
@run_argument
def sync(run: str) -> int:
    """Upload RUN's report, as far as it was written offline or broke off.

    The key is WANDB_API_KEY of .env. A run on Modal is fetched first. All attempts at a run are one report.
    """
    from tui.cli.client import connect
    from tui.cli.client import run as wait
    from tui.settings import Settings
    from tui.wandb_report import fetched, upload

    client, settings = connect(), Settings.load()

    async def find() -> tuple[RunRecord, Written]:
        record = await client.status(await client.find(run))
        return record, await fetched(client, settings, record)

    record, written = wait(find())
    if not written.left:
        outcome.say(f"{record.run_id}: all of the report is at Weights & Biases already")
        return outcome.DONE
    upload(settings, record, written, outcome.say)
    outcome.say(f"{record.run_id}: the report is at Weights & Biases")
    return outcome.DONE

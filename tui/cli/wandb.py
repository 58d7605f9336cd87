"""`vfm wandb sync`: upload a run's Weights & Biases report; `tui/services/wandb_sync.py` does it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tui.cli import exit_codes
from tui.cli.runs import run_argument

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.services.wandb_sync import Report


@click.group()
def wandb() -> None:
    """Upload Weights & Biases reports."""


@wandb.command()
@run_argument
def sync(run: str) -> int:
    """Upload what Weights & Biases lacks of RUN's report, such as all of it where it was written offline.

    WANDB_API_KEY is read from .env. Files of a run on Modal are downloaded first. All attempts make one
    report.
    """
    from tui.cli.common import connect
    from tui.cli.common import run as wait
    from tui.services.wandb_sync import find_report, upload
    from tui.settings import Settings

    client, settings = connect(), Settings.load()

    async def find() -> tuple[RunRecord, Report]:
        record = await client.status(await client.find(run))
        return record, await find_report(client, settings, record)

    record, report = wait(find())
    if not report.left:
        exit_codes.say(f"{record.run_id}: the whole report is at Weights & Biases already")
        return exit_codes.DONE
    upload(settings, record, report, exit_codes.say)
    exit_codes.say(f"{record.run_id}: the report is at Weights & Biases")
    return exit_codes.DONE

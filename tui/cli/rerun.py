"""`vfm rerun`: launch a run again; `tui/services/rerun.py` plans it."""

from __future__ import annotations

import click

from tui.cli.launch import detach_option, json_option, start
from tui.cli.runs import run_argument


@click.command()
@run_argument
@detach_option
@json_option
def rerun(run: str, detach: bool, as_json: bool) -> int:
    """Launch RUN again with the same config; an interrupted evaluation continues where it stopped."""
    from tui.cli.common import connect
    from tui.cli.common import run as wait
    from tui.services.rerun import plan_again
    from tui.settings import Settings

    plan = wait(plan_again(connect(), Settings.load(), run))
    return start(plan, detach=detach, as_json=as_json)

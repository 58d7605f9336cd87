"""`vfm rerun`: a run once more, as the app's "Run again" does it.

Owns the command; what a run was asked to do, and that an evaluation which broke off is gone on with, is
`tui/rerun`'s.
"""

from __future__ import annotations

import click

from tui.cli import exit_codes
from tui.cli.launch import to_the_end
from tui.cli.runs import run_argument


@click.command()
@run_argument
@click.option("--detach", is_flag=True, help="Return once the run has started; print its id.")
@click.option("--json", "as_json", is_flag=True, help="The run's events, one JSON object a line.")
def rerun(run: str, detach: bool, as_json: bool) -> int:
    """Launch RUN once more, as it was; an evaluation that broke off goes on where it was."""
    from tui.cli.common import connect, print_json
    from tui.cli.common import run as wait
    from tui.services import rerun as again
    from tui.settings import Settings

    client = connect()
    plan = wait(again.plan_again(client, Settings.load(), run))
    if not detach:
        return to_the_end(plan, as_json=as_json)
    for notice in plan.notices:
        exit_codes.say(f"note: {notice}")
    record = wait(client.launch(plan))
    print_json(record.model_dump(mode="json")) if as_json else click.echo(record.run_id)
    return exit_codes.DONE

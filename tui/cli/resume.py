"""`vfm resume`: a run that is over goes on in its own directory, and is followed to its end.

Owns the command's options; what may change and where the run begins is `tui/resume`'s.
"""

from __future__ import annotations

import click

from tui.cli import completions, exit_codes
from tui.cli.launch import to_the_end
from tui.cli.runs import run_argument


@click.command()
@run_argument
@click.option(
    "--set",
    "typed",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=completions.keys,
    help="Change what may change in mid-run: training.steps, modal.…, vllm.…, budget.max_usd. Repeatable.",
)
@click.option("--detach", is_flag=True, help="Return once the run goes on; print its id.")
@click.option("--json", "as_json", is_flag=True, help="The run's events, one JSON object a line.")
def resume(run: str, typed: tuple[str, ...], detach: bool, as_json: bool) -> int:
    """Go on with RUN, which was interrupted, failed or was cancelled, from its newest whole checkpoint."""
    from tui.cli.common import connect, print_json
    from tui.cli.common import run as wait
    from tui.services.resume import plan_resume
    from tui.settings import Settings

    client = connect()
    plan = wait(plan_resume(client, Settings.load(), run, typed))
    if not detach:
        return to_the_end(plan, resume=True, as_json=as_json)
    for notice in plan.notices:
        exit_codes.say(f"note: {notice}")
    record = wait(client.resume(plan))
    print_json(record.model_dump(mode="json")) if as_json else click.echo(record.run_id)
    return exit_codes.DONE

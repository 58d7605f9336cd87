"""`vfm resume`: continue a run that has ended, in its own directory; `tui/services/resume.py` plans it."""

from __future__ import annotations

import click

from tui.cli import completions
from tui.cli.launch import detach_option, json_option, start
from tui.cli.runs import run_argument


@click.command()
@run_argument
@click.option(
    "--set",
    "typed",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=completions.keys,
    help="Change a value that may change in mid-run: training.steps, modal.…, vllm.…, budget.max_usd. "
    "May be repeated.",
)
@detach_option
@json_option
def resume(run: str, typed: tuple[str, ...], detach: bool, as_json: bool) -> int:
    """Continue RUN, which failed, was cancelled or interrupted, from its newest complete checkpoint."""
    from tui.cli.common import connect
    from tui.cli.common import run as wait
    from tui.services.resume import plan_resume
    from tui.settings import Settings

    plan = wait(plan_resume(connect(), Settings.load(), run, typed))
    return start(plan, detach=detach, as_json=as_json, resume=True)

"""The commands of `vfm`, in the order in which a person needs them.

Owns their list and the words at the top of `vfm --help`. Nothing but click is imported until one runs.
"""

from __future__ import annotations

from typing import Any

import click

from tui.cli.compare import compare
from tui.cli.completions import completion
from tui.cli.config import config
from tui.cli.doctor import doctor
from tui.cli.env import env
from tui.cli.exit_codes import ReaderLeft
from tui.cli.image import image
from tui.cli.init import init
from tui.cli.launch import launch
from tui.cli.rerun import rerun
from tui.cli.resume import resume
from tui.cli.runs import cancel, logs, metrics, runs, show
from tui.cli.volumes import get, ls, put, rm, volumes
from tui.cli.wandb import wandb


class InOrder(click.Group):
    """A group that lists its commands as they were added, not by the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, first to last."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Name a broken pipe before click sees one: it would end the process with code 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderLeft from error


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="vfm-tui", prog_name="vfm")
def vfm() -> None:
    """Train verifiers environments with GRPO and vLLM, on this machine or on Modal.

    RUN may be any unambiguous prefix of a run's id, or `last`.

    Exit codes: 0 done, 1 the run failed, 2 bad usage or config, 3 backend unreachable or not signed in,
    130 interrupted (the run goes on).
    """


for _command in (
    launch,
    runs,
    show,
    logs,
    metrics,
    compare,
    cancel,
    resume,
    rerun,
    volumes,
    ls,
    get,
    put,
    rm,
    config,
    env,
    image,
    init,
    wandb,
    doctor,
    completion,
):
    vfm.add_command(_command)

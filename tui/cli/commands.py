"""The commands of `vfm`, in the order of its help. Until one runs, only click is imported."""

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
    """A group that lists its commands in the order in which they were added."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of the help."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> Any:
        """Turn a broken pipe into `ReaderLeft`; click would exit with 1."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderLeft from error


@click.group(cls=InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(package_name="vfm-tui", prog_name="vfm")
def vfm() -> None:
    """Train on verifiers environments with GRPO and vLLM, on this machine or on Modal.

    RUN is a run's id, an unambiguous prefix of it, or `last`.

    Exit codes: 0 done, 1 the run failed, 2 wrong usage or config, 3 backend unreachable or not signed in,
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

"""`vfm init DIR`: a project to work in, for those whose client is installed rather than checked out."""

from __future__ import annotations

from pathlib import Path

import click

from tui.cli import exit_codes


@click.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
def init(folder: Path) -> int:
    """Write a project into DIR: configs, environments, examples, run_modal.py and .env.example.

    vfm and vfm-tui work on the project that the working directory lies in. Nothing is written where DIR has
    one of these already.
    """
    from tui.services.new_project import write_project

    written = write_project(folder)
    click.echo(folder)
    exit_codes.say(f"wrote {', '.join(written)}")
    exit_codes.say(f"next: cd {folder} && vfm launch configs/local_demo.yaml")
    return exit_codes.DONE

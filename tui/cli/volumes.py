"""`vfm volumes`, `ls`, `get`: browse volumes and fetch what lies in them.

Owns how `VOLUME:PATH` is written and how progress is shown; reading and copying are the backends'.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tui.cli import choices, outcome

if TYPE_CHECKING:
    from tui.backends.base import Progress, Transfer

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.command()
@json_option
def volumes(as_json: bool) -> int:
    """List the volumes of every backend."""
    from tui.cli import client as shared
    from tui.words import moment, table

    listing = shared.run(shared.connect().volumes())
    if as_json:
        shared.print_json(
            [{"name": v.name, "backend": v.backend, "created": v.created} for v in listing.rows]
        )
    else:
        cells = [(v.name, v.backend, moment(v.created)) for v in listing.rows]
        click.echo(table(("VOLUME", "BACKEND", "CREATED"), cells))
    return outcome.complain(listing)


@click.command()
@click.argument("where", metavar="VOLUME[:PATH]", shell_complete=choices.volumes)
@json_option
def ls(where: str, as_json: bool) -> int:
    """List what lies in a volume, or under a path of it."""
    from tui.cli import client as shared
    from tui.words import moment, size, table

    entries = shared.run(shared.connect().ls(*split(where)))
    if as_json:
        shared.print_json(
            [{"path": e.path, "is_dir": e.is_dir, "size": e.size, "modified": e.modified} for e in entries]
        )
    else:
        cells = [
            ("" if e.is_dir else size(e.size), moment(e.modified), e.path + "/" * e.is_dir) for e in entries
        ]
        click.echo(table(("SIZE", "MODIFIED", "PATH"), cells))
    return outcome.DONE


@click.command()
@click.argument("where", metavar="VOLUME:PATH", shell_complete=choices.volumes)
@click.argument("dest", type=click.Path(path_type=Path))
def get(where: str, dest: Path) -> int:
    """Copy a folder of a volume into DEST, or a file to DEST.

    Run it again to go on where it broke off: what is there already, identical, is skipped.
    """
    from tui.cli import client as shared
    from tui.words import size

    transfer = shared.run(shared.connect().get(*split(where), dest, shower()))
    already = f", {len(transfer.skipped)} files were there already" if transfer.skipped else ""
    outcome.say(f"{where} is in {dest} ({size(transfer.done)} of {size(transfer.total)}{already})")
    return outcome.DONE


def split(where: str) -> tuple[str, str]:
    """`VOLUME[:PATH]` as volume and path."""
    volume, _, path = where.partition(":")
    return volume, path.strip("/")


def shower() -> Progress | None:
    """Shows a transfer on one line of the terminal; a file or a pipe is spared the flicker."""
    from tui.words import size, visible

    if not sys.stderr.isatty():
        return None

    def show(transfer: Transfer) -> None:
        line = f"{size(transfer.done)} of {size(transfer.total)}  {visible(transfer.path)}"
        sys.stderr.write(f"\r\x1b[K{line[:100]}")
        if transfer.done >= transfer.total:
            sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    return show

"""`vfm volumes`, `ls`, `get`, `put`, `rm`: browse volumes, carry files both ways, delete.

Owns how `VOLUME:PATH` is written, how progress is shown and what is asked; reading, copying and deleting
are the backends'.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tui.cli import choices, interrupt, outcome

if TYPE_CHECKING:
    from tui.backends.base import Progress, Transfer

KEPT = "What has arrived is kept: the same command goes on from it."
"""Said when Ctrl-C breaks a copy off."""
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

    interrupt.announce(KEPT)
    transfer = shared.run(shared.connect().get(*split(where), dest, shower()))
    outcome.say(f"{where} is in {dest} ({_how_much(transfer)})")
    return outcome.DONE


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("where", metavar="VOLUME[:PATH]", shell_complete=choices.volumes)
def put(source: Path, where: str) -> int:
    """Copy SOURCE, a file or a folder of this machine, into a folder of a volume.

    Run it again to go on where it broke off: what is there already, identical, is skipped.
    """
    from tui.cli import client as shared

    interrupt.announce(KEPT)
    transfer = shared.run(shared.connect().put(source, *split(where), shower()))
    outcome.say(f"{source} is in {where} ({_how_much(transfer)})")
    return outcome.DONE


@click.command()
@click.argument("where", metavar="VOLUME:PATH", shell_complete=choices.volumes)
@click.option("--yes", is_flag=True, help="Do not ask.")
def rm(where: str, yes: bool) -> int:
    """Delete a file or a folder of a volume.

    Says how much it is and asks; in a script, where nobody can be asked, it takes --yes.
    """
    from tui.cli import client as shared
    from tui.transfers import to_remove
    from tui.words import size, visible

    client, (volume, path) = shared.connect(), split(where)
    goes = shared.run(to_remove(client, volume, path))
    what = visible(f"{where}: {goes.count} file{'s' * (goes.count != 1)}, {size(goes.bytes)}")
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"deleting {what} needs --yes where nobody can be asked")
        if not click.confirm(f"Delete {what}?", err=True):
            outcome.say("nothing was deleted")
            return outcome.DONE
    shared.run(client.remove(volume, path))
    outcome.say(f"deleted {what}")
    return outcome.DONE


def _how_much(transfer: Transfer) -> str:
    from tui.words import size

    already = f", {len(transfer.skipped)} files were there already" if transfer.skipped else ""
    return f"{size(transfer.done)} of {size(transfer.total)}{already}"


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

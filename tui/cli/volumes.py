"""`vfm volumes`, `ls`, `get`, `put`, `rm`: browse volumes, copy files both ways, delete."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

import click

from tui.cli import completions, exit_codes, interrupt
from tui.cli.config import json_option

if TYPE_CHECKING:
    from typing import BinaryIO

    from tui.backends.base import Entry, Progress, Transfer

RESUMABLE = "What has arrived is kept: the same command resumes there."
"""Printed when Ctrl-C interrupts a copy."""
_STDOUT = ("-", "/dev/stdout")
_NAMED = 10  # entries left out that are named
force_option = click.option("--force", is_flag=True, help="Replace existing files that differ.")


@click.command()
@json_option
def volumes(as_json: bool) -> int:
    """List the volumes of every backend."""
    from tui.cli import common as shared
    from tui.text.format import moment, table

    listing = shared.run(shared.connect().volumes())
    if as_json:
        shared.print_json(
            [{"name": v.name, "backend": v.backend, "created": v.created} for v in listing.rows]
        )
    else:
        cells = [(v.name, v.backend, moment(v.created)) for v in listing.rows]
        click.echo(table(("VOLUME", "BACKEND", "CREATED"), cells, exit_codes.columns()))
    return exit_codes.report_all(listing)


@click.command()
@click.argument("where", metavar="VOLUME[:PATH]", shell_complete=completions.volumes)
@json_option
def ls(where: str, as_json: bool) -> int:
    """List a volume, or a path of it."""
    from tui.cli import common as shared
    from tui.text.format import moment, size, table

    entries = shared.run(shared.connect().ls(*split(where)))
    if as_json:
        shared.print_json([asdict(entry) for entry in entries])
    else:
        cells = [("" if e.is_dir else size(e.size), moment(e.modified), _shown(e)) for e in entries]
        click.echo(table(("SIZE", "MODIFIED", "PATH"), cells))
    return exit_codes.DONE


@click.command()
@click.argument("where", metavar="VOLUME:PATH", shell_complete=completions.volumes)
@click.argument("to", metavar="DEST", type=click.Path(allow_dash=True))
@force_option
@json_option
def get(where: str, to: str, force: bool, as_json: bool) -> int:
    """Copy a folder of a volume into DEST, or a file to DEST or into the folder DEST/; `-` is stdout.

    The same command resumes an interrupted copy and skips identical files. If existing files differ, nothing
    is copied without --force. Links out of the volume, pipes and devices are left out and listed at the end.
    """
    from tui.backends.destination import takes_bytes
    from tui.cli import common as shared

    volume, path = split(where)
    dest = _destination(volume, path, to)
    if str(dest) in _STDOUT or takes_bytes(dest):
        if as_json:
            raise click.UsageError("--json prints what was copied: name a file or a folder as DEST")
        return _copy_to_stream(volume, path, dest)
    interrupt.announce(RESUMABLE)
    transfer = shared.run(shared.connect().get(volume, path, dest, progress_line(), force=force))
    return _print_copied(str(where), str(dest), transfer, as_json)


def _destination(volume: str, path: str, to: str) -> Path:
    """Where a copy goes: into `to`, if that is written as a folder, under the file's own name."""
    from tui.cli import common as shared

    if not to:
        raise click.UsageError("DEST is empty: name a file or a folder, such as .")
    if not to.endswith("/"):
        return Path(to)
    entries = shared.run(shared.connect().ls(volume, path))
    is_file = [entry.path for entry in entries if not entry.is_dir] == [path]
    return Path(to, PurePosixPath(path).name) if is_file else Path(to)


@click.command()
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("where", metavar="VOLUME[:PATH]", shell_complete=completions.volumes)
@force_option
@json_option
def put(source: Path, where: str, force: bool, as_json: bool) -> int:
    """Copy SOURCE, a file or a folder of this machine, into a folder of a volume.

    The same command resumes an interrupted copy and skips identical files. If existing files differ, nothing
    is copied without --force. Links are followed; pipes, sockets and devices are left out and listed at the
    end.
    """
    from tui.cli import common as shared

    interrupt.announce(RESUMABLE)
    transfer = shared.run(shared.connect().put(source, *split(where), progress_line(), force=force))
    return _print_copied(str(source), where, transfer, as_json)


def _print_copied(source: str, dest: str, transfer: Transfer, as_json: bool) -> int:
    from tui.cli.common import print_json
    from tui.text.format import listed

    if as_json:
        left = [{"path": entry.path, "why": entry.why} for entry in transfer.left_out]
        sizes = {"bytes": transfer.done, "bytes_total": transfer.total, "skipped": list(transfer.skipped)}
        print_json({"from": source, "to": dest, **sizes, "left_out": left, "followed": transfer.followed})
        return exit_codes.DONE
    exit_codes.say(f"{_one_line(source)} is in {_one_line(dest)} ({_summary(transfer)})")
    if links := transfer.followed:
        lead = "a link leads" if len(links) == 1 else f"{len(links):,} links lead"
        were = "was" if len(links) == 1 else "were"
        exit_codes.say(f"note: {lead} out of {source}, and {were} followed: {listed(links)}")
    _print_left_out(transfer)
    return exit_codes.DONE


def _copy_to_stream(volume: str, path: str, dest: Path) -> int:
    """Write a file's bytes to stdout, or into a pipe or device as it is."""
    from tui.cli import common as shared

    async def copy(file: BinaryIO) -> None:
        async for piece in shared.connect().bytes_of(volume, path):
            file.write(piece)
        file.flush()

    try:
        if str(dest) in _STDOUT:
            shared.run(copy(sys.stdout.buffer))
        else:
            with dest.open("wb") as file:
                shared.run(copy(file))
    except BrokenPipeError:
        raise exit_codes.ReaderLeft from None
    return exit_codes.DONE


@click.command()
@click.argument("where", metavar="VOLUME:PATH", shell_complete=completions.volumes)
@click.option("--yes", is_flag=True, help="Delete without asking.")
@json_option
def rm(where: str, yes: bool, as_json: bool) -> int:
    """Delete a file or a folder of a volume.

    Prints how much that is and asks; without a terminal, --yes is required.
    """
    from tui.cli import common as shared
    from tui.services.transfers import to_remove
    from tui.text.format import plain

    client, (volume, path) = shared.connect(), split(where)
    goes = shared.run(to_remove(client, volume, path))
    what = plain(f"{where if path else f'the whole volume {volume}'}: {goes}")
    if not yes:
        if not sys.stdin.isatty():
            raise click.UsageError(f"deleting {what} without a terminal needs --yes")
        if not click.confirm(f"Delete {what}?", err=True):
            exit_codes.say("nothing was deleted")
            if as_json:
                shared.print_json({"deleted": None})
            return exit_codes.DONE
    shared.run(client.remove(volume, path))
    if as_json:
        gone = {"files": goes.count, "bytes": goes.bytes, "is_link": goes.is_link}
        shared.print_json({"deleted": where, **gone})
    else:
        exit_codes.say(f"deleted {what}")
    return exit_codes.DONE


def _one_line(name: str) -> str:
    from tui.text.format import plain

    return plain(name)


def _print_left_out(transfer: Transfer) -> None:
    from tui.text.format import first_lines

    if left := [f"{entry.path}: {entry.why}" for entry in transfer.left_out]:
        exit_codes.say(f"note: {len(left):,} {'entry was' if len(left) == 1 else 'entries were'} left out:")
        for line in first_lines(left, _NAMED):
            exit_codes.say(f"  {line}")


def _summary(transfer: Transfer) -> str:
    from tui.text.format import size

    same = len(transfer.skipped)
    skipped = f", {same:,} {'file was' if same == 1 else 'files were'} there already" if same else ""
    return f"{size(transfer.done)} of {size(transfer.total)}{skipped}"


def _shown(entry: Entry) -> str:
    """A path in a listing: folders end in `/`; what cannot be copied says why."""
    return entry.path + "/" * entry.is_dir + f"  ({entry.special})" * bool(entry.special)


def split(where: str) -> tuple[str, str]:
    """Split `VOLUME[:PATH]` into volume and path."""
    volume, _, path = where.partition(":")
    return volume, path.strip("/")


def progress_line() -> Progress | None:
    """A callback that shows a transfer on one line of the terminal; None where there is no terminal."""
    from tui.text.format import plain, size

    if not sys.stderr.isatty():
        return None

    def show(transfer: Transfer) -> None:
        line = f"{size(transfer.done)} of {size(transfer.total)}  {plain(transfer.path)}"
        sys.stderr.write(f"\r\x1b[K{line[:100]}")
        if transfer.done >= transfer.total:
            sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()

    return show

"""How a command ends: exit codes, the text of errors, and reports of unexpected ones."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from remote.contract.errors import VfmError
    from tui.client import Listing

DONE, RUN_FAILED, USAGE, UNREACHABLE, INTERRUPTED = 0, 1, 2, 3, 130


class ReaderLeft(Exception):
    """The reader of stdout has closed it (`vfm logs | head`)."""


def say(text: str) -> None:
    """Print a message to stderr, with control characters escaped."""
    from tui.text.format import plain

    click.echo("\n".join(map(plain, text.split("\n"))), err=True)


def columns() -> int | None:
    """The width of the terminal in cells; None where stdout is none."""
    import shutil

    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def wants_colours() -> bool:
    """Whether log lines keep their colours: on a terminal without NO_COLOR, or with FORCE_COLOR.

    FORCE_COLOR is for pipes: `vfm logs RUN | less -R`.
    """
    from tui.settings import surroundings

    around = surroundings()
    if "NO_COLOR" in around:
        return False
    return "FORCE_COLOR" in around or (sys.stdout.isatty() and around.get("TERM") != "dumb")


def code_of(error: Exception) -> int:
    """The exit code of an error."""
    from remote.contract import errors

    usage = (errors.ConfigError, errors.RunNotFound, errors.EnvironmentMissing, errors.ModelError)
    if isinstance(error, usage):
        return USAGE
    return UNREACHABLE if isinstance(error, errors.BackendError) else RUN_FAILED


def report(error: Exception) -> int:
    """Print an error to stderr; returns its exit code."""
    from remote.contract.errors import VfmError

    if isinstance(error, VfmError):
        say(describe(error))
    elif isinstance(error, OSError) and error.strerror:
        say(f"error: {error.strerror}{f': {error.filename}' if error.filename else ''}")
    else:
        say(_unexpected(error))
    return code_of(error)


def report_all(listing: Listing[Any]) -> int:
    """Print a listing's notices and the errors of backends; returns the exit code."""
    for notice in listing.notices:
        say(f"note: {notice}")
    return max((report(error) for error in listing.errors.values()), default=DONE)


def describe(error: VfmError) -> str:
    """The error's message, cause and hint, a line each."""
    hint = error.hint
    return failure_text(
        error.message,
        error.cause,
        None if hint is None else {"text": hint.text, "key": hint.key, "to": hint.new},
    )


def failure_text(message: str, cause: str, hint: Any, command: str = "") -> str:
    """The lines of a failure: message, cause, hint, and the command line that fixes it."""
    from tui.store.runs.row import advice
    from tui.text.format import plain

    lines = ["error: " + message.replace("\n", "\n       ")]
    if cause and cause not in message:
        lines += [f"  cause: {line.expandtabs(4)}" for line in cause.strip().splitlines()]
    known = advice(hint)  # a record's failure may hold anything
    if known["hint"]:
        lines.append(f"  hint:  {known['hint']}")
    if known["fix_key"] and known["fix_value"] is not None:
        option = set_option(known["fix_key"], known["fix_value"])
        lines.append(f"  try:   {_without(command, known['fix_key']) or 'vfm launch CONFIG'} {option}")
    return "\n".join(plain(line) for text in lines for line in text.splitlines())


def _without(command: str, key: str) -> str:
    """A command line without its `--set` of this key."""
    words = shlex.split(command)
    at = [n for n, word in enumerate(words[1:], 1) if words[n - 1] == "--set" and word.startswith(f"{key}=")]
    return shlex.join(word for n, word in enumerate(words) if n not in at and n + 1 not in at)


def set_option(key: str, value: Any) -> str:
    """`--set KEY=VALUE`, quoted for a shell."""
    import shlex

    from tui.config.overrides import spell

    return f"--set {shlex.quote(f'{key}={spell(value)}')}"


def _unexpected(error: Exception) -> str:
    from tui.user.crash_file import append_crash

    summary = f"{type(error).__name__}: {error}".splitlines()[0]
    try:
        append_crash(path := _crash_file(), error)
        report = f"the report is in {path}"
    except OSError as refused:
        report = f"and no report could be written ({refused.strerror or refused})"
    return f"error: unexpected {summary}; {report}"


def _crash_file() -> Path:
    """Beside the app's own files, or among temporary files where the settings are what is broken."""
    from tui.user.crash_file import crash_file

    try:
        from tui.settings import Settings

        return crash_file(Settings.load().home / "app")
    except Exception:
        return crash_file(None)

"""`vfm`, the command line. stdout is data, messages go to stderr, exit codes are stable.

Owns the last handler of errors: whatever a command raises becomes a message and an exit code, never a
traceback.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, TextIO

from tui.cli import installation, interrupt

if TYPE_CHECKING:
    import click


def main() -> NoReturn:
    """Run `vfm` and exit with its code."""
    end_with(_vfm, "vfm")


def end_with(command: Callable[[], click.Command], name: str) -> NoReturn:
    """Run a program's command and exit with its code, whatever it raises."""
    if why := installation.unusable():
        print(f"error: {why}", file=sys.stderr)
        sys.exit(2)
    interrupt.install()  # before click is imported: Ctrl-C is quiet from the first moment
    _ready_streams()
    code = _run(command, name)
    interrupt.leave()
    sys.exit(_flushed(code))


def _vfm() -> click.Command:
    from tui.cli.commands import vfm

    return vfm


def _ready_streams() -> None:
    if sys.stdout is None:  # closed by the shell (`>&-`)
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - it lives as long as the process
    # Log text may hold characters that the terminal's encoding lacks: show them escaped.
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]


def _run(command: Callable[[], click.Command], name: str) -> int:
    try:
        import click

        from tui.cli import completions, exit_codes

        completions.register()
        try:
            result = command().main(prog_name=name, standalone_mode=False)
            return result if isinstance(result, int) else exit_codes.DONE
        except click.ClickException as error:
            error.show()
            return exit_codes.USAGE
        except click.Abort:
            return exit_codes.INTERRUPTED
        except exit_codes.ReaderLeft:
            return exit_codes.DONE
        except Exception as error:
            return exit_codes.report(error)
    except KeyboardInterrupt:
        return interrupt.EXIT_CODE


def _flushed(code: int) -> int:
    """Flush both streams; the exit code, which an error of stdout may change."""
    try:
        sys.stdout.flush()
    except OSError as error:
        _drop(sys.stdout)
        if code == 0 and not isinstance(error, BrokenPipeError):
            from tui.cli import exit_codes

            return exit_codes.report(error)
    try:
        sys.stderr.flush()
    except OSError:  # the terminal is gone
        _drop(sys.stderr)
    return code


def _drop(stream: TextIO) -> None:
    """Redirect to /dev/null what Python flushes at its exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())

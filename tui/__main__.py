"""`vfm-tui`: the words of the command line, before anything that draws is imported.

Owns what was asked for and what must be so before a terminal is taken over. What the app shows is
`tui/app.py`'s, how it ends when told to from outside `tui/signals.py`'s, the browser `tui/web.py`'s.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from tui.cli import end_with

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from tui.app import VfmApp


def _runs(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    from tui.cli import completions

    return completions.runs(ctx, param, incomplete)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.argument("run", required=False, shell_complete=_runs)
@click.option("--readonly", is_flag=True, help="Only look: no launching, cancelling, deleting, uploading.")
@click.option(
    "--theme", metavar="NAME", help="Colours of this session: vfm-dark, vfm-light, or one of Textual's."
)
@click.option(
    "--web", is_flag=True, help="Serve the app to a browser of this machine, and print its address."
)
@click.option("--port", type=click.IntRange(0, 65535), metavar="N", help="With --web: the port (a free one).")
@click.option("--served-by", type=int, hidden=True, help="The process that `--web` runs in.")
@click.version_option(package_name="vfm-tui", prog_name="vfm-tui")
def vfm_tui(
    run: str | None, readonly: bool, theme: str | None, web: bool, port: int | None, served_by: int | None
) -> int:
    """Run reinforcement-learning experiments on language models, and watch them.

    RUN opens one at once: any unambiguous prefix of a run's id, or `last`.

    Runs go on when the app is left, by whatever way. `vfm` is the same for scripts.
    """
    if port is not None and not web:
        raise click.UsageError("--port is the port of --web, which was not asked for")
    if not web and served_by is None:
        _need_terminal()
    app = _app(run, readonly, theme)
    if web:
        from tui.web import serve

        return serve(_served(run, readonly, theme), port or 0)
    from tui.signals import run_until_told

    return run_until_told(app, served_by)


def main() -> NoReturn:
    """The `vfm-tui` of the command line: runs the app and exits with its code."""
    end_with(lambda: vfm_tui, "vfm-tui")


def _need_terminal() -> None:
    # Textual draws on stderr, reads stdin, and a pipe for stdout would wait for data that never comes.
    streams = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
    missing = next((name for name, s in streams.items() if s is None or not s.isatty()), None)
    if missing:
        raise click.ClickException(
            f"vfm-tui needs a terminal, and {missing} is none: `vfm` is the command line for scripts, "
            "and `vfm-tui --web` serves the app to a browser"
        )


def _app(run: str | None, readonly: bool, theme: str | None) -> VfmApp:
    """The app, with everything found wrong that can be found before it draws. Raises `VfmError`."""
    from tui.settings import Settings

    settings = Settings.load()
    from tui.app import VfmApp

    app = VfmApp(settings=settings, run=run, readonly=readonly, theme=theme)
    if theme is not None and theme not in app.available_themes:
        raise click.BadParameter(_nearest(theme, list(app.available_themes)), param_hint="--theme")
    return app


def _nearest(name: str, names: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, n=3, cutoff=0.4) or names
    return f"there is no theme {name!r}; the nearest: {', '.join(near)}"


def _served(run: str | None, readonly: bool, theme: str | None) -> list[str]:
    """The same command line for the app's own process, which the server starts for each page."""
    options = [*(["--readonly"] if readonly else []), *(["--theme", theme] if theme else [])]
    program = [sys.executable, "-m", "tui", "--served-by", str(os.getpid())]
    return [*program, *options, *(["--", run] if run else [])]


if __name__ == "__main__":
    main()

"""The command line of `vfm-tui`: parse it, check terminal and settings, then start the app.

`tui/app.py` is the app, `tui/signals.py` runs it, and `tui/web.py` serves it to a browser.
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
@click.option("--readonly", is_flag=True, help="Disable launching, cancelling, deleting and uploading.")
@click.option(
    "--theme", metavar="NAME", help="Theme of this session: vfm-dark, vfm-light, or one of Textual's."
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

    RUN opens a run at once: an unambiguous prefix of its id, or `last`.

    Runs go on when the app exits, for whatever reason. `vfm` is the command line for scripts.
    """
    if port is not None and not web:
        raise click.UsageError("--port needs --web")
    if not web and served_by is None:
        _need_terminal()
    app = _app(run, readonly, theme)
    if web:
        from tui.web import serve

        return serve(_served(run, readonly, theme), port or 0)
    from tui.signals import run_until_told

    return run_until_told(app, served_by)


def main() -> NoReturn:
    """Run `vfm-tui` and exit with its code."""
    end_with(lambda: vfm_tui, "vfm-tui")


def _need_terminal() -> None:
    # Textual draws on stderr, reads stdin, and a pipe for stdout would wait for data that never comes.
    streams = {"stdin": sys.stdin, "stdout": sys.stdout, "stderr": sys.stderr}
    missing = next((name for name, s in streams.items() if s is None or not s.isatty()), None)
    if missing:
        raise click.ClickException(
            f"vfm-tui needs a terminal, and {missing} is not one: use `vfm` in scripts, "
            "or `vfm-tui --web` to serve the app to a browser"
        )


def _app(run: str | None, readonly: bool, theme: str | None) -> VfmApp:
    """Create the app. Raises `VfmError` for whatever is wrong with the settings."""
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
    return f"there is no theme {name!r}; similar ones: {', '.join(near)}"


def _served(run: str | None, readonly: bool, theme: str | None) -> list[str]:
    """The command line of the app process that the server starts for each page."""
    options = [*(["--readonly"] if readonly else []), *(["--theme", theme] if theme else [])]
    program = [sys.executable, "-m", "tui", "--served-by", str(os.getpid())]
    return [*program, *options, *(["--", run] if run else [])]


if __name__ == "__main__":
    main()

"""`vfm image build`: build a backend's image ahead of the first launch.

Owns showing the build. Building is `remote/local_image`'s and `remote/launcher`'s: processes that are
started, never imported.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tui.cli import outcome

if TYPE_CHECKING:
    from tui.settings import Settings


@click.group()
def image() -> None:
    """The environments that runs train in."""


@image.command()
@click.argument("backend", type=click.Choice(["local", "modal"]))
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def build(backend: str, as_json: bool) -> int:
    """Build BACKEND's image, or find it built already, so that no launch waits for it.

    For local the image's Python is printed: its path.
    """
    from tui.settings import Settings

    settings = Settings.load()
    code = _build_local(settings) if backend == "local" else _build_modal(settings)
    if code != outcome.DONE:
        return code
    python = _where(settings) if backend == "local" else None
    if as_json:
        from tui.cli.client import print_json

        print_json({"backend": backend, "python": python})
    elif python:
        click.echo(python)
    return outcome.RUN_FAILED if backend == "local" and not python else outcome.DONE


def _local_builder(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "remote.local_image", "--home", str(settings.home)]


def _build_local(settings: Settings) -> int:
    from tui.settings import environment

    return _build(_local_builder(settings), settings.project_dir, environment({}))


def _build_modal(settings: Settings) -> int:
    from tui.backends.modal.session import Session
    from tui.settings import environment

    builder = [sys.executable, "-m", "remote.launcher", "--build"]
    env = environment(Session(settings.secrets).tokens, modal=True)
    return _build(builder, settings.project_dir, env)


def _build(builder: list[str], project_dir: Path, env: dict[str, str]) -> int:
    """The builder's stream goes to stderr as a person reads it."""
    import subprocess

    from tui.narrator import Narrator

    narrator = Narrator(colours=False)
    child = subprocess.Popen(
        builder, cwd=project_dir, env=env, stdout=subprocess.PIPE, text=True, errors="replace"
    )
    assert child.stdout is not None
    try:
        for line in child.stdout:
            for text in narrator.tell(line.removesuffix("\n")):
                outcome.say(text)
        code = child.wait()
    finally:
        if child.poll() is None:  # interrupted: the builder clears up after itself
            child.terminate()
            child.wait()
    failure = narrator.failure
    if failure is None:
        return outcome.RUN_FAILED if code else outcome.DONE
    outcome.say(outcome.failure_text(failure.message, failure.cause, failure.hint))
    return outcome.UNREACHABLE if failure.boundary == "backend" else outcome.RUN_FAILED


def _where(settings: Settings) -> str | None:
    """The image's Python; None where there is none."""
    import subprocess

    command = [*_local_builder(settings), "--where"]
    done = subprocess.run(command, cwd=settings.project_dir, stdout=subprocess.PIPE, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else None

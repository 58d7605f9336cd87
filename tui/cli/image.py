"""`vfm image build`: build a backend's image ahead of the first launch.

Owns showing the build; the build is `remote/local_image`'s, a process that is started, never imported.
"""

from __future__ import annotations

import sys
from pathlib import Path

import click

from tui.cli import outcome


@click.group()
def image() -> None:
    """The environments that runs train in."""


@image.command()
@click.argument("backend", type=click.Choice(["local"]))
def build(backend: str) -> int:
    """Build BACKEND's image, or find it built already; print its Python's path."""
    from tui.settings import Settings

    settings = Settings.load()
    builder = [sys.executable, "-m", "remote.local_image", "--home", str(settings.home)]
    code = _build(builder, settings.project_dir)
    return _print_where(builder, settings.project_dir) if code == outcome.DONE else code


def _build(builder: list[str], project_dir: Path) -> int:
    """The builder's stream goes to stderr as a person reads it."""
    import subprocess

    from tui.narrator import Narrator

    narrator = Narrator()
    child = subprocess.Popen(builder, cwd=project_dir, stdout=subprocess.PIPE, text=True, errors="replace")
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
    if narrator.failure:
        failure = narrator.failure
        outcome.say(outcome.failure_text(failure.message, failure.cause, failure.hint))
    return outcome.RUN_FAILED if code or narrator.failure else outcome.DONE


def _print_where(builder: list[str], project_dir: Path) -> int:
    import subprocess

    done = subprocess.run(
        [*builder, "--where"], cwd=project_dir, stdout=subprocess.PIPE, text=True, check=False
    )
    click.echo(done.stdout, nl=False)
    return outcome.DONE if done.returncode == 0 else outcome.RUN_FAILED

"""`vfm image build`: build a backend's image ahead of the first launch.

The builders are processes: `remote.image.local` and `remote.modal_app.launcher --build`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from remote.contract.platforms import PYTHONS
from tui.cli import exit_codes
from tui.cli.config import json_option

if TYPE_CHECKING:
    from tui.settings import Settings


@click.group()
def image() -> None:
    """Build the images that runs train in."""


@image.command()
@click.argument("backend", type=click.Choice(["local", "modal"]))
@click.option("--python", type=click.Choice(PYTHONS), help="The image's Python, as image.python in a config.")
@json_option
def build(backend: str, python: str | None, as_json: bool) -> int:
    """Build BACKEND's image, unless it is built, so that no launch waits for it.

    For local, prints the path of the image's Python.
    """
    from tui.settings import Settings

    settings = Settings.load()
    also = ["--python", python] if python else []
    code = _build_local(settings, also) if backend == "local" else _build_modal(settings, also)
    if code != exit_codes.DONE:
        return code
    built = _where(settings, also) if backend == "local" else None
    if as_json:
        from tui.cli.common import print_json

        print_json({"backend": backend, "python": built})
    elif built:
        click.echo(built)
    return exit_codes.RUN_FAILED if backend == "local" and not built else exit_codes.DONE


def _local_builder(settings: Settings, also: list[str]) -> list[str]:
    from tui.backends.programs import remote_command

    return remote_command("remote.image.local", "--home", str(settings.home), *also)


def _build_local(settings: Settings, also: list[str]) -> int:
    from tui.backends.programs import remote_environment

    env = remote_environment(settings.home, settings.project_dir)
    return _build(_local_builder(settings, also), settings.project_dir, env)


def _build_modal(settings: Settings, also: list[str]) -> int:
    from tui.backends.modal.session import Session
    from tui.backends.programs import remote_command, remote_environment

    builder = remote_command("remote.modal_app.launcher", "--build", *also)
    tokens = Session(settings.secrets).tokens
    env = remote_environment(settings.home, settings.project_dir, tokens, modal=True)
    return _build(builder, settings.project_dir, env)


def _build(builder: list[str], project_dir: Path, env: dict[str, str]) -> int:
    """Run a builder and print its stream to stderr."""
    import subprocess

    from tui.text.stream import StreamText

    stream = StreamText(colours=False)
    child = subprocess.Popen(
        builder, cwd=project_dir, env=env, stdout=subprocess.PIPE, text=True, errors="replace"
    )
    assert child.stdout is not None
    try:
        for line in child.stdout:
            for text in stream.lines(line.removesuffix("\n")):
                exit_codes.say(text)
        code = child.wait()
    finally:
        if child.poll() is None:  # interrupted: the builder cleans up
            child.terminate()
            child.wait()
    failure = stream.failure
    if failure is None:
        return exit_codes.RUN_FAILED if code else exit_codes.DONE
    exit_codes.say(exit_codes.failure_text(failure.message, failure.cause, failure.hint))
    return exit_codes.UNREACHABLE if failure.boundary == "backend" else exit_codes.RUN_FAILED


def _where(settings: Settings, also: list[str]) -> str | None:
    """The path of the image's Python; None where it is not built."""
    import subprocess

    from tui.backends.programs import remote_environment

    command = [*_local_builder(settings, also), "--where"]
    env = remote_environment(settings.home, settings.project_dir)
    done = subprocess.run(
        command, cwd=settings.project_dir, env=env, stdout=subprocess.PIPE, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else None

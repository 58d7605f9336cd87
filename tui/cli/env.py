"""`vfm env`: list environments, show one, and check that its episodes can be played.

An environment is loaded in the local image (`tui/backends/local/environment_report.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tui.cli import completions, exit_codes
from tui.cli.config import json_option, typed_option

if TYPE_CHECKING:
    from tui.planning.environments import Environment
    from tui.settings import Settings

name_argument = click.argument("name", metavar="NAME", shell_complete=completions.environments)


@click.group()
def env() -> None:
    """List, show and check environments."""


@env.command("list")
@json_option
def list_(as_json: bool) -> int:
    """List the environments of the project and of verifiers itself."""
    from tui.cli.common import print_json
    from tui.planning.environments import known
    from tui.settings import Settings
    from tui.text.format import table

    rows = [_row(environment) for environment in known(Settings.load().project_dir)]
    if as_json:
        print_json(rows)
        return exit_codes.DONE
    header = ("NAME", "VERSION", "FROM", "MODEL", "SUMMARY")
    cells = [[str(row[name.lower()] or "-") for name in header] for row in rows]
    click.echo(table(header, cells, exit_codes.columns()))
    exit_codes.say(
        "Others are named by path (a package's folder, a wheel) or, in the package index, by index:NAME "
        "or NAME==VERSION."
    )
    return exit_codes.DONE


@env.command()
@name_argument
@typed_option
@json_option
def show(name: str, typed: tuple[str, ...], as_json: bool) -> int:
    """Show the options, rewards and tasks of NAME, and how a conversation begins."""
    from tui.cli.common import print_json
    from tui.cli.env_text import description

    environment, report = _report(name, typed, check=False)
    if as_json:
        report.pop("episodes")
        print_json({**_row(environment), **report})
    else:
        click.echo(description(environment, report))
    return exit_codes.DONE


@env.command()
@name_argument
@typed_option
@json_option
def check(name: str, typed: tuple[str, ...], as_json: bool) -> int:
    """Install and load NAME, and play 3 episodes of it against a scripted model.

    Exit code 0: the episodes were played and scored. The scores of a scripted model say nothing about how
    hard the tasks are.
    """
    from tui.cli.common import print_json
    from tui.cli.env_text import episodes

    environment, report = _report(name, typed, check=True)
    if as_json:
        print_json({**_row(environment), **report})
    else:
        click.echo(episodes(environment, report))
    failed = any(episode["error"] for episode in report["episodes"])
    return exit_codes.RUN_FAILED if failed or report["problems"] else exit_codes.DONE


def _report(name: str, typed: tuple[str, ...], *, check: bool) -> tuple[Environment, dict[str, Any]]:
    """The environment, and the report of loading it; progress goes to stderr."""
    from dataclasses import replace

    from tui.backends.environment_pin import look_up
    from tui.backends.local.environment_report import image_python, report
    from tui.cli.common import resolve
    from tui.config.overrides import spell
    from tui.planning.environments import check_python, find
    from tui.settings import Settings

    settings = Settings.load()
    found = find(name, settings.project_dir)
    spec = resolve(None, [*typed, f"training.environment={spell(name)}"]).spec
    check_python(found, "local", spec.image.python)
    # Before the index is asked, which is in vain without an image.
    image_python(settings, version=spec.image.python)
    if found.kind == "package index":
        answer = look_up(found.source, "local", settings.home, settings.project_dir, spec.image.python)
        found = replace(found, source=answer["source"])
        exit_codes.say(f"[env] {name} is {found.source}")
    request = _request(found, spec, settings)
    return found, report(request, settings, check=check, say=lambda line: exit_codes.say(f"[env] {line}"))


def _request(found: Environment, spec: Any, settings: Settings) -> Any:
    from remote.contract import layout
    from remote.contract.record import LaunchRequest

    names = settings.experimenter, settings.experiment
    return LaunchRequest(
        run_id="look",
        kind="evaluate",
        spec=spec,
        model="scripted",
        environment=found.name,
        environment_source=found.source,
        outputs=layout.outputs_volume(*names),
        cache=layout.cache_volume(*names),
    )


def _row(found: Environment) -> dict[str, Any]:
    """What its package says, without loading it."""
    from tui.planning.environments import default_model

    declared = found.declared
    old = declared.alias_of
    return {
        "name": found.spoken,
        "version": declared.version,
        "from": found.kind,
        "source": found.source or (str(found.folder) if found.folder else ""),
        "model": default_model(found),
        "function_calling": declared.function_calling,
        "alias_of": declared.alias_of,
        "summary": f"(old name of {old}) {declared.summary}".strip() if old else declared.summary,
    }

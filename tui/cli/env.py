"""`vfm env`: which environments there are, what one is, and whether it plays.

Owns the commands. What this machine knows of environments is `tui/config/environments`'s; loading one is
done in the local image (`tui/backends/reports`), how it is told is `env_text`'s.
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
    """The environments that can be trained on."""


@env.command("list")
@json_option
def list_(as_json: bool) -> int:
    """The environments that go by their name alone."""
    from tui.cli.common import print_json
    from tui.planning.environments import known
    from tui.settings import Settings
    from tui.text.format import table

    rows = [_row(one) for one in known(Settings.load().project_dir)]
    if as_json:
        print_json(rows)
        return exit_codes.DONE
    header = ("NAME", "VERSION", "FROM", "MODEL", "SUMMARY")
    cells = [[str(row[name.lower()] or "-") for name in header] for row in rows]
    click.echo(table(header, cells, exit_codes.columns()))
    exit_codes.say(
        "Also by its path: a package's folder or a wheel. Of the package index: index:NAME, or NAME==VERSION."
    )
    return exit_codes.DONE


@env.command()
@name_argument
@typed_option
@json_option
def show(name: str, typed: tuple[str, ...], as_json: bool) -> int:
    """What NAME is: its options, rewards, tasks, and how a conversation begins."""
    from tui.cli.common import print_json
    from tui.cli.env_text import description

    found, told = _report(name, typed, check=False)
    if as_json:
        told.pop("episodes")
        print_json({**_row(found), **told})
    else:
        click.echo(description(found, told))
    return exit_codes.DONE


@env.command()
@name_argument
@typed_option
@json_option
def check(name: str, typed: tuple[str, ...], as_json: bool) -> int:
    """Install and load NAME, and play 3 episodes of it against a scripted model.

    Exit code 0: all of that went well, and there is a reward to learn from. A scripted model has learnt
    nothing: what it earns says that rewards are counted, not how hard the tasks are.
    """
    from tui.cli.common import print_json
    from tui.cli.env_text import episodes

    found, told = _report(name, typed, check=True)
    if as_json:
        print_json({**_row(found), **told})
    else:
        click.echo(episodes(found, told))
    failed = [one for one in told["episodes"] if one["error"]]
    return exit_codes.RUN_FAILED if failed or told["problems"] else exit_codes.DONE


def _report(name: str, typed: tuple[str, ...], *, check: bool) -> tuple[Environment, dict[str, Any]]:
    """The environment as it is found and as it was loaded; what happens meanwhile is told on stderr."""
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
    # Before the index is asked: without an image nothing comes of it.
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

    who = (settings.experimenter, settings.experiment)
    return LaunchRequest(
        run_id="look",
        kind="evaluate",
        spec=spec,
        model="scripted",
        environment=found.name,
        environment_source=found.source,
        outputs=layout.outputs_volume(*who),
        cache=layout.cache_volume(*who),
    )


def _row(found: Environment) -> dict[str, Any]:
    """What is known of an environment without loading it."""
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

"""`vfm config`: check configs, show what one resolves to, list every key."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from tui.cli import completions, exit_codes

if TYPE_CHECKING:
    from remote.contract.errors import VfmError
    from remote.contract.record import Kind, Provenance
    from remote.contract.spec import ExperimentSpec

typed_option = click.option(
    "--set",
    "typed",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=completions.keys,
    help="Override one value, as in launch.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


@click.group()
def config() -> None:
    """Check a config, show what it resolves to, or list every key."""


@config.command()
@click.argument("configs", metavar="CONFIG...", nargs=-1, required=True, type=click.Path())
@typed_option
@click.option("--backend", type=click.Choice(["local", "modal"]), default="local", show_default=True)
@click.option("--kind", type=click.Choice(["train", "evaluate"]), default="train", show_default=True)
@json_option
def check(configs: tuple[str, ...], typed: tuple[str, ...], backend: str, kind: Kind, as_json: bool) -> int:
    """Check the configs as a launch would, and print each problem with its file and line."""
    from remote.contract.errors import VfmError
    from tui.cli.common import make_plan, print_json
    from tui.text.format import plain

    code, found = exit_codes.DONE, []
    for path in configs:
        notices: list[str] = []
        problem: VfmError | None = None
        try:
            notices = list(make_plan(path, typed, kind=kind, backend=backend).notices)
        except VfmError as error:
            problem = error
            code = max(code, exit_codes.code_of(error))
        if as_json:
            found.append({"config": path, "notices": notices, "problem": _as_dict(problem)})
        elif problem is not None:
            exit_codes.report(problem)
        else:
            for notice in notices:
                exit_codes.say(f"note: {notice}")
            click.echo(f"{plain(path)}: good")
    if as_json:
        print_json(found)
    return code


def _as_dict(error: VfmError | None) -> dict[str, str | None] | None:
    if error is None:
        return None
    return {"message": error.message, "hint": error.hint.text if error.hint else None}


@config.command()
@click.argument("path", metavar="CONFIG", type=click.Path())
@typed_option
@json_option
def show(path: str, typed: tuple[str, ...], as_json: bool) -> int:
    """Print the resolved spec, each value with its source."""
    from remote.contract.redaction import shown_value
    from tui.cli.common import print_json, resolve

    resolved = resolve(path, typed)
    for notice in resolved.notices:
        exit_codes.say(f"note: {notice}")
    if as_json:
        sources = {key: source.model_dump() for key, source in resolved.provenance.items()}
        spec = shown_value("", resolved.spec.model_dump(mode="json"))
        print_json({"config_path": path, "spec": spec, "provenance": sources})
    else:
        click.echo(spec_table(resolved.spec, resolved.provenance))
    return exit_codes.DONE


@config.command()
@json_option
def schema(as_json: bool) -> int:
    """List every key with its type, bounds, default and help."""
    from tui.cli.common import print_json
    from tui.config.overrides import spell
    from tui.config.schema import rows

    if as_json:
        print_json([row.as_dict() for row in rows()])
        return exit_codes.DONE
    for row in rows():
        click.echo(f"{row.key}: {row.expected} (default {spell(row.default)})")
        click.echo(f"    {row.help}")
    return exit_codes.DONE


def spec_table(spec: ExperimentSpec, provenance: Mapping[str, Provenance]) -> str:
    """Every value of a spec with its source, one a line."""
    from remote.contract.redaction import shown_value
    from tui.config.overrides import spell
    from tui.config.schema import rows
    from tui.text.format import table

    values = shown_value("", spec.model_dump(mode="json"))
    lines = []
    for row in rows():
        value: Any = values
        for part in row.path:
            value = value[part]
        lines.append((row.key, spell(value), source_of(row.key, provenance)))
    return table(("KEY", "VALUE", "SOURCE"), lines, exit_codes.columns(), wrap=True)


def source_of(key: str, provenance: Mapping[str, Provenance]) -> str:
    """Where a value comes from; parts of a mapping may come from several places."""
    found = [p for name, p in provenance.items() if name == key or name.startswith(key + ".")]
    sources = dict.fromkeys(p.where or p.layer for p in found if p.layer != "default")
    return ", ".join(sources) or "default"

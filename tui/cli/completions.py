"""What Tab offers: configs, runs, environments, volumes and their files.

Runs inside the shell's completion, where an error would land in the middle of the line being typed:
whatever goes wrong, nothing is offered.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from click.shell_completion import CompletionItem

F = TypeVar("F", bound=Callable[..., Any])


def _quietly(offer: Callable[[str], list[CompletionItem]]) -> Callable[..., list[CompletionItem]]:
    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        try:
            return offer(incomplete)
        except Exception:
            return []

    return complete


def _starting(incomplete: str, values: list[tuple[str, str]]) -> list[CompletionItem]:
    return [CompletionItem(value, help=help) for value, help in values if value.startswith(incomplete)]


@_quietly
def runs(incomplete: str) -> list[CompletionItem]:
    """Run ids, newest first, and `last`."""
    from tui.cli.common import connect, run

    async def known() -> list[tuple[str, str]]:
        return [(r.run_id, f"{r.status} {r.environment}") for r in (await connect().runs()).rows]

    return _starting(incomplete, [("last", "the newest run"), *run(known())])


@_quietly
def checkpoints(incomplete: str) -> list[CompletionItem]:
    """Trainings, newest first, and behind the colon their checkpoints."""
    from remote.contract.checkpoint_names import checkpoints_from
    from tui.cli.common import connect, run

    async def known() -> list[tuple[str, str]]:
        client = connect()
        trainings = [record for record in (await client.runs()).rows if record.kind == "train"]
        name, colon, _ = incomplete.partition(":")
        if not colon:
            return [(r.run_id, f"{r.status} {r.environment}") for r in trainings]
        record = next(r for r in trainings if r.run_id == name)
        found = checkpoints_from((await client.state(record)).checkpoints, done=record.status == "done")
        return [(f"{name}:{saved.name}", saved.label) for saved in found]

    return _starting(incomplete, run(known()))


@_quietly
def volumes(incomplete: str) -> list[CompletionItem]:
    """`VOLUME`, and behind the colon the files of one."""
    from tui.cli.common import connect, run

    async def known() -> list[tuple[str, str]]:
        client = connect()
        volume, colon, path = incomplete.partition(":")
        if not colon:
            return [(f"{v.name}:", v.backend) for v in (await client.volumes()).rows]
        folder = path.rpartition("/")[0]
        entries = await client.ls(volume, folder)
        return [(f"{volume}:{e.path}" + "/" * e.is_dir, "") for e in entries]

    return _starting(incomplete, run(known()))


@_quietly
def keys(incomplete: str) -> list[CompletionItem]:
    """The spec's keys, for `--set`, and behind the `=` the values of one that has few."""
    from tui.config.schema import by_key, rows

    key, equals, _ = incomplete.partition("=")
    if not equals:
        return _starting(incomplete, [(f"{row.key}=", row.help) for row in rows()])
    row = by_key()[key]
    values = {"choice": list(map(str, row.choices)), "true or false": ["true", "false"]}.get(row.type, [])
    if key.endswith(".environment"):
        values = _environments()
    return _starting(incomplete, [(f"{key}={value}", "") for value in values])


@_quietly
def environments(incomplete: str) -> list[CompletionItem]:
    """The packages of `environments/`."""
    return _starting(incomplete, [(name, "") for name in _environments()])


def _environments() -> list[str]:
    from tui.planning.environments import spoken_names
    from tui.settings import Settings

    return list(spoken_names(Settings.load().project_dir))

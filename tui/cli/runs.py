"""`vfm runs`, `show`, `logs`, `metrics`, `cancel`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from tui.cli import completions, exit_codes, interrupt
from tui.cli.config import json_option
from tui.cli.exit_codes import report_all

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client
    from tui.store.runs.state import RunState

run_argument = click.argument("run", shell_complete=completions.runs)
_OFFERED = 3
SOURCES = ("vllm", "env", "train", "worker", "image")


@click.command()
@json_option
def runs(as_json: bool) -> int:
    """List runs, newest first."""
    from tui.cli.common import connect, print_json, run
    from tui.text.format import moment, table

    listing = run(connect().runs())
    if as_json:
        print_json([_as_dict(record) for record in listing.rows])
    else:
        header = ["RUN", "STATUS", "KIND", "BACKEND", "ENVIRONMENT", "MODEL", "CREATED", "TOOK"]
        cells = [
            [r.run_id, r.status, r.kind, r.backend, r.environment, r.model, moment(r.created), _took(r)]
            for r in listing.rows
        ]
        if any(record.usd_per_hour is not None for record in listing.rows):
            header.append("EST. COST")
            cells = [[*row, _cost(record)] for row, record in zip(cells, listing.rows, strict=True)]
        click.echo(table(header, cells, exit_codes.columns()))
        _offer_resuming(listing.rows)
    return report_all(listing)


def _offer_resuming(rows: list[RunRecord]) -> None:
    from tui.services.resume import offer

    interrupted = [record for record in rows if record.interrupted]
    for record in interrupted[:_OFFERED]:
        exit_codes.say(offer(record))
    if len(interrupted) > _OFFERED:
        exit_codes.say(f"{len(interrupted) - _OFFERED} more runs were interrupted: vfm resume RUN")


def _as_dict(record: RunRecord) -> dict[str, Any]:
    """The record's fields, and the estimated cost so far."""
    return {**record.model_dump(mode="json"), "estimated_usd": _estimate(record)}


def _estimate(record: RunRecord) -> float | None:
    import time

    from tui.services.price import estimate

    cost = estimate(record, time.time())
    return None if cost is None else round(cost, 4)


def _cost(record: RunRecord) -> str:
    from tui.planning.price_text import usd

    cost = _estimate(record)
    return "–" if cost is None else usd(cost)


def _took(record: RunRecord) -> str:
    import time

    from tui.text.format import duration

    return duration((record.ended or time.time()) - record.created)


@click.command()
@run_argument
@json_option
def show(run: str, as_json: bool) -> int:
    """Show RUN: its record, phases, latest metrics and checkpoints."""
    from tui.cli import common as shared
    from tui.cli.show import Cost, as_dict, as_text, cost_of
    from tui.services import checkpoints

    async def known() -> tuple[RunRecord, RunState, Cost, frozenset[str] | None]:
        client = shared.connect()
        record = await client.status(await client.find(run))
        saved = await checkpoints.saved(client, record)
        return record, await client.state(record), await cost_of(client, record), saved

    found = shared.run(known())
    shared.print_json(as_dict(*found)) if as_json else click.echo(as_text(*found))
    return exit_codes.DONE


@click.command()
@run_argument
@click.option("--follow", "-f", is_flag=True, help="Follow until the run ends; exit with its outcome.")
@click.option("--source", type=click.Choice(SOURCES), help="Only log lines of this source.")
@click.option("--events", "--json", "events", is_flag=True, help="The run's events, one JSON object a line.")
def logs(run: str, follow: bool, source: str | None, events: bool) -> int:
    """Print RUN's output from its first line."""
    from tui.cli import common as shared

    if source and events:
        raise click.UsageError("--source is for log lines, --events (--json) for events: choose one")
    record = shared.run(_logged(run, follow, source, events))
    if not follow:
        return exit_codes.DONE
    from tui.cli.follow import closing, exit_code

    exit_codes.say(closing(record))
    return exit_code(record)


async def _logged(text: str, live: bool, source: str | None, events: bool) -> RunRecord:
    from tui.cli import follow
    from tui.cli.common import connect
    from tui.text.stream import StreamText

    client: Client = connect()
    record, damage = await client.find_output(text)
    if damage:
        exit_codes.say(f"note: {damage.message}")
    if live:
        interrupt.announce(follow.rejoin(record.run_id))
    if events:
        await follow.print_events(client, record, live=live)
    else:
        await follow.print_text(
            client, record, StreamText(source, colours=exit_codes.wants_colours()), live=live
        )
    return await client.status(record) if live else record


@click.command()
@run_argument
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="One row a step, one column a metric.")
def metrics(run: str, as_json: bool, as_csv: bool) -> int:
    """Print RUN's metrics, step by step."""
    from tui.cli import common as shared

    if as_json and as_csv:
        raise click.UsageError("--json or --csv, not both")

    async def known() -> list[dict[str, Any]]:
        client = shared.connect()
        record, damage = await client.find_output(run)
        if damage:
            exit_codes.say(f"note: {damage.message}")
        return await client.metrics(record)

    steps = shared.run(known())
    if as_json:
        shared.print_json(steps)
    elif as_csv:
        _write_csv(steps)
    else:
        _print_steps(steps)
    return exit_codes.DONE


def _write_csv(steps: list[dict[str, Any]]) -> None:
    import csv
    import sys

    from tui.text.format import plain

    names = list(dict.fromkeys(name for step in steps for name in step["values"]))
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["step", *map(plain, names)])
    writer.writerows([step["step"], *(step["values"].get(name, "") for name in names)] for step in steps)


def _print_steps(steps: list[dict[str, Any]]) -> None:
    from tui.text.format import named, number, table
    from tui.text.stream import main_metrics

    names = list(dict.fromkeys(name for step in steps for name, _ in main_metrics(step["values"])))
    rows = [
        (str(s["step"]), *(number(s["values"][n]) if n in s["values"] else "" for n in names)) for s in steps
    ]
    click.echo(table(("STEP", *map(named, names)), rows, exit_codes.columns()))
    exit_codes.say("Every metric: --json or --csv.")


@click.command()
@run_argument
@click.option("--now", is_flag=True, help="At once, without saving anything: for a run that hangs.")
@json_option
def cancel(run: str, now: bool, as_json: bool) -> int:
    """Ask RUN to stop; it saves what it has."""
    from tui.cli import common as shared

    async def ask() -> RunRecord:
        client = shared.connect()
        record = await client.find(run)
        await client.cancel(record, now=now)
        return await client.status(record) if now and not record.ended_already else record

    record = shared.run(ask())
    if as_json:
        shared.print_json(_as_dict(record))
    elif now and record.ended_already:
        exit_codes.say(f"Run {record.run_id}: {record.status}.")
    elif record.ended_already:
        exit_codes.say(f"Run {record.run_id} is over already: {record.status}.")
    else:
        exit_codes.say(
            f"Run {record.run_id} was asked to stop. See it end: vfm logs {record.run_id} --follow"
        )
    return exit_codes.DONE

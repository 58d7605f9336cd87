"""`vfm launch`: start a run from a config and options, and follow it to its end.

Owns the options and the text of a plan. `tui/planning/plan.py` plans, `follow.py` follows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from tui.cli import completions, exit_codes, interrupt

if TYPE_CHECKING:
    from remote.contract.record import Kind, RunRecord
    from tui.client import Client
    from tui.planning.plan import Plan


detach_option = click.option(
    "--detach", is_flag=True, help="Print the run's id and return once it has started."
)
json_option = click.option(
    "--json",
    "as_json",
    is_flag=True,
    help="Print the run's events, one JSON object a line; detached, its record.",
)


def _config(ctx: click.Context, param: click.Parameter, value: str | None) -> str | None:
    """The config; required, so that `vfm launch` alone starts nothing, unless an option is given."""
    from_options = ctx.get_parameter_source("backend") is ParameterSource.COMMANDLINE
    from_options |= any(ctx.params.get(name) for name in ("typed", "checkpoint", "endpoint"))
    if value is None and not from_options:
        raise click.MissingParameter("without CONFIG, give --backend or --set", ctx=ctx, param=param)
    return value


@click.command()
@click.argument("config", type=click.Path(), required=False, callback=_config)
@click.option("--backend", type=click.Choice(["local", "modal"]), default="local", show_default=True)
@click.option("--kind", type=click.Choice(["train", "evaluate"]), default="train", show_default=True)
@click.option(
    "--checkpoint",
    metavar="RUN[:NAME]",
    shell_complete=completions.checkpoints,
    help="Evaluate a training's checkpoint: the best one, or NAME (checkpoint-40, final). Without CONFIG, by "
    "the training's own config.",
)
@click.option(
    "--endpoint",
    metavar="URL",
    help="Evaluate a model behind an OpenAI-compatible endpoint instead of serving one.",
)
@click.option(
    "--set",
    "typed",
    metavar="KEY=VALUE",
    multiple=True,
    shell_complete=completions.keys,
    help="Override a value of the config, such as training.steps=100. May be repeated.",
)
@detach_option
@click.option("--dry-run", is_flag=True, help="Print the plan, start nothing.")
@json_option
@click.pass_context
def launch(
    ctx: click.Context,
    config: str | None,
    backend: str,
    kind: Kind,
    checkpoint: str | None,
    endpoint: str | None,
    typed: tuple[str, ...],
    detach: bool,
    dry_run: bool,
    as_json: bool,
) -> int:
    """Launch CONFIG (or the defaults, with an option) and follow the run to its end."""
    from tui.cli.common import make_plan, print_json, run

    if checkpoint or endpoint:
        if ctx.get_parameter_source("kind") is ParameterSource.COMMANDLINE and kind == "train":
            raise click.UsageError("--checkpoint and --endpoint are for evaluations: leave out --kind train")
        kind = "evaluate"
    if endpoint:
        typed = (*typed, f"evaluation.endpoint={endpoint}")
    if checkpoint:
        from tui.cli.checkpoint_plan import plan_of_checkpoint

        named = ctx.get_parameter_source("backend") is ParameterSource.COMMANDLINE
        plan = run(plan_of_checkpoint(checkpoint, config, typed, backend if named else None))
    else:
        plan = make_plan(config, typed, kind=kind, backend=backend)
    if dry_run:
        print_json(plan_dict(plan)) if as_json else click.echo(plan_text(plan))
        return exit_codes.DONE
    return start(plan, detach=detach, as_json=as_json)


def start(plan: Plan, *, detach: bool = False, as_json: bool = False, resume: bool = False) -> int:
    """Launch or resume a run and follow it to its end; detached, print its id and return.

    Returns the exit code. Raises `VfmError` where the run cannot be started.
    """
    from tui.cli.common import print_json, run
    from tui.cli.follow import closing, exit_code

    _print_notices(plan)
    record = run(_launched(plan, detach, as_json, resume))
    if detach:
        print_json(record.model_dump(mode="json")) if as_json else click.echo(record.run_id)
        return exit_codes.DONE
    exit_codes.say(closing(record, plan.command))
    return exit_code(record)


def _print_notices(plan: Plan) -> None:
    for notice in plan.notices:
        exit_codes.say(f"note: {notice}")
    if plan.price is not None:
        exit_codes.say(f"Price: {price_text(plan)} (an estimate)")


async def _launched(plan: Plan, detach: bool, as_json: bool, resume: bool = False) -> RunRecord:
    from tui.cli import follow
    from tui.cli.common import connect
    from tui.text.stream import StreamText

    client = connect()
    position = _stream_size(client, plan) if resume else 0
    with interrupt.held():
        record = await (client.resume(plan) if resume else client.launch(plan))
        interrupt.announce(follow.rejoin(record.run_id))
    begun = "goes on" if resume else "has started"
    exit_codes.say(f"Run {record.run_id} {begun}. Watch it again: vfm logs {record.run_id} --follow")
    if detach:
        return record
    try:
        if as_json:
            await follow.print_events(client, record, position)
        else:
            await follow.print_text(client, record, StreamText(colours=exit_codes.wants_colours()), position)
    except BrokenPipeError:
        # To the run, a closed pipe is the same as Ctrl-C.
        exit_codes.say(follow.rejoin(record.run_id))
        raise KeyboardInterrupt from None
    return await client.status(record)


def _stream_size(client: Client, plan: Plan) -> int:
    """Bytes of the run's stream on this machine; the next attempt begins after them."""
    from remote.contract.record import RunRecord

    record = RunRecord.of(plan.request)
    log = client.of(record).log_path(record)
    return log.stat().st_size if log.exists() else 0


def plan_dict(plan: Plan) -> dict[str, Any]:
    """The plan as JSON."""
    request = plan.request
    return {
        **request.model_dump(mode="json", exclude={"script_text"}),
        "volumes": [request.outputs, request.cache],
        "difference": [{"key": key, "from": old, "to": new} for key, old, new in plan.diff],
        "command": plan.command,
        "model_why": plan.reasons.get("model", ""),
        "script_why": plan.reasons.get("script", ""),
        "tools": plan.reasons.get("tools", ""),
        "notices": list(plan.notices),
        "price": _price_dict(plan),
    }


def _price_dict(plan: Plan) -> dict[str, Any]:
    price = plan.price
    if price is None:
        return {"usd_per_hour": None, "usd_at_most": None, "note": plan.reasons["price"]}
    return {
        "usd_per_hour": round(price.hour, 4),
        "usd_at_most": round(price.most, 2),
        "usd_without_budget": round(price.whole, 2),
        "budget_usd": price.budget,
        "attempts": price.attempts,
        "timeout": price.timeout,
        "date": price.date,
        "source": price.source,
    }


def price_text(plan: Plan) -> str:
    """The price of an hour, and the most that the run can cost."""
    from tui.planning import price_text as costs

    price = plan.price
    if price is None:
        return plan.reasons["price"]
    return f"{costs.hourly(price)}, {costs.at_most(price)}"


def plan_text(plan: Plan) -> str:
    """The plan as text for `--dry-run`."""
    from tui.cli.config import spec_table
    from tui.config.overrides import spell
    from tui.planning import price_text as costs
    from tui.planning.training_scripts import BUILT_IN
    from tui.text.format import plain

    request, reasons = plan.request, plan.reasons
    script = reasons.get("script")
    facts = {
        "run": f"{request.run_id} ({request.kind} on {request.backend})",
        "environment": request.environment,
        "model": f"{request.model} ({reasons['model']})",
        "checkpoint": reasons.get("checkpoint"),
        "endpoint": (request.spec.evaluation.endpoint or "") if request.kind == "evaluate" else "",
        "script": f"{request.script or BUILT_IN} ({script})" if script else "",
        "tools": reasons.get("tools"),
        "outputs": f"{request.outputs}:runs/{request.run_id}",
        "cache": request.cache,
        "machine": costs.machine(request.spec) if plan.price else "",
        "price": price_text(plan),
        "budget": costs.budget(plan.price) if plan.price else "",
        "": costs.NOT_INCLUDED if plan.price else "",
        "command": plan.command,
    }
    named = {f"{name}:" if name else "": value for name, value in facts.items() if value}
    lines = [plain(f"{name:13}{value}") for name, value in named.items()]
    changed = [plain(f"  {key}: {spell(old)} → {spell(new)}") for key, old, new in plan.diff]
    lines += ["", "Changes to the config:", *(changed or ["  none"])]
    lines += ["", spec_table(request.spec, request.provenance)]
    return "\n".join([*lines, *(plain(f"note: {notice}") for notice in plan.notices)])

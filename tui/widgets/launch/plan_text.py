"""Formats the preview of a launch: plan, memory, price, command. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from textual.content import Content

from tui.planning import price_text as costs
from tui.planning.prices import WORKSPACE
from tui.planning.training_scripts import BUILT_IN
from tui.text.format import plain

if TYPE_CHECKING:
    from tui.planning.gpu_memory import Device, Fit
    from tui.planning.plan import Plan
    from tui.planning.preview import Outlook

VERDICTS = {
    "fits": ("✓", "$success"),
    "tight": ("▲", "$warning"),
    "does not fit": ("✗", "$error"),
    "unknown": ("?", "$text-muted"),
}
"""Verdict → sign and colour."""
_MOST_CHANGES = 12
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def plan_text(outlook: Outlook, width: int, *, explain: bool = False) -> Content:
    """The whole text; with `explain`, how each part of the memory was estimated."""
    if outlook.plan is None:
        return _lines([Content.styled(f"✗ {plain(outlook.refused)}", "$error")])
    request = outlook.plan.request
    parts = [
        *_head(outlook.plan),
        *_section("Changes", _changes(outlook.plan)),
        *_section("Price", _price(outlook.plan)),
        *_section("Memory", _memory(outlook.fit, width, explain) if outlook.fit else []),
        *_section("Notices", [Content(f"! {plain(notice)}") for notice in outlook.plan.notices]),
        *_section("Volumes", [Content(plain(request.outputs)), Content(plain(request.cache))]),
        *_section("Command", [Content(plain(outlook.plan.command)), _muted("y copies it")]),
    ]
    return _lines(parts)


def problem_text(count: int) -> Content:
    """The text in place of a plan: the number of problems; 0: there is no config."""
    if not count:
        return Content.styled("✗ nothing to launch: see the form", "bold $error")
    what = "1 field needs" if count == 1 else f"{count} fields need"
    first = Content.styled(f"✗ {what} mending", "bold $error")
    return _lines([first, _muted("n goes to the next one")])


def _head(plan: Plan) -> Iterator[Content]:
    request = plan.request
    verb = {"train": "Train", "evaluate": "Evaluate"}[request.kind]
    yield Content.assemble(
        (f"{verb} ", ""), (plain(request.environment), "bold"), (" on ", ""), (request.backend, "bold")
    )
    if checkpoint := plan.reasons.get("checkpoint"):
        yield from _section("Checkpoint", [Content.styled(plain(checkpoint), "bold")])
    if request.kind == "evaluate" and (endpoint := request.spec.evaluation.endpoint):
        yield from _section("Endpoint", [Content.styled(plain(endpoint), "bold")])
    yield from _section(
        "Model", [Content.styled(plain(request.model), "bold"), _muted(plan.reasons.get("model", ""))]
    )
    if why := plan.reasons.get("script"):
        script = Content.styled(plain(request.script or BUILT_IN), "bold")
        yield from _section("Training script", [script, _muted(why)])
    if tools := plan.reasons.get("tools"):
        yield from _section("Tools", [Content(plain(tools))])


def _section(title: str, lines: Iterable[Content]) -> Iterator[Content]:
    lines = list(lines)
    if lines:
        yield Content("")
        yield Content.styled(title, "$primary")
        yield from lines


def _changes(plan: Plan) -> Iterator[Content]:
    from tui.config.overrides import spell

    if not plan.diff:
        yield _muted("none: as the config says" if plan.request.config_path else "none: all by default")
    for key, before, now in plan.diff[:_MOST_CHANGES]:
        yield Content.assemble(
            (f"{plain(key)} ", ""),
            (f"{plain(spell(before))} ", "$text-muted"),
            ("→ ", "$text-muted"),
            (plain(spell(now)), "bold $accent"),
        )
    if len(plan.diff) > _MOST_CHANGES:
        yield _muted(f"… and {len(plan.diff) - _MOST_CHANGES} more")


def _memory(fit: Fit, width: int, explain: bool) -> Iterator[Content]:
    sign, colour = VERDICTS[fit.verdict]
    yield Content.styled(f"{sign} {fit.verdict}", f"bold {colour}") + Content(f"  {plain(fit.why)}")
    for device in fit.devices:
        yield from _device(device, width, colour, explain)
    for note in (fit.kv, f"counted with {fit.model}" if fit.model else ""):
        if note:
            yield _muted(note)
    if fit.devices:
        how = "e hides how" if explain else "e says how"
        yield _muted(f"an estimate, with every episode as long as allowed: {how}")


def _device(device: Device, width: int, colour: str, explain: bool) -> Iterator[Content]:
    of = f" of {device.capacity:.1f}" if device.capacity else ""
    head = f"{plain(device.name)}: {device.total:.1f}{of} GiB"
    yield Content(head)
    if device.capacity:
        yield Content.styled(_bar(device.total / device.capacity, min(width, 40)), colour)
    longest = max(len(part.name) for part in device.parts)
    for part in device.parts:
        yield Content(f"  {part.name:{longest}} {part.gib:6.1f}")
        if explain:
            yield from (
                _muted(f"    {piece}") for piece in textwrap.wrap(plain(part.reckoning), max(width - 4, 16))
            )


def _bar(share: float, width: int) -> str:
    """A fraction as a bar; what exceeds the whole is marked."""
    over = share > 1
    cells = min(share, 1.0) * (width - 2)
    full, rest = int(cells), cells - int(cells)
    partial = _EIGHTHS[round(rest * 8)] if full < width - 2 else ""
    return f"{'█' * full}{partial}".ljust(width - 2, "░") + (" ▶" if over else "")


def _price(plan: Plan) -> Iterator[Content]:
    price = plan.price
    if price is None:
        yield Content(plain(plan.reasons["price"]))
        return
    yield _muted(costs.machine(plan.request.spec))
    yield _figure(costs.hourly(price))
    yield _figure(costs.at_most(price))
    yield _muted(f"budget: {costs.budget(price)}")
    yield _muted(costs.NOT_INCLUDED)
    whose = price.own or ("this workspace's prices" if price.source == WORKSPACE else "Modal's list prices")
    yield _muted(f"{whose} of {price.date}, may have changed since: {price.source}")


def _figure(text: str) -> Content:
    """A sentence with its amount of money emphasised."""
    return Content(text).highlight_regex(r"\$[\d,.]*\d", style="bold")


def _muted(text: str) -> Content:
    return Content.styled(plain(text), "$text-muted")


def _lines(lines: Iterable[Content]) -> Content:
    return Content("\n").join(lines)

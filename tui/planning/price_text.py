"""Prices as text, for the app and the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.text.format import duration

if TYPE_CHECKING:
    from remote.contract.spec import ExperimentSpec
    from tui.planning.plan import Plan
    from tui.planning.prices import Price


NOT_INCLUDED = "not included: cores and memory beyond those reserved, and the start of machines"
"""What "at most" leaves out; the supervisor bounds all else (`attempt_log.time_left`)."""


def usd(amount: float) -> str:
    """`$0.41`, `$1,234.50`."""
    return f"${amount:,.2f}"


def estimated(amount: float) -> str:
    """`est. $0.41`: an estimate by the table of prices."""
    return f"est. {usd(amount)}"


def billed(amount: float) -> str:
    """`Modal billed $0.41`."""
    return f"Modal billed {usd(amount)}"


def machine(spec: ExperimentSpec) -> str:
    """`2 × H100, 8 cores, 32 GiB`."""
    modal = spec.modal
    place = f", in {modal.region}" if modal.region else ""
    place += f", on {modal.cloud}" if modal.cloud else ""
    return f"{modal.gpu.count} × {modal.gpu.type}, {modal.cpus:g} cores, {modal.memory / 1024:g} GiB{place}"


def hourly(price: Price) -> str:
    """`$2.73 an hour`, and the region's multiplier."""
    times = f" ({price.times:g} times the base price, for its region)" if price.times != 1 else ""
    return f"{usd(price.hour)} an hour{times}"


def at_most(price: Price) -> str:
    """`at most $43.65, in 4 attempts of 4 h 00 min`, or the budget, if lower."""
    if price.most < price.whole:
        return f"at most {usd(price.most)}, by its budget"
    return f"at most {_whole(price)}"


def budget(price: Price) -> str:
    """The value of `budget: `."""
    if price.budget is None:
        return "none (budget.max_usd)"
    if price.most < price.whole:
        return f"{usd(price.budget)}; without it {_whole(price)}"
    return f"{usd(price.budget)}, which it cannot reach"


def before(plan: Plan) -> list[str]:
    """What to know before a plan costs money, a line each; empty where it is free."""
    price, request = plan.price, plan.request
    if price is None:
        return []
    what = f"{request.environment}  {request.model}"
    sums = f"{hourly(price)}, {at_most(price)}"
    return [what, machine(request.spec), sums, f"budget: {budget(price)}", NOT_INCLUDED]


def in_short(plan: Plan) -> str:
    """The price of one of several plans, on one line."""
    price, request = plan.price, plan.request
    return f"{request.environment}  {'' if price is None else f'{hourly(price)}, at most {usd(price.most)}'}"


def _whole(price: Price) -> str:
    """`$43.65, in 4 attempts of 4 h 00 min`."""
    many = f"{price.attempts} attempts of " if price.attempts > 1 else ""
    return f"{usd(price.whole)}, in {many}{duration(price.timeout)}"

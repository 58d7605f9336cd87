"""What a run costs, in words: before it starts, while it runs, and after.

Owns the wording that both faces share. What an hour costs is `config/prices.py`'s, how many hours a run
took `run_price.py`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tui.text.format import duration

if TYPE_CHECKING:
    from remote.contract.spec import ExperimentSpec
    from tui.planning.plan import Plan
    from tui.planning.prices import Price


NOT_IN_IT = "not in it: cores and memory beyond those reserved, and the time that machines take to start"
"""What "at most" leaves out: all else is bounded by the supervisor (`attempt_log.time_left`)."""


def usd(amount: float) -> str:
    """`$0.41`, `$1,234.50`."""
    return f"${amount:,.2f}"


def estimated(amount: float) -> str:
    """`est. $0.41`: what the table of prices makes of the time that went by."""
    return f"est. {usd(amount)}"


def billed(amount: float) -> str:
    """`Modal billed $0.41`: what the bill says, beside the estimate."""
    return f"Modal billed {usd(amount)}"


def machine(spec: ExperimentSpec) -> str:
    """`2 × H100, 8 cores, 32 GiB`."""
    modal = spec.modal
    where = f", in {modal.region}" if modal.region else ""
    where += f", of {modal.cloud}" if modal.cloud else ""
    return f"{modal.gpu.count} × {modal.gpu.type}, {modal.cpus:g} cores, {modal.memory / 1024:g} GiB{where}"


def hourly(price: Price) -> str:
    """`$2.73 an hour`, and what a region does to it."""
    times = f" ({price.times:g} times the base price, for its region)" if price.times != 1 else ""
    return f"{usd(price.hour)} an hour{times}"


def at_most(price: Price) -> str:
    """`at most $43.65, in 4 attempts of 4 h 00 min`, or what the budget makes of that."""
    if price.most < price.whole:
        return f"at most {usd(price.most)}, by its budget"
    return f"at most {_whole(price)}"


def budget(price: Price) -> str:
    """What the run may cost, or that nobody said: what stands behind `budget: `."""
    if price.budget is None:
        return "none; budget.max_usd sets one"
    if price.most < price.whole:
        return f"{usd(price.budget)}; without it {_whole(price)}"
    return f"{usd(price.budget)}; it cannot cost as much"


def before(plan: Plan) -> list[str]:
    """What somebody should know before a plan costs money, a line each; nothing where it costs none."""
    price, request = plan.price, plan.request
    if price is None:
        return []
    what = f"{request.environment}  {request.model}"
    sums = f"{hourly(price)}, {at_most(price)}"
    return [what, machine(request.spec), sums, f"budget: {budget(price)}", NOT_IN_IT]


def in_short(plan: Plan) -> str:
    """The same on one line, for one of several plans."""
    price, request = plan.price, plan.request
    return f"{request.environment}  {'' if price is None else f'{hourly(price)}, at most {usd(price.most)}'}"


def _whole(price: Price) -> str:
    """`$43.65, in 4 attempts of 4 h 00 min`."""
    many = f"{price.attempts} attempts of " if price.attempts > 1 else ""
    return f"{usd(price.whole)}, in {many}{duration(price.timeout)}"

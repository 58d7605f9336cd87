"""The question before something costs money: what an hour costs, what it can come to, what limits it.

Owns when it is asked. The sums are the plan's, the words `tui/planning/price_text.py`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.planning import price_text
from tui.screens.app_base import Desk
from tui.screens.dialogs import Confirm

if TYPE_CHECKING:
    from tui.planning.plan import Plan


async def may_cost(desk: Desk, plans: Sequence[Plan]) -> bool:
    """Ask where launching these costs money, saying how much; what costs nothing is not asked about."""
    paid = [plan for plan in plans if plan.price is not None]
    if not paid:
        return True
    what = price_text.before(paid[0]) if len(paid) == 1 else [price_text.in_short(plan) for plan in paid]
    many = "this run" if len(paid) == 1 else f"{len(paid)} runs"
    title = f"Launch {many} on {paid[0].request.backend}?"
    sure = await desk.push_screen_wait(Confirm(title, what, yes="Launch"))
    return bool(sure)

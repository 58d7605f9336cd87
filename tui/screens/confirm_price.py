"""Confirm the price of a launch: what an hour costs, what it can come to, what limits it.

The plan computes the amounts; `tui/planning/price_text.py` formats them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tui.planning import price_text
from tui.screens.app_base import AppBase
from tui.screens.dialogs import Confirm

if TYPE_CHECKING:
    from tui.planning.plan import Plan


async def confirm_price(app: AppBase, plans: Sequence[Plan]) -> bool:
    """Ask before launching what costs money; True without asking where nothing does."""
    paid = [plan for plan in plans if plan.price is not None]
    if not paid:
        return True
    lines = price_text.before(paid[0]) if len(paid) == 1 else [price_text.in_short(plan) for plan in paid]
    runs = "this run" if len(paid) == 1 else f"{len(paid)} runs"
    title = f"Launch {runs} on {paid[0].request.backend}?"
    sure = await app.push_screen_wait(Confirm(title, lines, yes="Launch"))
    return bool(sure)

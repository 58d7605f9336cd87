"""Whether the user is signed in to Modal, and whether Modal answers."""

from __future__ import annotations

import asyncio

from remote.contract.errors import VfmError
from tui.backends.modal import sign_in
from tui.doctor.finding import Result, Surroundings
from tui.text.format import counted

_SETUP = "modal setup"
ANSWER = 10.0
"""Seconds that Modal may take to answer."""


async def look(around: Surroundings) -> Result:
    """The sign-in on this machine, and Modal's answer to it: its volumes are listed."""
    secrets = around.settings.secrets if around.settings else {}
    signed_in = sign_in.describe(secrets, around.environ)
    if not signed_in:
        return Result("note", "not signed in: runs on Modal cannot be launched or listed", _SETUP)
    if around.volumes_of is None:
        return Result("ok", signed_in)
    try:
        volumes = await asyncio.wait_for(around.volumes_of("modal"), ANSWER)
    except TimeoutError:
        return Result("problem", f"{signed_in}\nno answer within {ANSWER:g} s")
    except VfmError as error:
        advice = error.hint.text if error.hint else ""
        lines = filter(None, (error.message, error.cause, signed_in, advice))
        return Result("problem", "\n".join(lines), _SETUP if _SETUP in advice else "")
    except Exception as error:  # of Modal's library
        return Result("problem", f"{signed_in}\nModal failed: {type(error).__name__}: {error}")
    prices = await asyncio.to_thread(_prices, around)
    return Result("ok", f"{signed_in}\nModal answers: {counted(len(volumes), 'volume')} of runs\n{prices}")


def _prices(around: Surroundings) -> str:
    """The prices that plans use."""
    from tui.planning.prices import WORKSPACE, prices

    try:
        table = prices(around.settings)
    except VfmError as error:
        return error.message
    source = "those of this workspace" if table.source == WORKSPACE else "those of Modal's price list"
    return f"prices: {table.own or source}, of {table.date}"

"""Whether what this machine is signed in to answers: asked through the client, on the event loop.

Owns turning the answer, or its absence, into a finding. Whether somebody is signed in at all is
`machine.py`'s, which asks nobody.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace

from remote.contract.errors import VfmError
from tui.doctor.finding import Finding, Surroundings

_SETUP = "modal setup"


async def modal(around: Surroundings, signed_in: Finding) -> Finding:
    """The sign-in's finding, and whether Modal takes it: its volumes are listed."""
    if around.volumes_of is None:
        return signed_in
    try:
        count = len(await around.volumes_of("modal"))
    except VfmError as error:
        advice = error.hint.text if error.hint else ""
        by = signed_in.detail.replace("signed in by", "the sign-in is that of")
        told = "\n".join(filter(None, (error.message, error.cause, by, advice)))
        return replace(signed_in, state="problem", detail=told, command=_SETUP if _SETUP in advice else "")
    many = f"{count} volume{'' if count == 1 else 's'} of runs there"
    return replace(signed_in, detail=f"{signed_in.detail}\nit answers: {many}\n{await _prices(around)}")


async def _prices(around: Surroundings) -> str:
    """Which prices plans are made with."""
    from tui.planning.prices import WORKSPACE, prices

    try:
        table = await asyncio.to_thread(prices, around.settings)
    except VfmError as error:
        return error.message
    whose = "this workspace's own" if table.source == WORKSPACE else "the list of Modal's page"
    return f"prices: {table.own or whose}, of {table.date}"

"""All checks at once, each off the event loop, alone and with a deadline.

Owns the list of checks in the order in which people need them, and what becomes of one that hangs or
breaks. What a check looks at is `setup`'s, `machine`'s, `terminal`'s and `reach`'s.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from tui.doctor import machine, reach, setup, terminal
from tui.doctor.finding import Finding, Surroundings


@dataclass(frozen=True)
class Check:
    """One thing to look at."""

    id: str
    title: str
    look: Callable[[Surroundings], Finding]
    """Blocks; runs in a thread of its own."""
    deadline: float = 10.0
    """Seconds that it may take."""
    ask: Callable[[Surroundings, Finding], Awaitable[Finding]] | None = None
    """Where all is well so far, what somebody elsewhere says to it; it may take as long once more."""


CHECKS: tuple[Check, ...] = (
    Check("python", "Python", machine.python),
    Check("home", "data folder", machine.home),
    Check("disk", "disk space", machine.disk),
    Check("image", "local image", machine.image, deadline=40.0),
    Check("project", "configs", setup.project),
    Check("env", ".env", setup.env),
    Check("names", "your names", setup.names),
    Check("modal", "Modal", machine.modal, ask=reach.modal),
    Check("tools", "git and uv", machine.tools),
    Check("settings", "settings.toml", setup.settings, deadline=70.0),
    Check("colours", "colours", terminal.colours),
    Check("text", "characters", terminal.text),
    Check("size", "terminal size", terminal.size),
    Check("clipboard", "clipboard", terminal.clipboard),
)


async def examine(around: Surroundings, checks: Sequence[Check] = CHECKS) -> AsyncIterator[Finding]:
    """Every check's finding, as it comes."""
    for next_one in asyncio.as_completed([_one(check, around) for check in checks]):
        yield await next_one


async def _one(check: Check, around: Surroundings) -> Finding:
    try:
        finding = await asyncio.wait_for(_in_thread(check, around), check.deadline)
    except TimeoutError:
        detail = f"no answer within {check.deadline:.0f} s: the disk or a program that was asked hangs"
        return Finding(check.id, check.title, "problem", detail)
    return await _asked(check, around, finding) if check.ask and finding.state == "ok" else finding


async def _asked(check: Check, around: Surroundings, finding: Finding) -> Finding:
    assert check.ask is not None
    try:
        return await asyncio.wait_for(check.ask(around, finding), check.deadline)
    except TimeoutError:
        told = f"no answer within {check.deadline:.0f} s"
    except Exception as error:  # whatever a backend's libraries raise: the other checks go on
        told = f"could not be asked: {type(error).__name__}: {error}"
    return replace(finding, state="problem", detail=f"{finding.detail}\n{told}")


def _in_thread(check: Check, around: Surroundings) -> asyncio.Future[Finding]:
    """A thread that nobody waits for on the way out: a file system that hangs would hang the app too."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Finding] = loop.create_future()

    def answer(finding: Finding) -> None:
        if not future.done():
            future.set_result(finding)

    def look() -> None:
        try:
            finding = check.look(around)
        except Exception as error:
            what = f"could not be checked: {type(error).__name__}: {error}"
            finding = Finding(check.id, check.title, "problem", what)
        if not loop.is_closed():
            loop.call_soon_threadsafe(answer, finding)

    threading.Thread(target=look, name=f"doctor {check.id}", daemon=True).start()
    return future

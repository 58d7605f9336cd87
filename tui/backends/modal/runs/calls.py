"""A run's function call and app: whether they go on, what became of them, and how they are stopped.

Owns asking Modal. What a run's record says and what is made of a death is `status.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from remote.contract.errors import BackendError
from tui.backends.modal.session import PATIENCE, within

if TYPE_CHECKING:
    from modal.client import Client

# `expired`: Modal has forgotten; `launch`: it was never called, and nobody is left who would.
How = Literal["returned", "raised", "timeout", "memory", "cancelled", "lost", "expired", "launch"]


TERMINATED = 20.0
"""Seconds until a container that is terminated has to be gone."""


@dataclass(frozen=True)
class Outcome:
    """How a call ended."""

    how: How
    text: str = ""
    """What was raised, in one line."""
    exit_code: int | None = None
    """Of a function that left by `sys.exit`."""


async def outcome(client: Client, call: str, seconds: float = 0.0) -> Outcome | None:
    """How a call ended; None where it goes on after so many seconds.

    Nothing that it raised is raised here, not even `SystemExit`. Raises `BackendError`; `NotFoundError` where
    there is no such call.
    """
    from tui.backends.modal import protocol

    async with within(seconds + PATIENCE, "ask how the run stands"):
        answer, raised = await protocol.get_outputs.aio(client, call, seconds)
    if not answer.outputs:
        return None if answer.num_unfinished_inputs else Outcome("expired")
    return Outcome("returned") if raised is None else _judged(answer.outputs[0].result, raised)


async def is_over(client: Client, app: str) -> bool:
    """Whether an app is stopped. Raises `BackendError`; `NotFoundError` where there is no such app."""
    import modal
    from modal.types import AppState

    async with within(PATIENCE, "ask how the run stands"):
        info = await (await modal.App.lookup.aio(app, client=client)).info.aio()
    return info.lifecycle.state in (AppState.STOPPED, AppState.DISABLED)


async def cancel(client: Client, call: str) -> None:
    """Cancel a call; its function may save what it has. Raises as `outcome` does."""
    import modal

    async with within(PATIENCE, "stop the run"):
        await modal.FunctionCall.from_id(call, client=client).cancel.aio()


async def terminate(client: Client, call: str, app: str | None) -> None:
    """Cancel a call and end its container, which has no time to save anything; where that does not end in
    time, stop the app. Raises as `outcome` does, and `BackendError` where it goes on all the same."""
    import modal

    async with within(PATIENCE, "stop the run"):
        await modal.FunctionCall.from_id(call, client=client).cancel.aio(terminate_containers=True)
    if await outcome(client, call, TERMINATED) is None and app:
        await stop(client, app)
        if await outcome(client, call, TERMINATED) is None:
            raise BackendError("Modal has been asked to end the run's container, which it has not done yet")


async def stop(client: Client, app: str) -> None:
    """Stop an app and all that runs in it, at once. Raises as `is_over` does."""
    import modal

    async with within(PATIENCE, "stop the run"):
        await (await modal.App.lookup.aio(app, client=client)).stop.aio()


def _judged(result: Any, error: BaseException) -> Outcome:
    """What a call that did not return came to."""
    from tui.backends.modal import protocol

    status = protocol.status_name(result)
    known: dict[str, How] = {
        "TIMEOUT": "timeout",
        "TERMINATED": "cancelled",
        "INTERNAL_FAILURE": "lost",
        "IDLE_TIMEOUT": "lost",
        "KERNEL_OOM_KILL": "memory",
        "MEMORY_MANAGER_EVICTION": "memory",
        "MEMORY_THRASHING_EVICTION": "memory",
    }
    if status in known:
        return Outcome(known[status], _line(result.exception or str(error)))
    if not result.data and not result.data_blob_id:
        return Outcome("lost", _line(result.exception))  # The container died with no word of the function's.
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        return Outcome("raised", f"SystemExit: {error.code}", code)
    return Outcome("raised", _line(f"{type(error).__name__}: {error}"))


def _line(text: str) -> str:
    return text.strip().partition("\n")[0]

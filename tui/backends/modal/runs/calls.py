"""A run's function call and app on Modal: whether they run, how they ended, and stopping them.

What follows for the run's record is `status.py`'s.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from remote.contract.errors import BackendError
from tui.backends.modal.session import CALL_SECONDS, within

if TYPE_CHECKING:
    from modal.client import Client

# expired: Modal no longer knows; launch: the launcher is gone and the function was never called.
OutcomeKind = Literal["returned", "raised", "timeout", "memory", "cancelled", "lost", "expired", "launch"]


TERMINATED = 20.0
"""Seconds that a container may take to end once it is terminated."""


@dataclass(frozen=True)
class Outcome:
    """How a call ended."""

    kind: OutcomeKind
    text: str = ""
    """The exception, in one line."""
    exit_code: int | None = None
    """Of a function that called `sys.exit`."""


async def outcome(client: Client, call: str, seconds: float = 0.0) -> Outcome | None:
    """How a call ended; None if it still runs after so many seconds.

    What the function raised is not raised here. Raises `BackendError`, and `NotFoundError` where there is no
    such call.
    """
    from tui.backends.modal import protocol

    async with within(seconds + CALL_SECONDS, "ask how the run stands"):
        answer, raised = await protocol.get_outputs.aio(client, call, seconds)
    if not answer.outputs:
        return None if answer.num_unfinished_inputs else Outcome("expired")
    return Outcome("returned") if raised is None else _judged(answer.outputs[0].result, raised)


async def is_over(client: Client, app: str) -> bool:
    """Whether an app is stopped. Raises `BackendError`, and `NotFoundError` where there is no such app."""
    import modal
    from modal.types import AppState

    async with within(CALL_SECONDS, "ask how the run stands"):
        info = await (await modal.App.lookup.aio(app, client=client)).info.aio()
    return info.lifecycle.state in (AppState.STOPPED, AppState.DISABLED)


async def cancel(client: Client, call: str) -> None:
    """Cancel a call; its function has time to save. Raises as `outcome` does."""
    import modal

    async with within(CALL_SECONDS, "stop the run"):
        await modal.FunctionCall.from_id(call, client=client).cancel.aio()


async def terminate(client: Client, call: str, app: str | None) -> None:
    """Cancel a call and end its container, which has no time to save; if that fails, stop the app.

    Raises as `outcome` does, and `BackendError` where the call still runs.
    """
    import modal

    async with within(CALL_SECONDS, "stop the run"):
        await modal.FunctionCall.from_id(call, client=client).cancel.aio(terminate_containers=True)
    if await outcome(client, call, TERMINATED) is None and app:
        await stop(client, app)
        if await outcome(client, call, TERMINATED) is None:
            raise BackendError("Modal has been asked to end the run's container, which it has not done yet")


async def stop(client: Client, app: str) -> None:
    """Stop an app and all of its containers, at once. Raises as `is_over` does."""
    import modal

    async with within(CALL_SECONDS, "stop the run"):
        await (await modal.App.lookup.aio(app, client=client)).stop.aio()


def _judged(result: Any, error: BaseException) -> Outcome:
    """The outcome of a call that did not return."""
    from tui.backends.modal import protocol

    status = protocol.status_name(result)
    known: dict[str, OutcomeKind] = {
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
        return Outcome("lost", _line(result.exception))  # the container died, the function raised nothing
    if isinstance(error, SystemExit):
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
        return Outcome("raised", f"SystemExit: {error.code}", code)
    return Outcome("raised", _line(f"{type(error).__name__}: {error}"))


def _line(text: str) -> str:
    return text.strip().partition("\n")[0]

"""What a server is to the code that uses it: where to send requests, and what to do when it is lost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from remote.inference.command import Device, Sync


class ModelServer(Protocol):
    """A server that answers requests. Its URL may change, since a restart may take another port."""

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT`, without `/v1`."""
        ...

    @property
    def served_name(self) -> str:
        """The model's name in requests."""
        ...

    @property
    def key(self) -> str:
        """The bearer token of requests."""
        ...


@runtime_checkable
class RestartableServer(Protocol):
    """A server that its users may have restarted when it died or hangs."""

    def lost(self) -> bool:
        """Whether it died or hangs. Call it when a request failed; returns within seconds."""
        ...

    def renew(self) -> None:
        """Restart it with the weights that it started with; returns once it answers.

        Raises `ServerError` with the cause after `vllm.restarts` restarts in a row.
        """
        ...

    def proven(self) -> None:
        """Report that its requests have succeeded, which resets the count of restarts."""
        ...


class TrainingServer(ModelServer, RestartableServer, Protocol):
    """The server of a training, as the worker and the trainers have it."""

    @property
    def weight_sync(self) -> Sync:
        """How it takes new weights."""
        ...

    @property
    def device(self) -> Device:
        """What it computes on."""
        ...

    def wait_ready(self) -> None:
        """Return once it answers. Raises `ServerError` where it does not start."""
        ...

    def check(self) -> None:
        """Raise `ServerError` with the cause where it died. Call it when a request failed."""
        ...


class ServerLost(Exception):
    """The server died or hangs: its unfinished requests have to be repeated."""

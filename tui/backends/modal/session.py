"""The connection to Modal: its library, one client a process, and what its errors mean to people.

Owns importing `modal` off the event loop, the deadline that every group of calls has (Modal's own is a
minute), and the translation of its exceptions, by class. What is asked is up to the other modules here.
"""

from __future__ import annotations

import asyncio
import importlib
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from remote.contract.errors import BackendError, Hint
from remote.contract.modal_refusals import UPDATE_CLIENT, advice
from tui.backends.modal.sign_in import TOKENS

if TYPE_CHECKING:
    from modal.client import Client

PATIENCE = 7.0
"""Seconds that a group of calls may take; together with the import less than ten."""

_clients: dict[tuple[str, str, str], Client] = {}
_one_at_a_time = threading.Lock()


class NotSignedIn(BackendError):
    """Modal does not know who asks: only the user can change that."""


class Session:
    """How this user is known to Modal: by tokens of `.env`, or else as Modal's own library finds out."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        given = env or {}
        self.tokens = {name: given[name] for name in TOKENS if given.get(name)}
        """The tokens of `.env`, where both are there: never for a container."""
        if len(self.tokens) < len(TOKENS):
            self.tokens = {}
        self.environment = ""
        """Modal's environment that MODAL_ENVIRONMENT or the profile names, once a client was asked for."""

    async def client(self) -> Client:
        """The client, of which a process has one a user and server. Raises `BackendError`.

        The first call connects; it takes as long as `within` allows where the server does not answer.
        """
        key = await asyncio.to_thread(self._who)
        known = _clients.get(key)
        if known is not None and not known.is_closed():
            return known
        import modal

        async with within(PATIENCE, "sign in"):
            if all(key):
                client = await modal.Client.from_credentials.aio(*key[1:])
            else:  # by OAuth, or not at all: Modal's own library says which.
                client = await modal.Client.from_env.aio()
        _clients[key] = client
        return client

    def _who(self) -> tuple[str, str, str]:
        """Server and tokens. Importing takes up to a second, and is never twice under way."""
        with _one_at_a_time, translated("sign in"):
            config = importlib.import_module("modal").config.config
            self.environment = str(config["environment"] or "")
            values = [self.tokens.get(name) or config[name[6:].lower()] or "" for name in TOKENS]
            return (str(config["server_url"]), str(values[0]), str(values[1]))


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """Let the calls in its body take so long together; `what` ("list the volumes") says what they do.

    Raises `BackendError` for a server that does not answer or answers nonsense, and where nobody is signed
    in. `NotFoundError` and builtin exceptions other than of the network pass: what is missing is the
    caller's to say.
    """
    try:
        async with asyncio.timeout(seconds) as deadline:
            with translated(what):
                yield
    except TimeoutError as error:
        if not deadline.expired():
            raise
        raise unreachable(what, f"no answer within {seconds:g} s") from error


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Modal's exceptions as ours; see `within`."""
    try:
        yield
    except (BackendError, asyncio.CancelledError, TimeoutError):
        raise
    except Exception as error:
        if (ours := _ours(error, what)) is not None:
            raise ours from error
        raise


def server() -> str:
    """The server that is asked, as people know it."""
    url = str(importlib.import_module("modal.config").config["server_url"])
    return url.partition("://")[2] or url


def unreachable(what: str, cause: str) -> BackendError:
    """What to say of a server that does not answer."""
    hint = Hint("is this machine online? https://status.modal.com says how Modal is")
    return BackendError(f"cannot reach Modal ({server()}) to {what}", cause=cause, hint=hint)


def not_signed_in(cause: str = "") -> NotSignedIn:
    """What to say where Modal does not know who asks."""
    hint = Hint("run `modal setup`, or put MODAL_TOKEN_ID and MODAL_TOKEN_SECRET into .env")
    return NotSignedIn("not signed in to Modal", cause=cause, hint=hint)


def _ours(error: Exception, what: str) -> BackendError | None:
    """What Modal's error is to us; None for those that are the caller's business."""
    from grpclib.exceptions import GRPCError, ProtocolError, StreamTerminatedError
    from modal import exception as modal

    text = _first_line(error)
    if isinstance(error, modal.AuthError):
        return not_signed_in(text)
    if isinstance(error, modal.NotFoundError):
        return None
    lost = (modal.ConnectionError, modal.ServiceError, modal.InternalError, modal.ClientClosed)
    if isinstance(error, lost):
        return unreachable(what, text)
    told = advice(str(error))
    if isinstance(error, modal.PermissionDeniedError):
        hint = Hint(told or "does your Modal user have access to this workspace and environment?")
        return BackendError(f"Modal does not let you {what}: {text}", hint=hint)
    if isinstance(error, modal.VersionError):
        return BackendError("Modal wants a newer client", cause=text, hint=Hint(UPDATE_CLIENT))
    if isinstance(error, modal.Error):
        hints = Hint(told) if told else None
        return BackendError(f"Modal could not {what}: {text or type(error).__name__}", hint=hints)
    # After Modal's own, since what it refuses is a GRPCError as well.
    network = (ConnectionError, socket.gaierror, GRPCError, ProtocolError, StreamTerminatedError)
    return unreachable(what, text) if isinstance(error, network) or _lost_in_the_middle(error) else None


def _lost_in_the_middle(error: Exception) -> bool:
    """Whether an HTTP download or upload broke off."""
    return any(kind.__module__.startswith("aiohttp.client") for kind in type(error).__mro__)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]

"""The connection to Modal: its library, one client for the process, and its errors in the users' words.

Owns importing `modal` off the event loop, the deadline of every group of calls (Modal's own is a minute), and
the translation of Modal's exceptions.
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

CALL_SECONDS = 7.0
"""Seconds that a group of calls may take; together with the import less than ten."""

_clients: dict[tuple[str, str, str], Client] = {}
_import_lock = threading.Lock()


class NotSignedIn(BackendError):
    """The user is not signed in to Modal: no retry helps."""


class Session:
    """The user's credentials: the tokens of `.env`, or else those that Modal's library finds."""

    def __init__(self, env: Mapping[str, str] | None = None) -> None:
        given = env or {}
        self.tokens = {name: given[name] for name in TOKENS if given.get(name)}
        """The tokens of `.env`, if it has both: never for a container."""
        if len(self.tokens) < len(TOKENS):
            self.tokens = {}
        self.environment = ""
        """Modal's environment that MODAL_ENVIRONMENT or the profile names; known with the first client."""

    async def client(self) -> Client:
        """The client, one for each user and server. Raises `BackendError`. The first call connects."""
        key = await asyncio.to_thread(self._credentials)
        known = _clients.get(key)
        if known is not None and not known.is_closed():
            return known
        import modal

        async with within(CALL_SECONDS, "sign in"):
            if all(key):
                client = await modal.Client.from_credentials.aio(*key[1:])
            else:  # by OAuth, or not at all: Modal's library finds out
                client = await modal.Client.from_env.aio()
        _clients[key] = client
        return client

    def _credentials(self) -> tuple[str, str, str]:
        """Server and tokens, by Modal's library: importing that takes up to a second."""
        with _import_lock, translated("sign in"):
            config = importlib.import_module("modal").config.config
            self.environment = str(config["environment"] or "")
            values = [self.tokens.get(name) or config[name[6:].lower()] or "" for name in TOKENS]
            return (str(config["server_url"]), str(values[0]), str(values[1]))


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """Give the calls in its body so much time together; `what` ("list the volumes") names what they do.

    Raises `BackendError` where the server does not answer or refuses, and where the user is not signed in.
    `NotFoundError` passes: the caller knows what is missing.
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
    """Raise ours in place of Modal's exceptions; see `within`."""
    try:
        yield
    except (BackendError, asyncio.CancelledError, TimeoutError):
        raise
    except Exception as error:
        if (ours := _translation(error, what)) is not None:
            raise ours from error
        raise


def server() -> str:
    """The server's host name."""
    url = str(importlib.import_module("modal.config").config["server_url"])
    return url.partition("://")[2] or url


def unreachable(what: str, cause: str) -> BackendError:
    """The error of a server that does not answer."""
    hint = Hint("is this machine online? https://status.modal.com says how Modal is")
    return BackendError(f"cannot reach Modal ({server()}) to {what}", cause=cause, hint=hint)


def not_signed_in(cause: str = "") -> NotSignedIn:
    """The error of a user who is not signed in."""
    hint = Hint("run `modal setup`, or put MODAL_TOKEN_ID and MODAL_TOKEN_SECRET into .env")
    return NotSignedIn("not signed in to Modal", cause=cause, hint=hint)


def _translation(error: Exception, what: str) -> BackendError | None:
    """Our exception for one of Modal's; None for those that pass."""
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
    hint_text = advice(str(error))
    if isinstance(error, modal.PermissionDeniedError):
        hint = Hint(hint_text or "does your Modal user have access to this workspace and environment?")
        return BackendError(f"Modal does not let you {what}: {text}", hint=hint)
    if isinstance(error, modal.VersionError):
        return BackendError("Modal wants a newer client", cause=text, hint=Hint(UPDATE_CLIENT))
    if isinstance(error, modal.Error):
        hints = Hint(hint_text) if hint_text else None
        return BackendError(f"Modal could not {what}: {text or type(error).__name__}", hint=hints)
    # After Modal's own exceptions, some of which are GRPCErrors as well.
    network = (ConnectionError, socket.gaierror, GRPCError, ProtocolError, StreamTerminatedError)
    return unreachable(what, text) if isinstance(error, network) or _lost_in_the_middle(error) else None


def _lost_in_the_middle(error: Exception) -> bool:
    """Whether an HTTP download or upload broke off."""
    return any(kind.__module__.startswith("aiohttp.client") for kind in type(error).__mro__)


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0]

"""What the launcher asks of Modal: a connection, volumes, files in them, and the lines of a build.

Owns Modal's client as the launcher sees it, and what its errors mean to people, by class. The order of
things is `launcher`'s, what an app is made of `app`'s.
"""

from __future__ import annotations

import asyncio
import io
import os
import re
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import modal
from grpclib.exceptions import GRPCError, StreamTerminatedError
from modal import exception
from modal.exception import AuthError, Error, NotFoundError
from modal.output import OutputManager

from remote.contract.errors import BackendError, Hint, VfmError
from remote.contract.json_text import from_json
from remote.contract.modal_refusals import UPDATE_CLIENT, advice
from remote.processes import lifecycle

# Private: the public one prints to a terminal and knows no other place. A test breaks when it changes.
from modal._output.manager import DisabledOutputManager  # isort: skip

PATIENCE = 7.0
"""Seconds that Modal has to answer; its own client would wait for a minute."""
LOST = (exception.ConnectionError, exception.ServiceError, exception.InternalError, exception.ClientClosed)
"""What Modal's client raises where the server cannot be asked, in place of refusing."""
VOLUME_VERSION = 2
"""Volumes of the first version become slow beyond 50,000 files, which a few runs' episodes are, and take no
more than 500,000 (Modal's guide to volumes)."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@asynccontextmanager
async def within(what: str, seconds: float = PATIENCE) -> AsyncIterator[None]:
    """Let calls take so long together; raises `BackendError` for whatever Modal answers instead."""
    try:
        async with asyncio.timeout(seconds):
            with explained(what):
                yield
    except TimeoutError as error:
        raise _unreachable(what, f"no answer within {seconds:.0f} s") from error


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Modal's exceptions as `BackendError`, by class; `what` says what was being done ("sign in")."""
    try:
        yield
    except VfmError:
        raise
    except AuthError as error:
        hint = Hint("run `modal setup`, or put MODAL_TOKEN_ID and MODAL_TOKEN_SECRET into .env")
        raise BackendError("not signed in to Modal", cause=first_line(error), hint=hint) from error
    except (*LOST, OSError, StreamTerminatedError) as error:
        raise _unreachable(what, first_line(error)) from error
    except Error as error:  # before GRPCError, which what Modal refuses is as well
        said = first_line(error) or type(error).__name__
        told = UPDATE_CLIENT if isinstance(error, exception.VersionError) else advice(str(error))
        raise BackendError(
            f"Modal could not {what}: {said}", cause=str(error), hint=Hint(told) if told else None
        ) from error
    except GRPCError as error:
        raise _unreachable(what, first_line(error)) from error


def _unreachable(what: str, cause: str) -> BackendError:
    hint = Hint("is this machine online? https://status.modal.com says how Modal is")
    return BackendError(f"cannot reach Modal to {what}", cause=cause, hint=hint)


def first_line(error: BaseException) -> str:
    """The first line of what an error says."""
    return str(error).strip().partition("\n")[0]


async def connect() -> modal.Client:
    """A connected client. Raises `BackendError` within nine seconds of this process's start."""
    async with within("sign in", _left()):
        return await modal.Client.from_env.aio()


def _left() -> float:
    """Seconds that Modal has to answer a program that has just been started, and is waited for."""
    return max(3.0, PATIENCE - _age())


def _age() -> float:
    """Seconds that this process has lived; importing Modal's library takes several on a busy machine."""
    ticks = int(lifecycle.start_time(os.getpid()) or 0)
    if not ticks:  # no Linux: that clock is not there either
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


async def volume(name: str, client: modal.Client, *, create: bool = False) -> modal.Volume:
    """A volume that is there, of whichever version, or is made. Raises `BackendError`."""
    async with within(f"open the volume {name}", _left()):
        try:
            return await modal.Volume.from_name(name).hydrate.aio(client)
        except NotFoundError:
            if not create:
                raise
        try:
            made = modal.Volume.from_name(name, create_if_missing=True, version=VOLUME_VERSION)
            return await made.hydrate.aio(client)
        except (*LOST, AuthError):
            raise
        except Error:  # a server that makes no such volumes, or somebody has made it meanwhile
            return await modal.Volume.from_name(name, create_if_missing=True).hydrate.aio(client)


async def holds(where: modal.Volume, path: str) -> bool:
    """Whether there is a folder of that path in a volume."""
    async with within(f"look at {path}"):
        try:
            await where.listdir.aio(path)
        except (NotFoundError, FileNotFoundError):
            return False
        return True


async def put(where: modal.Volume, files: Mapping[str, bytes], seconds: float = 60.0) -> None:
    """Write files of a volume, in place of those that are there. Raises `BackendError`."""
    async with within("write the run's files", seconds), where.batch_upload.aio(force=True) as batch:
        for path, data in files.items():
            batch.put_file(io.BytesIO(data), path)


async def read_json(where: modal.Volume, path: str) -> Any:
    """A JSON file of a volume; None where there is none or it holds no JSON."""
    data = await read(where, path)
    try:
        return None if data is None else from_json(data)
    except ValueError:
        return None


async def read(where: modal.Volume, path: str) -> bytes | None:
    """A whole file of a volume; None where there is none."""
    async with within(f"read {path}"):
        try:
            return b"".join([chunk async for chunk in where.read_file.aio(path)])
        except (NotFoundError, FileNotFoundError):
            return None


async def page(app: modal.App) -> str | None:
    """The address of an app's page at Modal; None before the app is there."""
    return await app.get_dashboard_url.aio() if app.app_id else None


async def stop_app(app_id: str, client: modal.Client) -> None:
    """Stop an app; one that is gone is left alone."""
    async with within(f"stop the app {app_id}"):
        try:
            app = await modal.App.lookup.aio(app_id, client=client)
            await app.stop.aio(client=client)
        except NotFoundError:
            return


class BuildOutput(DisabledOutputManager):
    """Hands the lines of an image's build on, without a terminal's garbage."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._held = ""

    async def put_streaming_log(self, log: Any, prefix: str = "") -> None:
        """Modal has read some output of a build: any piece of it."""
        *lines, self._held = (self._held + log.data).split("\n")
        for line in lines:
            self._hand_on(line)

    def flush_lines(self) -> None:
        """A layer is finished."""
        line, self._held = self._held, ""
        self._hand_on(line)

    def _hand_on(self, line: str) -> None:
        if text := plain(line):
            self._on_line(text)


@contextmanager
def build_output(on_line: Callable[[str], None]) -> Iterator[None]:
    """While it lasts, each line of a build is handed over."""
    before = OutputManager.get()
    OutputManager._set(BuildOutput(on_line))
    try:
        yield
    finally:
        OutputManager._set(before)


def plain(line: str) -> str:
    """A line as text: no colours, no control characters, of a line that was redrawn the last state."""
    last = _ESCAPES.sub("", line).rstrip("\r \t").rpartition("\r")[2]
    return _CONTROL.sub("", last).rstrip()

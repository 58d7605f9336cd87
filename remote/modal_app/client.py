"""Modal's client for the launcher: connect, open volumes, read and write their files, and follow image
builds.

Turns its errors into failures, by class.
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
from remote.contract.json_text import OBEYED, from_json
from remote.contract.modal_refusals import UPDATE_CLIENT, advice
from remote.processes import lifecycle

# Private: the public one prints to a terminal only. A test breaks when it changes.
from modal._output.manager import DisabledOutputManager  # isort: skip

PATIENCE = 7.0
"""Seconds that Modal has to answer; its client itself would wait for a minute."""
LOST = (exception.ConnectionError, exception.ServiceError, exception.InternalError, exception.ClientClosed)
"""Exceptions of Modal's client that mean that the server cannot be reached."""
VOLUME_VERSION = 2
"""Volumes of version 1 are slow beyond 50,000 files, which the episodes of a few runs are, and are limited to
500,000 (Modal's guide to volumes)."""
_ESCAPES = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])")
_CONTROL = re.compile(f"[\x00-\x08\x0b-\x1f{OBEYED}]")


@asynccontextmanager
async def within(action: str, seconds: float = PATIENCE) -> AsyncIterator[None]:
    """Limit the calls in the block to `seconds` together, and raise their failures as `BackendError`."""
    try:
        async with asyncio.timeout(seconds):
            with explained(action):
                yield
    except TimeoutError as error:
        raise _unreachable(action, f"no answer within {seconds:.0f} s") from error


@contextmanager
def explained(action: str) -> Iterator[None]:
    """Raise Modal's exceptions as `BackendError`. `action`: what the block does, such as "sign in"."""
    try:
        yield
    except VfmError:
        raise
    except AuthError as error:
        hint = Hint("run `modal setup`, or put MODAL_TOKEN_ID and MODAL_TOKEN_SECRET into .env")
        raise BackendError("not signed in to Modal", cause=first_line(error), hint=hint) from error
    except (*LOST, OSError, StreamTerminatedError) as error:
        raise _unreachable(action, first_line(error)) from error
    except Error as error:  # before GRPCError, which refusals of Modal's are too
        message = first_line(error) or type(error).__name__
        advised = UPDATE_CLIENT if isinstance(error, exception.VersionError) else advice(str(error))
        raise BackendError(
            f"Modal could not {action}: {message}", cause=str(error), hint=Hint(advised) if advised else None
        ) from error
    except GRPCError as error:
        raise _unreachable(action, first_line(error)) from error


def _unreachable(action: str, cause: str) -> BackendError:
    hint = Hint("is this machine online? https://status.modal.com says how Modal is")
    return BackendError(f"cannot reach Modal to {action}", cause=cause, hint=hint)


def first_line(error: BaseException) -> str:
    """The first line of an error's message."""
    return str(error).strip().partition("\n")[0]


async def connect() -> modal.Client:
    """A connected client. Raises `BackendError` within nine seconds after the start of this process."""
    async with within("sign in", _left()):
        return await modal.Client.from_env.aio()


def _left() -> float:
    """Seconds of `PATIENCE` left since the start of this process, for whose answer its caller waits."""
    return max(3.0, PATIENCE - _age())


def _age() -> float:
    """Seconds since the start of this process; importing Modal's library takes several on a busy machine."""
    ticks = int(lifecycle.start_time(os.getpid()) or 0)
    if not ticks:  # not on Linux, which also lacks that clock
        return 0.0
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")


async def volume(name: str, client: modal.Client, *, create: bool = False) -> modal.Volume:
    """An existing volume of any version, or with `create` a new one. Raises `BackendError`."""
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
        except Error:  # the server has no such version, or the volume was created meanwhile
            return await modal.Volume.from_name(name, create_if_missing=True).hydrate.aio(client)


async def holds(where: modal.Volume, path: str) -> bool:
    """Whether a volume has a folder of that path."""
    async with within(f"look at {path}"):
        try:
            await where.listdir.aio(path)
        except (NotFoundError, FileNotFoundError):
            return False
        return True


async def put(where: modal.Volume, files: Mapping[str, bytes], seconds: float = 60.0) -> None:
    """Write files (path → bytes) to a volume, replacing existing ones. Raises `BackendError`."""
    async with within("write the run's files", seconds), where.batch_upload.aio(force=True) as batch:
        for path, data in files.items():
            batch.put_file(io.BytesIO(data), path)


async def read_json(where: modal.Volume, path: str) -> Any:
    """A JSON file of a volume; None where it is missing or not JSON."""
    data = await read(where, path)
    try:
        return None if data is None else from_json(data)
    except ValueError:
        return None


async def read(where: modal.Volume, path: str) -> bytes | None:
    """A whole file of a volume; None where it is missing."""
    async with within(f"read {path}"):
        try:
            return b"".join([chunk async for chunk in where.read_file.aio(path)])
        except (NotFoundError, FileNotFoundError):
            return None


async def page(app: modal.App) -> str | None:
    """URL of an app's page at Modal; None before the app exists."""
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
    """Passes on the lines of an image build, without escape sequences."""

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self._on_line = on_line
        self._held = ""

    async def put_streaming_log(self, log: Any, prefix: str = "") -> None:
        """Called by Modal with any piece of a build's output."""
        *lines, self._held = (self._held + log.data).split("\n")
        for line in lines:
            self._pass_on(line)

    def flush_lines(self) -> None:
        """Called by Modal when a layer is finished."""
        line, self._held = self._held, ""
        self._pass_on(line)

    def _pass_on(self, line: str) -> None:
        if text := plain(line):
            self._on_line(text)


@contextmanager
def build_output(on_line: Callable[[str], None]) -> Iterator[None]:
    """While the block runs, call `on_line` with each line of a build."""
    before = OutputManager.get()
    OutputManager._set(BuildOutput(on_line))
    try:
        yield
    finally:
        OutputManager._set(before)


def plain(line: str) -> str:
    """A line without colours and control characters; the last state of one that was redrawn."""
    last = _ESCAPES.sub("", line).rstrip("\r \t").rpartition("\r")[2]
    return _CONTROL.sub("", last).rstrip()

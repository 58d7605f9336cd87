"""The client of the app and the command line: runs and volumes of all backends.

Owns choosing the backend, finding a run by its id or a prefix of it, and reading a run's stream into
events, metrics and state. One backend's failure never hides what the others have.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from remote.contract import layout
from remote.contract.errors import BackendError, ConfigError, DiskError, Hint, RunNotFound, VfmError
from remote.contract.events import RECORD_SEPARATOR, AnyEvent
from remote.contract.record import RunRecord
from tui.backends.base import Backend, Damaged, Entry, Progress, Transfer, VolumeInfo, Volumes
from tui.backends.environment_pin import pinned
from tui.store.charts.series import Metrics
from tui.store.logs.stream import events_of
from tui.store.runs.state import RunState
from tui.text.format import listed

if TYPE_CHECKING:
    from tui.planning.plan import Plan
    from tui.settings import Settings

Row = TypeVar("Row")
_SHOWN = 8  # names in an error
_ORDER = {"run": "the newest runs", "volume": "the volumes"}
_PIECE = 8 * 1024 * 1024
_SOON = 1.0  # seconds to search before the record that this machine remembers is used


class RecordDamaged(DiskError):
    """A run whose record cannot be read. Its output and files may be intact."""

    def __init__(self, backend: str, damaged: Damaged) -> None:
        run_id, folder = damaged.run_id, f"{damaged.outputs}:{layout.run_path(damaged.run_id)}"
        hint = f"read what is there: vfm logs {run_id}, vfm metrics {run_id}, vfm ls {folder}"
        super().__init__(damaged.message, hint=Hint(hint))
        self.record = RunRecord(
            run_id=run_id,
            kind="train",
            backend=backend,
            environment="",
            model="",
            outputs=damaged.outputs,
            created=0.0,
        )
        """A record with only the fields that reading its output takes."""


@dataclass
class Listing(Generic[Row]):
    """Rows of the backends that answered, and the errors of the others."""

    rows: list[Row] = field(default_factory=list)
    errors: dict[str, VfmError] = field(default_factory=dict)
    """By backend name."""
    notices: list[str] = field(default_factory=list)
    """What was left out, such as damaged records, a sentence each."""
    damaged: list[RecordDamaged] = field(default_factory=list)
    """Runs left out because their record cannot be read."""

    def add(self, answer: Listing[Row]) -> None:
        """Add another backend's answer."""
        self.rows += answer.rows
        self.errors |= answer.errors
        self.notices += answer.notices
        self.damaged += answer.damaged


class LazyBackends(Mapping[str, Backend]):
    """Backends created on first use: importing one may take a second.

    A backend for which `is_listed` is false is found by its name, but left out of iteration.
    """

    def __init__(
        self, makers: Mapping[str, Callable[[], Backend]], is_listed: Callable[[str], bool] = lambda _: True
    ) -> None:
        self._makers, self._made, self._is_listed = makers, dict[str, Backend](), is_listed

    def __getitem__(self, name: str) -> Backend:
        if name not in self._made:
            self._made[name] = self._makers[name]()
        return self._made[name]

    def __contains__(self, name: object) -> bool:
        return name in self._makers

    def __iter__(self) -> Iterator[str]:
        return filter(self._is_listed, self._makers)

    def __len__(self) -> int:
        return sum(1 for _ in self)


class Client:
    """Runs and volumes across backends. Every error is a `VfmError`."""

    def __init__(self, settings: Settings | None, backends: Mapping[str, Backend]) -> None:
        self.settings, self.backends = settings, backends

    @classmethod
    def default(cls, settings: Settings) -> Client:
        """The client of a user's settings. Without a sign-in, Modal is left out of listings."""

        def local() -> Backend:
            from tui.backends.local.backend import LocalBackend

            return LocalBackend(settings.home, settings.project_dir, settings.secrets)

        def modal() -> Backend:
            from tui.backends.modal.backend import ModalBackend

            return ModalBackend(settings.home, settings.project_dir, settings.secrets, settings.env_file)

        def is_listed(name: str) -> bool:
            from tui.backends.modal import sign_in
            from tui.settings import surroundings

            return name != "modal" or bool(sign_in.describe(settings.secrets, surroundings()))

        return cls(settings, LazyBackends({"local": local, "modal": modal}, is_listed))

    def backend(self, name: str) -> Backend:
        """A backend by name. Raises `BackendError`."""
        if name not in self.backends:
            names = ", ".join(self.backends)
            raise BackendError(f"there is no backend {name!r}", hint=Hint(f"there are: {names}"))
        return self.backends[name]

    def of(self, run: RunRecord) -> Backend:
        """The backend of a run. Raises `BackendError`."""
        return self.backend(run.backend)

    async def launch(self, plan: Plan) -> RunRecord:
        """Start a planned run; returns its record.

        Raises `EnvironmentMissing` where the package index has no such environment.
        """
        request = plan.request
        if request.environment_source and self.settings is not None:
            request = await asyncio.to_thread(
                pinned, request, home=self.settings.home, project_dir=self.settings.project_dir
            )
        return await self.backend(request.backend).launch(request)

    async def resume(self, plan: Plan) -> RunRecord:
        """Resume a run that has ended, as `tui/services/resume.py` planned it; returns its record."""
        return await self.backend(plan.request.backend).resume(plan.request)

    async def runs(self) -> Listing[RunRecord]:
        """All runs of all backends, newest first."""
        listing = await self._gather(lambda backend: backend.runs())
        listing.rows.sort(key=lambda run: run.created, reverse=True)
        return listing

    async def runs_of(self, backend: str) -> list[RunRecord]:
        """One backend's runs, newest first. Raises `BackendError`."""
        holder = self.backend(backend)
        found, _ = await asyncio.gather(holder.runs(), holder.fetch_prices())
        return found

    async def find(self, text: str) -> RunRecord:
        """Find a run by its id, an unambiguous prefix of it, or `last`.

        A whole id is found as soon as the backend that has it answers. While that backend is slow or cannot
        be reached, the record that this machine remembers is returned. Raises `RunNotFound` and
        `RecordDamaged`.
        """
        search = asyncio.ensure_future(self._find(text))
        try:
            if not (await asyncio.wait({search}, timeout=_SOON))[0]:
                for name in self.backends:
                    if known := await self._remembered(name, text):
                        return known
            return await search
        finally:
            search.cancel()

    async def find_output(self, text: str) -> tuple[RunRecord, RecordDamaged | None]:
        """As `find`; of a run whose record is damaged, the record to read its output with, and the error."""
        try:
            return await self.find(text), None
        except RecordDamaged as error:
            return error.record, error

    async def _find(self, text: str) -> RunRecord:
        listing = Listing[RunRecord]()
        async with aclosing(self._answers(lambda backend: backend.runs())) as answers:
            async for answer in answers:
                if exact := next((run for run in answer.rows if run.run_id == text), None):
                    return exact
                listing.add(answer)
                for name in answer.errors:
                    if known := await self._remembered(name, text):
                        return known
        listing.rows.sort(key=lambda run: run.created, reverse=True)
        found = [run for run in listing.rows if text and run.run_id.startswith(text)]
        if text == "last":
            found = listing.rows[:1]
        if damaged := _damaged(text, found, listing):
            raise damaged
        if len(found) != 1:
            raise _not_found(text, found, listing)
        return found[0]

    async def _remembered(self, name: str, run_id: str) -> RunRecord | None:
        try:
            return await self.backend(name).remembered(run_id)
        except VfmError:
            return None  # the error is in the listing already

    async def events(self, run: RunRecord) -> AsyncIterator[AnyEvent]:
        """The run's events so far, in order; from its directory if its output cannot be read."""
        began = False
        try:
            async for batch in self.of(run).follow(run, live=False):
                for event in events_of(batch.lines):
                    began = True
                    yield event
        except DiskError:
            if began:
                raise
            for event in await self._events_on_file(run):
                yield event

    async def _events_on_file(self, run: RunRecord) -> list[AnyEvent]:
        path = str(layout.run_path(run.run_id) / layout.EVENTS)
        try:
            data = await self.read(run.outputs, path, backend=run.backend)
        except (VfmError, OSError):
            return []
        lines = data.decode("utf-8", errors="replace").split("\n")
        return list(events_of([f"{RECORD_SEPARATOR}{line}" for line in lines if line]))

    async def metrics(self, run: RunRecord) -> list[dict[str, Any]]:
        """The run's metrics by step: `[{"step": …, "values": {name: number}}, …]`."""
        metrics = Metrics()
        async for event in self.events(run):
            metrics.add(event)
        return metrics.rows()

    async def state(self, run: RunRecord) -> RunState:
        """The run's state, from its events so far."""
        state = RunState()
        async for event in self.events(run):
            state.add(event)
        return state

    async def status(self, run: RunRecord) -> RunRecord:
        """The run's current record."""
        return await self.of(run).status(run)

    async def billed(self, run: RunRecord) -> float | None:
        """US dollars billed for the run so far; None where no bill says. Raises `BackendError`."""
        return await self.of(run).billed(run)

    async def cancel(self, run: RunRecord, *, now: bool = False) -> None:
        """Ask a run to stop; with `now` it ends at once and saves nothing."""
        await self.of(run).cancel(run, now=now)

    async def volumes(self) -> Listing[VolumeInfo]:
        """All volumes of all backends."""
        return await self._gather(lambda backend: backend.volumes.volumes())

    async def volumes_of(self, backend: str) -> list[VolumeInfo]:
        """One backend's volumes. Raises `BackendError`."""
        holder = self.backend(backend)
        found, _ = await asyncio.gather(holder.volumes.volumes(), holder.fetch_prices())
        return found

    async def ls(
        self, volume: str, path: str = "", *, recursive: bool = False, backend: str | None = None
    ) -> list[Entry]:
        """List a path of a volume. Raises `ConfigError` where there is none."""
        async with self._volumes(volume, backend) as volumes:
            return await volumes.list(volume, path, recursive=recursive)

    async def read(
        self, volume: str, path: str, offset: int = 0, size: int = -1, *, backend: str | None = None
    ) -> bytes:
        """Read a range of a file of a volume. Raises `ConfigError` where there is none."""
        async with self._volumes(volume, backend) as volumes:
            return await volumes.read(volume, path, offset, size)

    async def get(
        self,
        volume: str,
        path: str,
        dest: Path,
        progress: Progress | None = None,
        *,
        backend: str | None = None,
        force: bool = False,
    ) -> Transfer:
        """Download a folder into `dest`, or a file to it.

        Existing files that differ are replaced with `force`; otherwise they raise `Occupied`. Raises
        `ConfigError` and `DiskError`.
        """
        async with self._volumes(volume, backend) as volumes:
            return await volumes.download(volume, path, dest, progress, force=force)

    async def bytes_of(self, volume: str, path: str, *, backend: str | None = None) -> AsyncIterator[bytes]:
        """Read a file in pieces. Raises `ConfigError` where it is no file."""
        async with self._volumes(volume, backend) as volumes:
            entries = await volumes.list(volume, path)
            if len(entries) != 1 or entries[0].is_dir or entries[0].path != path:
                raise ConfigError(f"{path or volume!r} is a folder", hint=Hint("name a file"))
            position = 0
            while piece := await volumes.read(volume, path, position, _PIECE):
                position += len(piece)
                yield piece

    async def put(
        self,
        source: Path,
        volume: str,
        path: str,
        progress: Progress | None = None,
        *,
        backend: str | None = None,
        force: bool = False,
    ) -> Transfer:
        """Upload a file or a folder into a folder of a volume. `force` and errors as for `get`."""
        async with self._volumes(volume, backend) as volumes:
            return await volumes.upload(volume, source, path, progress, force=force)

    async def remove(self, volume: str, path: str, *, backend: str | None = None) -> None:
        """Delete a file or a folder of a volume. Raises `ConfigError` where there is none."""
        async with self._volumes(volume, backend) as volumes:
            await volumes.remove(volume, path)

    @asynccontextmanager
    async def _volumes(self, volume: str, backend: str | None) -> AsyncIterator[Volumes]:
        """The backend's volumes that hold this one. A missing path raises `ConfigError`."""
        try:
            yield (await self._holder(volume, backend)).volumes
        except FileNotFoundError as error:
            raise ConfigError(str(error), hint=Hint("list what there is: vfm volumes, vfm ls")) from error

    async def _holder(self, volume: str, name: str | None) -> Backend:
        """The first backend that has the volume; both may have one of that name."""
        if name is not None:
            return self.backend(name)
        listing = await self.volumes()
        for info in listing.rows:
            if info.name == volume:
                return self.backend(info.backend)
        names = [info.name for info in listing.rows]
        failures = "".join(f"; {name} cannot be reached: {e.message}" for name, e in listing.errors.items())
        raise ConfigError(f"there is no volume {volume!r}{failures}", hint=_nearest(volume, names, "volume"))

    async def _gather(self, ask: Callable[[Backend], Awaitable[list[Row]]]) -> Listing[Row]:
        listing = Listing[Row]()
        for answer in await asyncio.gather(*(self._answer(name, ask) for name in self.backends)):
            listing.add(answer)
        return listing

    async def _answers(
        self, ask: Callable[[Backend], Awaitable[list[Row]]]
    ) -> AsyncGenerator[Listing[Row], None]:
        """The backends' answers, in the order in which they come."""
        tasks = [asyncio.ensure_future(self._answer(name, ask)) for name in self.backends]
        try:
            for answer in asyncio.as_completed(tasks):
                yield await answer
        finally:
            for task in tasks:
                task.cancel()

    async def _answer(self, name: str, ask: Callable[[Backend], Awaitable[list[Row]]]) -> Listing[Row]:
        try:
            backend = self.backend(name)
            rows = await ask(backend)
            damaged = [RecordDamaged(name, run) for run in backend.damaged]
            return Listing(rows, {}, backend.notices, damaged)
        except VfmError as error:
            return Listing([], {name: error})


def _damaged(text: str, found: list[RunRecord], listing: Listing[RunRecord]) -> RecordDamaged | None:
    """The damaged run with this id, or the only run whose id begins like this."""
    matches = [error for error in listing.damaged if text and error.record.run_id.startswith(text)]
    exact = [error for error in matches if error.record.run_id == text]
    if exact or (len(matches) == 1 and not found):
        return (exact or matches)[0]
    return None


def _not_found(text: str, found: list[RunRecord], listing: Listing[RunRecord]) -> RunNotFound:
    failures = "".join(f"\n  {name} cannot be reached: {e.message}" for name, e in listing.errors.items())
    if found:
        names = listed([run.run_id for run in found], _SHOWN)
        return RunNotFound(
            f"{text!r} matches {len(found)} runs{failures}", hint=Hint(f"type more of the id: {names}")
        )
    if not listing.rows:
        hints = [error.hint for error in listing.errors.values() if error.hint]
        if hints:
            return RunNotFound(f"no run {text!r} is known here{failures}", hint=hints[0])
        return RunNotFound(f"there is no run yet{failures}", hint=Hint("start one: vfm launch CONFIG"))
    names_of_all = [run.run_id for run in listing.rows]
    return RunNotFound(f"there is no run {text!r}{failures}", hint=_nearest(text, names_of_all, "run"))


def _nearest(text: str, names: list[str], what: str) -> Hint:
    if near := difflib.get_close_matches(text, names, n=3, cutoff=0.5):
        return Hint(f"the nearest {what}s: {', '.join(near)}")
    if not names:
        return Hint(f"there is no {what} yet: the first run creates some")
    return Hint(f"{_ORDER[what]}: {listed(names, _SHOWN)}")

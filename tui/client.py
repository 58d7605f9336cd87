"""The one object that both faces talk to: runs and volumes, wherever they are.

Owns choosing the backend, finding a run by what somebody typed, and reading a run's stream into
events, metrics and state. It shows nothing, and each backend fails alone.
"""

from __future__ import annotations

import asyncio
import difflib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from remote.contract import layout
from remote.contract.errors import BackendError, ConfigError, DiskError, Hint, RunNotFound, VfmError
from remote.contract.events import AnyEvent
from remote.contract.record import RunRecord
from tui.backends.base import Backend, Batch, Damaged, Entry, Progress, Transfer, VolumeInfo
from tui.backends.environment_pin import settled
from tui.store.charts.series import Metrics
from tui.store.logs.stream import Item, classify, events_of
from tui.store.runs.state import RunState
from tui.text.format import listed

if TYPE_CHECKING:
    from tui.planning.plan import Plan
    from tui.settings import Settings

Row = TypeVar("Row")
_SHOWN = 8  # candidates that an error names
_ORDER = {"run": "the newest runs", "volume": "the volumes"}
_PIECE = 8 * 1024 * 1024
_SOON = 1.0  # seconds that a run is looked for before what this machine remembers of it is good enough


class RecordDamaged(DiskError):
    """A run whose record cannot be read: its output and its files may be whole."""

    def __init__(self, backend: str, damaged: Damaged) -> None:
        run_id, where = damaged.run_id, f"{damaged.outputs}:{layout.run_path(damaged.run_id)}"
        hint = f"read what is there: vfm logs {run_id}, vfm metrics {run_id}, vfm ls {where}"
        super().__init__(damaged.message, hint=Hint(hint))
        self.left = RunRecord(
            run_id=run_id,
            kind="train",
            backend=backend,
            environment="",
            model="",
            outputs=damaged.outputs,
            created=0.0,
        )
        """What its output can be asked for with; nothing else of it is known."""


@dataclass
class Listing(Generic[Row]):
    """Rows of all backends that answered, and why the others did not."""

    rows: list[Row] = field(default_factory=list)
    errors: dict[str, VfmError] = field(default_factory=dict)
    """Backend name → what kept it from answering."""
    notices: list[str] = field(default_factory=list)
    """What was passed over, such as damaged records."""
    damaged: list[RecordDamaged] = field(default_factory=list)
    """The runs among that whose record cannot be read."""

    def add(self, more: Listing[Row]) -> None:
        """Another backend's answer."""
        self.rows += more.rows
        self.errors |= more.errors
        self.notices += more.notices
        self.damaged += more.damaged


class LazyBackends(Mapping[str, Backend]):
    """Backends that are made when they are first asked for: importing one may take a second.

    One that `is_listed` refuses is there for whoever names it, and passed over by those who ask all.
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
        """The client of a user's settings. Modal is passed over for as long as nobody is signed in to it."""

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
            there_are = ", ".join(self.backends)
            raise BackendError(f"there is no backend {name!r}", hint=Hint(f"there are: {there_are}"))
        return self.backends[name]

    async def launch(self, plan: Plan) -> RunRecord:
        """Start a planned run; returns once it is on record.

        Raises `EnvironmentMissing` where its environment is a package that cannot be had.
        """
        request = plan.request
        if request.environment_source and self.settings is not None:
            where = self.settings.home, self.settings.project_dir
            request = await asyncio.to_thread(settled, request, *where)
        return await self.backend(request.backend).launch(request)

    async def resume(self, plan: Plan) -> RunRecord:
        """Resume a run that has ended, as `tui/services/resume.py` plans it; returns once it is on record."""
        return await self.backend(plan.request.backend).resume(plan.request)

    async def runs(self) -> Listing[RunRecord]:
        """Every run of every backend, newest first."""
        listing = await self._gather(lambda backend: backend.runs())
        listing.rows.sort(key=lambda run: run.created, reverse=True)
        return listing

    async def runs_of(self, backend: str) -> list[RunRecord]:
        """One backend's runs, newest first: a slow one holds up no other. Raises `BackendError`."""
        found, _ = await asyncio.gather(self.backend(backend).runs(), self.bring_prices(backend))
        return found

    async def find(self, text: str) -> RunRecord:
        """The run meant by its id, an unambiguous prefix of it, or `last`.

        Raises `RunNotFound`, and `RecordDamaged` for a run of which no more is known than that it was there.

        A whole id is found as soon as the backend that has it answers, however slow another one is. Where
        it takes its time, or cannot be asked, the run is given as this machine last knew it.
        """
        asked = asyncio.ensure_future(self._find(text))
        try:
            if not (await asyncio.wait({asked}, timeout=_SOON))[0]:
                for name in self.backends:
                    if known := await self._remembered(name, text):
                        return known
            return await asked
        finally:
            asked.cancel()

    async def find_output(self, text: str) -> tuple[RunRecord, RecordDamaged | None]:
        """The run as `find` finds it; of one whose record is damaged what its output is asked for with."""
        try:
            return await self.find(text), None
        except RecordDamaged as error:
            return error.left, error

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
            return None  # There is no such backend here: its error is told of already.

    def follow(self, run: RunRecord, position: int = 0, *, live: bool = True) -> AsyncIterator[Batch]:
        """The run's lines in batches from a position, to its end or (not `live`) to what there is."""
        return self.backend(run.backend).follow(run, position, live=live)

    def log_path(self, run: RunRecord) -> Path:
        """The file on this machine that holds the run's whole output, as far as it was brought here."""
        return self.backend(run.backend).log_path(run)

    def trouble(self, run: RunRecord) -> str:
        """What keeps the output of a watched run from coming just now, in words; empty where nothing does."""
        return self.backend(run.backend).trouble(run)

    def watch(self, run: RunRecord) -> AsyncIterator[int]:
        """Keep the run's log file up to date: its size after each growth, until the run is over."""
        return self.backend(run.backend).watch(run)

    async def items(self, run: RunRecord, *, live: bool = False) -> AsyncIterator[Item]:
        """The run's text lines and events, in order, from the first."""
        async for batch in self.follow(run, live=live):
            for line in batch.lines:
                yield classify(line)

    async def events(self, run: RunRecord, *, live: bool = False) -> AsyncIterator[AnyEvent]:
        """The run's events in order, from the first."""
        async for batch in self.follow(run, live=live):
            for event in events_of(batch.lines):
                yield event

    async def metrics(self, run: RunRecord) -> list[dict[str, Any]]:
        """`[{"step": …, "values": {name: number}}, …]` by step."""
        metrics = Metrics()
        async for event in self.events(run):
            metrics.add(event)
        return metrics.rows()

    async def state(self, run: RunRecord) -> RunState:
        """How the run stands, by what it has said so far."""
        state = RunState()
        async for event in self.events(run):
            state.add(event)
        return state

    async def status(self, run: RunRecord) -> RunRecord:
        """The run's record as it stands now."""
        return await self.backend(run.backend).status(run)

    async def billed(self, run: RunRecord) -> float | None:
        """US dollars that a bill says the run cost so far; None where none does. Raises `BackendError`."""
        return await self.backend(run.backend).billed(run)

    async def cancel(self, run: RunRecord, *, now: bool = False) -> None:
        """Ask a run to stop; it saves what it has, or with `now` nothing. One that is over is left alone."""
        await self.backend(run.backend).cancel(run, now=now)

    async def volumes(self) -> Listing[VolumeInfo]:
        """Every backend's volumes."""
        return await self._gather(lambda backend: backend.volumes.volumes())

    async def volumes_of(self, backend: str) -> list[VolumeInfo]:
        """One backend's volumes: a slow one holds up no other. Raises `BackendError`."""
        found, _ = await asyncio.gather(self.backend(backend).volumes.volumes(), self.bring_prices(backend))
        return found

    async def bring_prices(self, backend: str) -> None:
        """Have a backend's own prices at hand for plans, where it has any; raises nothing."""
        if backend in list(self.backends):
            await self.backend(backend).bring_prices()

    async def ls(
        self, volume: str, path: str = "", *, recursive: bool = False, backend: str | None = None
    ) -> list[Entry]:
        """What lies under a path of a volume. Raises `ConfigError` where there is no such thing."""
        holder = await self._holder(volume, backend)
        with _named():
            return await holder.volumes.list(volume, path, recursive=recursive)

    async def read(
        self, volume: str, path: str, offset: int = 0, size: int = -1, *, backend: str | None = None
    ) -> bytes:
        """A range of a file of a volume. Raises `ConfigError` where there is no such thing."""
        holder = await self._holder(volume, backend)
        with _named():
            return await holder.volumes.read(volume, path, offset, size)

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
        """Download a folder into `dest`, or a file to it. Raises `ConfigError` and `DiskError`.

        `force` replaces files that are there and differ, for which it raises `Occupied` otherwise.
        """
        holder = await self._holder(volume, backend)
        with _named():
            return await holder.volumes.download(volume, path, dest, progress, force=force)

    async def bytes_of(self, volume: str, path: str, *, backend: str | None = None) -> AsyncIterator[bytes]:
        """A file's bytes, in pieces. Raises `ConfigError` where it is none."""
        holder = await self._holder(volume, backend)
        with _named():
            entries = await holder.volumes.list(volume, path)
            if len(entries) != 1 or entries[0].is_dir or entries[0].path != path:
                raise ConfigError(f"{path or volume!r} is a folder", hint=Hint("name a file"))
            position = 0
            while piece := await holder.volumes.read(volume, path, position, _PIECE):
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
        """Upload a file or a folder into a folder of a volume. Raises `ConfigError` and `DiskError`.

        `force` is as `get` has it.
        """
        holder = await self._holder(volume, backend)
        with _named():
            return await holder.volumes.upload(volume, source, path, progress, force=force)

    async def remove(self, volume: str, path: str, *, backend: str | None = None) -> None:
        """Delete a file or a folder of a volume. Raises `ConfigError` where there is no such thing."""
        holder = await self._holder(volume, backend)
        with _named():
            await holder.volumes.remove(volume, path)

    async def _holder(self, volume: str, name: str | None) -> Backend:
        """The backend that holds a volume; the first one, since both may hold the same name."""
        if name is not None:
            return self.backend(name)
        listing = await self.volumes()
        for info in listing.rows:
            if info.name == volume:
                return self.backend(info.backend)
        names = [info.name for info in listing.rows]
        unasked = "".join(f"; {name} could not be asked: {e.message}" for name, e in listing.errors.items())
        raise ConfigError(f"there is no volume {volume!r}{unasked}", hint=_nearest(volume, names, "volume"))

    async def _gather(self, ask: Callable[[Backend], Awaitable[list[Row]]]) -> Listing[Row]:
        listing = Listing[Row]()
        for answer in await asyncio.gather(*(self._answer(name, ask) for name in self.backends)):
            listing.add(answer)
        return listing

    async def _answers(
        self, ask: Callable[[Backend], Awaitable[list[Row]]]
    ) -> AsyncGenerator[Listing[Row], None]:
        """Each backend's answer as it comes."""
        asked = [asyncio.ensure_future(self._answer(name, ask)) for name in self.backends]
        try:
            for answer in asyncio.as_completed(asked):
                yield await answer
        finally:
            for task in asked:
                task.cancel()

    async def _answer(self, name: str, ask: Callable[[Backend], Awaitable[list[Row]]]) -> Listing[Row]:
        try:
            backend = self.backend(name)
            rows = await ask(backend)
            damaged = [RecordDamaged(name, one) for one in backend.damaged]
            return Listing(rows, {}, list(backend.notices), damaged)
        except VfmError as error:
            return Listing([], {name: error})


class _named:
    """Turns a volume store's `FileNotFoundError` into a sentence for whoever typed the path."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, FileNotFoundError):
            raise ConfigError(
                str(error), hint=Hint("`vfm volumes` and `vfm ls` show what there is")
            ) from error


def _damaged(text: str, found: list[RunRecord], listing: Listing[RunRecord]) -> RecordDamaged | None:
    """The damaged run that is meant: by its whole id, or by the beginning of it where no other run is."""
    meant = [error for error in listing.damaged if text and error.left.run_id.startswith(text)]
    whole = [error for error in meant if error.left.run_id == text]
    if whole or (len(meant) == 1 and not found):
        return (whole or meant)[0]
    return None


def _not_found(text: str, found: list[RunRecord], listing: Listing[RunRecord]) -> RunNotFound:
    unasked = "".join(f"\n  {name} could not be asked: {e.message}" for name, e in listing.errors.items())
    if found:
        names = listed([run.run_id for run in found], _SHOWN)
        return RunNotFound(
            f"{text!r} may be any of {len(found)} runs{unasked}", hint=Hint(f"type more of the name: {names}")
        )
    if not listing.rows:
        hints = [error.hint for error in listing.errors.values() if error.hint]
        if hints:
            return RunNotFound(f"no run {text!r} is known here{unasked}", hint=hints[0])
        return RunNotFound(f"there is no run yet{unasked}", hint=Hint("start one: vfm launch CONFIG"))
    names_of_all = [run.run_id for run in listing.rows]
    return RunNotFound(f"there is no run {text!r}{unasked}", hint=_nearest(text, names_of_all, "run"))


def _nearest(text: str, names: list[str], what: str) -> Hint:
    if near := difflib.get_close_matches(text, names, n=3, cutoff=0.5):
        return Hint(f"the nearest {what}s: {', '.join(near)}")
    if not names:
        return Hint(f"there is no {what} yet: the first run creates some")
    return Hint(f"{_ORDER[what]}: {listed(names, _SHOWN)}")

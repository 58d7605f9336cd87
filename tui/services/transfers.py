"""Downloads and uploads of the app, which outlive the screen that started them.

Owns their order, states and speed. Backends copy, resume and verify.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Literal

from remote.contract import layout
from remote.contract.errors import ConfigError, Hint, VfmError
from tui.backends.base import LeftOut
from tui.backends.copy_plan import make_folders
from tui.text.format import files_and_bytes

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.backends.base import Transfer
    from tui.client import Client

Direction = Literal["download", "upload"]
State = Literal["waiting", "running", "paused", "done", "failed", "cancelled"]
OVER: frozenset[State] = frozenset({"done", "failed", "cancelled"})
AT_ONCE = 2
"""Jobs that run at the same time; others wait."""
WINDOW = 5.0
"""Seconds over which the speed is averaged."""
UPDATES = 0.1
"""Seconds between two updates, at least."""


@dataclass(eq=False)
class Job:
    """One download or upload. Screens read it; `Transfers` alone changes it."""

    direction: Direction
    backend: str
    volume: str
    path: str
    """In the volume: what is downloaded, or the folder to upload into."""
    local: Path
    """On this machine: the folder to download into, or what is uploaded."""
    state: State = "waiting"
    done: int = 0
    """Bytes that have arrived, with those of earlier attempts and of identical files."""
    total: int = 0
    """Bytes; 0 until counted."""
    fetched: int = 0
    """Bytes that this attempt has copied."""
    skipped: int = 0
    """Files that were there already, identical."""
    left_out: list[LeftOut] = field(default_factory=list)
    """Entries that are neither file nor folder, or cannot be read."""
    force: bool = False
    """Whether existing files that differ are replaced."""
    current: str = ""
    """The file that is copied now."""
    error: VfmError | None = None
    clock: Callable[[], float] = time.monotonic
    _samples: deque[tuple[float, int]] = field(default_factory=deque)

    @property
    def name(self) -> str:
        """The last part of the path; of a whole volume, its name."""
        if self.direction == "upload":
            return self.local.name
        return PurePosixPath(self.path).name or self.volume

    @property
    def what(self) -> str:
        """The source: `VOLUME:PATH` or a local path."""
        return self._inside if self.direction == "download" else str(self.local)

    @property
    def where(self) -> str:
        """The target: `VOLUME:PATH` or a local path."""
        return str(self.local) if self.direction == "download" else self._inside

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in OVER

    @property
    def fraction(self) -> float:
        """The share that has arrived, from 0 to 1."""
        if self.total:
            return min(self.done / self.total, 1.0)
        return 1.0 if self.state == "done" else 0.0

    @property
    def speed(self) -> float | None:
        """Bytes per second; None while unknown."""
        if self.state != "running" or len(self._samples) < 2:
            return None
        (began, had), (_, has) = self._samples[0], self._samples[-1]
        took = self.clock() - began
        return (has - had) / took if took > 0 else None

    @property
    def eta(self) -> float | None:
        """Seconds left at this speed."""
        speed = self.speed
        return (self.total - self.done) / speed if speed and self.total else None

    @property
    def _inside(self) -> str:
        return f"{self.volume}:{self.path}"

    @property
    def notes(self) -> list[str]:
        """How many files were there already, and how many entries were left out."""
        same, left = self.skipped, len(self.left_out)
        return [
            *([f"{same:,} {'file was' if same == 1 else 'files were'} there already"] if same else []),
            *([f"{left:,} left out"] if left else []),
        ]

    def take(self, transfer: Transfer) -> None:
        """Take the backend's progress."""
        now = self.clock()
        self.done, self.total, self.fetched = transfer.done, transfer.total, transfer.fetched
        self.skipped, self.current = len(transfer.skipped), transfer.path
        self.left_out = transfer.left_out
        self._samples.append((now, transfer.fetched))
        while len(self._samples) > 2 and now - self._samples[0][0] > WINDOW:
            self._samples.popleft()

    def begin(self) -> None:
        """Begin an attempt."""
        self.state, self.error = "running", None
        self.fetched = self.skipped = 0
        self.left_out = []
        self._samples.clear()


@dataclass(frozen=True)
class Removal:
    """What a deletion deletes."""

    count: int
    """Files and links; the targets of links stay."""
    bytes: int
    is_link: bool = False
    """Only a link is deleted: its target stays."""

    def __str__(self) -> str:
        return "a link; its target stays" if self.is_link else files_and_bytes(self.count, self.bytes)


class Transfers:
    """All jobs of an app, newest last. For use on the event loop."""

    def __init__(
        self,
        client: Client,
        *,
        ended: Callable[[Job], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.jobs: list[Job] = []
        self._client, self._ended, self._clock = client, ended, clock
        self._tasks: dict[Job, asyncio.Task[None]] = {}
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._version = 0
        self._changed = asyncio.Event()

    @property
    def active(self) -> int:
        """The number of jobs that run or wait; quitting the app stops them."""
        return sum(job.state in ("waiting", "running") for job in self.jobs)

    def start_download(self, backend: str, volume: str, path: str, dest: str | Path) -> Job:
        """Download a file, a folder or (path "") a whole volume into the folder `dest`."""
        folder = Path(dest).expanduser()
        return self._start(Job("download", backend, volume, path, folder, clock=self._clock))

    def start_upload(self, backend: str, volume: str, source: str | Path, path: str) -> Job:
        """Upload a local file or folder into the folder `path` of a volume."""
        source = Path(source).expanduser()
        return self._start(Job("upload", backend, volume, path, source, clock=self._clock))

    async def pause(self, job: Job) -> None:
        """Stop after the current chunk; what has arrived stays."""
        if not job.over and job.state != "paused":
            await self._stop(job, "paused")

    async def end_of(self, job: Job) -> None:
        """Wait until a job is over."""
        async for _ in self.updates():
            if job.over:
                return

    def replace(self, job: Job) -> None:
        """Start a failed job again, replacing existing files that differ."""
        job.force = True
        self.resume(job)

    def resume(self, job: Job) -> None:
        """Continue a job that was paused or cancelled, or that failed."""
        if job.state in ("paused", "failed", "cancelled"):
            job.state, job.error = "waiting", None
            self._go(job)

    async def cancel(self, job: Job) -> None:
        """Cancel a job. What has arrived stays, so that a later attempt continues there."""
        if not job.over:
            await self._stop(job, "cancelled")

    async def stop_all(self, timeout: float = 0.8) -> list[Job]:
        """Stop all jobs, since the app ends; returns the unfinished ones.

        A job that does not stop within `timeout` seconds, since its disk or network hangs, is abandoned.
        """
        left = [job for job in self.jobs if not job.over]
        tasks = []
        for job in sorted(left, key=lambda job: job.state != "waiting"):  # waiting ones first
            if job.state != "paused":
                tasks.append(self._tasks[job])
                tasks[-1].cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=timeout)
        for job in (left := [job for job in left if not job.over]):
            job.state = "paused"
        return left

    def clear(self) -> None:
        """Remove the jobs that are over."""
        self.jobs = [job for job in self.jobs if not job.over]
        self._tasks = {job: self._tasks[job] for job in self.jobs}
        self._tell()

    async def updates(self) -> AsyncIterator[None]:
        """Yields at once, and whenever a job has changed; at most ten times a second."""
        seen = -1
        while True:
            while seen == self._version:
                await self._changed.wait()
            seen = self._version
            yield None
            await asyncio.sleep(UPDATES)

    def _start(self, job: Job) -> Job:
        twin = next((old for old in self.jobs if _same(old, job) and not old.over), None)
        if twin is not None:
            return twin  # two copies would write the same files
        self.jobs.append(job)
        self._go(job)
        return job

    def _go(self, job: Job) -> None:
        self._tasks[job] = asyncio.create_task(self._run(job), name=f"{job.direction} {job.name}")
        self._tell()

    async def _run(self, job: Job) -> None:
        async with self._turns:
            job.begin()
            self._tell()
            try:
                await self._copy(job)
                job.state = "done"
            except VfmError as error:
                job.state, job.error = "failed", error
            except Exception as error:
                # No screen waits for the job: its line shows the error.
                job.state = "failed"
                job.error = VfmError(f"{type(error).__name__}: {error}", hint=Hint("start it again"))
        self._tell()
        if self._ended:
            self._ended(job)

    async def _copy(self, job: Job) -> None:
        def progress(transfer: Transfer) -> None:
            job.take(transfer)
            self._tell()

        backend, force = job.backend, job.force
        if job.direction == "upload":
            made = self._client.put(job.local, job.volume, job.path, progress, backend=backend, force=force)
        else:
            await asyncio.to_thread(make_folders, [job.local])
            made = self._client.get(job.volume, job.path, job.local, progress, backend=backend, force=force)
        job.take(await made)

    async def _stop(self, job: Job, state: State) -> None:
        task = self._tasks[job]
        task.cancel()
        await asyncio.wait({task})
        if not job.over:  # it may have ended meanwhile
            job.state = state
        self._tell()

    def _tell(self) -> None:
        self._version += 1
        self._changed.set()
        self._changed.clear()


async def removal(client: Client, run: RunRecord) -> Removal:
    """What deleting a run's directory deletes. Raises `VfmError`."""
    return await _counted(client, run.outputs, str(layout.run_path(run.run_id)), run.backend)


async def to_remove(client: Client, volume: str, path: str, backend: str | None = None) -> Removal:
    """What deleting a path deletes. Raises `ConfigError` where a live run writes there."""
    goes = await _counted(client, volume, path, backend)
    runs = await client.runs_of(backend) if backend else (await client.runs()).rows
    for run in runs:
        is_live = not run.ended_already and run.outputs == volume
        if is_live and _overlap(PurePosixPath(path), layout.run_path(run.run_id)):
            hint = Hint(f"wait until it ends, or stop it: vfm cancel {run.run_id}")
            raise ConfigError(f"{path or volume} is in use by the run {run.run_id}", hint=hint)
    return goes


async def _counted(client: Client, volume: str, path: str, backend: str | None) -> Removal:
    path = "/".join(PurePosixPath(path).parts)
    if path and ".." not in path.split("/"):
        above = await client.ls(volume, path.rpartition("/")[0], backend=backend)
        entry = next((entry for entry in above if entry.path == path), None)
        if entry is not None and not (entry.is_dir and not entry.is_link):
            return Removal(1, 0 if entry.is_link else entry.size, entry.is_link)
    entries = await client.ls(volume, path, recursive=True, backend=backend)
    links = {entry.path for entry in entries if entry.is_link}
    own = [entry for entry in entries if not links & {*map(str, PurePosixPath(entry.path).parents)}]
    gone = [entry for entry in own if entry.is_link or not entry.is_dir]
    return Removal(len(gone), sum(entry.size for entry in gone if not entry.is_link))


def _overlap(path: PurePosixPath, other: PurePosixPath) -> bool:
    return path.is_relative_to(other) or other.is_relative_to(path)


def _same(job: Job, other: Job) -> bool:
    def key(job: Job) -> tuple[str, ...]:
        return (job.direction, job.backend, job.volume, job.path, str(job.local))

    return key(job) == key(other)

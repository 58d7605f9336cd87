"""The protocol of backends, local and Modal, and its data; `test_every_backend.py` checks both."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from remote.contract.record import LaunchRequest, RunRecord


@dataclass(frozen=True)
class Batch:
    """Lines of a run's stream, without newlines, and the position after them.

    A position is a byte offset in the stream: following from it neither loses nor repeats a line.
    """

    lines: list[str]
    position: int


@dataclass(frozen=True)
class Damaged:
    """A run whose record cannot be read; its output may be intact."""

    outputs: str
    run_id: str
    """The name of its folder."""
    message: str


@dataclass(frozen=True)
class Entry:
    """One file or folder of a volume; `path` is relative to the volume's root."""

    path: str
    is_dir: bool
    size: int = 0
    """Bytes; a folder's is 0."""
    modified: float = 0.0
    """Unix seconds."""
    is_link: bool = False
    """A link: reading follows it, deleting deletes the link alone."""
    special: str = ""
    """Why it can be neither read nor copied: "a pipe", "a link that leaves the volume"; else empty."""


@dataclass(frozen=True)
class LeftOut:
    """An entry that a copy left out, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class VolumeInfo:
    """A volume of a backend."""

    name: str
    backend: str
    created: float = 0.0


@dataclass
class Transfer:
    """Progress of a download or upload: bytes done of total, and the current file."""

    done: int = 0
    total: int = 0
    path: str = ""
    fetched: int = 0
    """Bytes that this attempt copied; the others of `done` were there already."""
    skipped: list[str] = field(default_factory=list)
    """Identical files that existed already."""
    left_out: list[LeftOut] = field(default_factory=list)
    """Entries that are neither file nor folder, or cannot be read."""
    followed: list[str] = field(default_factory=list)
    """Links out of an uploaded folder, whose targets were uploaded."""


Progress = Callable[[Transfer], None]


class Volumes(Protocol):
    """A backend's volumes. A missing volume or path raises `FileNotFoundError`, which names it."""

    async def volumes(self) -> list[VolumeInfo]:
        """All volumes of this project (`verifiers-…`), by name."""
        ...

    async def list(self, volume: str, path: str = "", *, recursive: bool = False) -> list[Entry]:
        """List a path, folders first, then by name. A file lists itself."""
        ...

    async def read(self, volume: str, path: str, offset: int = 0, size: int = -1) -> bytes:
        """Read a range of a file; size -1: to its end."""
        ...

    async def download(
        self,
        volume: str,
        path: str,
        dest: Path,
        progress: Progress | None = None,
        *,
        force: bool = False,
    ) -> Transfer:
        """Copy a folder to `dest/<its name>`, or a file to `dest` (into it where that is a folder).

        An interrupted copy is resumed, every file is verified by SHA-256, identical files are skipped.
        Existing files that differ are replaced with `force`; otherwise it raises `Occupied`, and nothing is
        written. What cannot be copied is in the result's `left_out`. Raises `DiskError`, and `ConfigError`
        where there is nothing to copy.
        """
        ...

    async def upload(
        self,
        volume: str,
        source: Path,
        path: str,
        progress: Progress | None = None,
        *,
        force: bool = False,
    ) -> Transfer:
        """Copy a file or folder to `path/<its name>`, as `download` does. Links are followed."""
        ...

    async def remove(self, volume: str, path: str) -> None:
        """Delete a file or folder, never a whole volume; of a link, never its target."""
        ...


class Backend(Protocol):
    """Runs, somewhere. Unreachable or signed out: `BackendError`."""

    name: str
    volumes: Volumes

    @property
    def notices(self) -> list[str]:
        """What the last `runs()` left out, a sentence each."""
        ...

    @property
    def damaged(self) -> list[Damaged]:
        """The runs left out because their record cannot be read."""
        ...

    async def launch(self, request: LaunchRequest) -> RunRecord:
        """Start a run that outlives this process; returns once it has a record."""
        ...

    async def resume(self, request: LaunchRequest) -> RunRecord:
        """Start another attempt at a run that is over, in its directory; returns once that is recorded.

        request: the run's own, with changes. Raises `ConfigError` where the run is live.
        """
        ...

    def follow(self, run: RunRecord, position: int = 0, *, live: bool = True) -> AsyncIterator[Batch]:
        """The run's stream from a position, to its end or, unless `live`, to what there is."""
        ...

    def log_path(self, run: RunRecord) -> Path:
        """The file on this machine that `watch` keeps up to date with the run's stream."""
        ...

    def watch(self, run: RunRecord) -> AsyncIterator[int]:
        """Keep the log file up to date; yields its size in bytes at once and after each growth.

        Ends when the run is over and its whole stream is there.
        """
        ...

    def trouble(self, run: RunRecord) -> str:
        """Why the output of a watched run is stalled, or an empty string."""
        ...

    async def cancel(self, run: RunRecord, *, now: bool = False) -> None:
        """Ask a run to stop, and save what it has; with `now`, it ends at once and saves nothing.

        No effect on a run that is over.
        """
        ...

    async def status(self, run: RunRecord) -> RunRecord:
        """The current record; a run whose processes are gone has failed."""
        ...

    async def runs(self) -> list[RunRecord]:
        """All runs of all experiments, newest first."""
        ...

    async def billed(self, run: RunRecord) -> float | None:
        """US dollars billed for a run so far; None where no bill says."""
        ...

    async def fetch_prices(self) -> None:
        """Update the prices that plans use, where the backend has its own. Raises nothing."""
        ...

    async def remembered(self, run_id: str) -> RunRecord | None:
        """A run by its id, as last seen by this machine, without asking the backend; None if never seen."""
        ...

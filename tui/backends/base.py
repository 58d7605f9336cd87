"""What a backend does, whichever machine it stands for.

Owns the protocol that local and Modal both fulfil, and that one test body checks on both. Nothing
here knows of screens or of the command line.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from remote.contract.record import LaunchRequest, RunRecord


@dataclass(frozen=True)
class Batch:
    """Lines of a run's stream in order, without newlines, and the position that follows them.

    A position is a byte offset into the run's whole output: follow from it and no line is lost or
    seen twice.
    """

    lines: list[str]
    position: int


@dataclass(frozen=True)
class Damaged:
    """A run whose record cannot be read; its output may be whole."""

    outputs: str
    run_id: str
    """As its folder is called."""
    message: str
    """What is wrong, in a sentence."""


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
    """Why it can be neither read nor copied ("a pipe", "a link that leaves the volume"); else empty."""


@dataclass(frozen=True)
class LeftOut:
    """An entry that a copy passed over, and why."""

    path: str
    why: str


@dataclass(frozen=True)
class VolumeInfo:
    """A volume and the backend that holds it."""

    name: str
    backend: str
    created: float = 0.0


@dataclass
class Transfer:
    """How far a download or an upload is: bytes done of total, and the file under way."""

    done: int = 0
    total: int = 0
    path: str = ""
    fetched: int = 0
    """Bytes that this attempt carried over; the others of `done` were there already."""
    skipped: list[str] = field(default_factory=list)
    """Files that were already there, identical."""
    left_out: list[LeftOut] = field(default_factory=list)
    """What is neither a file nor a folder, or could not be read."""
    followed: list[str] = field(default_factory=list)
    """Links that lead out of the folder that is uploaded: what they lead to is uploaded in their place."""


Progress = Callable[[Transfer], None]


class Volumes(Protocol):
    """A backend's volumes. Missing ones raise `FileNotFoundError` with the path in its message."""

    async def volumes(self) -> list[VolumeInfo]:
        """All volumes of ours (`verifiers-…`)."""
        ...

    async def list(self, volume: str, path: str = "", *, recursive: bool = False) -> list[Entry]:
        """What lies under a path, folders first, then by name; what can be no file is `special`."""
        ...

    async def read(self, volume: str, path: str, offset: int = 0, size: int = -1) -> bytes:
        """A range of a file."""
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
        """Copy a file or a folder: resumed where it broke off, verified, identical files skipped.

        Files that are there and differ are replaced with `force`; else it raises `Occupied`, and nothing is
        written. What cannot be copied (a link that leaves the volume, a pipe) is left out and named in the
        result.
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
        """Copy a file or folder into a folder of the volume, with download's habits."""
        ...

    async def remove(self, volume: str, path: str) -> None:
        """Delete a file or a folder; a link goes itself, never what it points to."""
        ...


class Backend(Protocol):
    """Where runs are launched. Unreachable or signed out: `BackendError`."""

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
        """Start a run that outlives this process, and return once it is on record."""
        ...

    async def resume(self, request: LaunchRequest) -> RunRecord:
        """Have a run that is over go on in its own directory; returns once the next attempt is on record.

        `request` is the run's own, with what is to change. Raises `BackendError` where it still runs.
        """
        ...

    def follow(self, run: RunRecord, position: int = 0, *, live: bool = True) -> AsyncIterator[Batch]:
        """The run's output from a position; ends with the run, or at once where `live` is false."""
        ...

    def log_path(self, run: RunRecord) -> Path:
        """The file on this machine that holds the run's whole output, as far as `watch` has brought it."""
        ...

    def watch(self, run: RunRecord) -> AsyncIterator[int]:
        """Keep the log file up to date; yields its size (bytes) at once and after each growth.

        Ends when the run is over and all that it said is there.
        """
        ...

    def trouble(self, run: RunRecord) -> str:
        """What keeps the output of a watched run from coming just now, in words; empty where nothing does."""
        ...

    async def cancel(self, run: RunRecord, *, now: bool = False) -> None:
        """Ask a run to stop; it saves what it has. With `now` it is ended at once, and saves nothing more.

        A run that is over is left alone.
        """
        ...

    async def status(self, run: RunRecord) -> RunRecord:
        """The record as it stands now; a run whose process is gone has failed."""
        ...

    async def runs(self) -> list[RunRecord]:
        """Every run of every experiment, newest first."""
        ...

    async def billed(self, run: RunRecord) -> float | None:
        """US dollars that the backend's own bill says a run cost so far; None where no bill says so."""
        ...

    async def fetch_prices(self) -> None:
        """Update the prices that plans use, where the backend has its own. Raises nothing."""
        ...

    async def remembered(self, run_id: str) -> RunRecord | None:
        """A run by its whole id as this machine last knew it; nobody is asked. None where it does not."""
        ...

"""Copy files into or out of a local volume: resumed, verified, identical ones skipped.

`copy_plan.py` chooses the files; `destination.py` owns part files and what may be replaced.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, Protocol, TypeVar

from remote.contract.errors import DiskError, Hint
from tui.backends.base import LeftOut, Progress, Transfer
from tui.backends.destination import Occupied, give_name, open_part, part_of, written_to
from tui.backends.off_loop import Stopped, T, off_loop

CHUNK = 4 * 1024 * 1024
GROUP = 100
"""Small files that are copied in one call of a thread."""
_TargetState = Literal["absent", "same", "other"]


class Unreadable(Exception):
    """The source of a copy cannot be read."""


@dataclass(frozen=True)
class Copy:
    """A file of `size` bytes and its target; bytes appended meanwhile are left out."""

    source: Path
    target: Path
    size: int
    shown: str
    """The source's name in notices."""

    @classmethod
    def of(cls, source: Path, target: Path) -> Copy:
        """A copy of the file at its present size."""
        return cls(source, target, source.stat().st_size, str(source))

    def target_state(self, stop: threading.Event) -> tuple[Copy, _TargetState]:
        """The copy with the target that writing changes, and its state. Raises `ConfigError`."""
        copy = replace(self, target=written_to(self.target))
        if not os.path.lexists(copy.target):
            return copy, "absent"
        return copy, "same" if copy._is_same(stop) else "other"

    def _is_same(self, stop: threading.Event) -> bool:
        try:
            if self.target.stat().st_size != self.size:
                return False
            existing = digest(self.target, self.size, stop)
        except OSError:
            return False  # it cannot be read
        return existing.digest() == _source(lambda: digest(self.source, self.size, stop)).digest()


async def copy_all(
    copies: Sequence[Copy], transfer: Transfer, progress: Progress, *, force: bool = False
) -> None:
    """Copy files, unless an identical one exists. Cancelled, it leaves a part file to resume from.

    Unreadable sources are added to `transfer.left_out`. Raises, before anything is written, `Occupied` where
    existing files differ, unless `force` is set, and `ConfigError` where a target cannot be a file; raises
    `DiskError`, also where no source can be read.
    """
    transfer.total = sum(copy.size for copy in copies)
    lacking, differing = [], []
    for group in grouped(copies, GROUP, CHUNK):
        for copy, state in await off_loop(lambda stop, group=group: _look(group, stop)):  # type: ignore[misc]
            if state == "same":
                transfer.skipped.append(str(copy.target))
                _arrived(transfer, progress, copy, copy.size)
            else:
                lacking.append(copy)
                differing += [str(copy.target)] if state == "other" else []
    if differing and not force:
        raise Occupied(differing)
    unread: list[LeftOut] = []
    for group in grouped(lacking, GROUP, CHUNK):
        unread += await _copy(group, transfer, progress, force)
    if copies and len(unread) == len(copies):
        raise DiskError(
            f"{unread[0].path} cannot be read: nothing was copied",
            cause=unread[0].why,
            hint=Hint("fix that and start it again"),
        )
    transfer.left_out += unread


def _look(group: Sequence[Copy], stop: threading.Event) -> list[tuple[Copy, _TargetState]]:
    found: list[tuple[Copy, _TargetState]] = []
    for copy in group:
        try:
            found.append(copy.target_state(stop))
        except Unreadable:
            found.append((copy, "absent"))  # copying it raises why
    return found


async def _copy(group: Sequence[Copy], transfer: Transfer, progress: Progress, force: bool) -> list[LeftOut]:
    """Copy one large file, chunk by chunk, or several small ones; returns those that cannot be read."""
    transfer.path = str(group[0].target)
    if group[0].size > CHUNK:
        (copy,) = group
        before = transfer.done
        try:
            await _copy_large(copy, transfer, progress, force)
            return []
        except Unreadable as error:
            transfer.total -= copy.size
            transfer.done = before
            return [LeftOut(copy.shown, str(error))]
    unread = []
    reasons = await off_loop(lambda stop: [_copy_small(copy, force, stop) for copy in group])
    for copy, why in zip(group, reasons, strict=True):
        if why:
            transfer.total -= copy.size
            unread.append(LeftOut(copy.shown, why))
        else:
            transfer.fetched += copy.size
            _arrived(transfer, progress, copy, copy.size)
    return unread


async def _copy_large(copy: Copy, transfer: Transfer, progress: Progress, force: bool) -> None:
    start = transfer.done
    with _Writing(copy, force) as writing:
        done = await off_loop(writing.open)
        while True:
            transfer.done = start + done
            progress(transfer)
            if done >= copy.size:
                break
            got = await off_loop(writing.append)
            done += got
            transfer.fetched += got
        await off_loop(writing.finish)


def _copy_small(copy: Copy, force: bool, stop: threading.Event) -> str:
    """Copy a small file without a part file to resume from; returns why it cannot be read, or nothing."""
    if stop.is_set():
        raise Stopped
    try:
        with _Writing(copy, force, keep=False) as writing:
            if writing.open(stop) < copy.size:
                writing.append(stop)
            writing.finish(stop)
    except Unreadable as error:
        return str(error)
    return ""


def _arrived(transfer: Transfer, progress: Progress, copy: Copy, size: int) -> None:
    transfer.path = str(copy.target)
    transfer.done += size
    progress(transfer)


class _Writing:
    """The part file of a copy; the source is read and hashed once.

    With `keep`, the part file stays after an error. `open`, `append` and `finish` raise `DiskError`, and
    `Unreadable` where the source fails.
    """

    def __init__(self, copy: Copy, force: bool, *, keep: bool = True) -> None:
        self._copy, self._force, self._keep = copy, force, keep
        self._part = part_of(copy.target, str(copy.source))
        self._digest = hashlib.sha256()
        self._done = 0
        self._files: list[BinaryIO | FileIO] = []

    def __enter__(self) -> _Writing:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        is_ours = len(self._files) == 2  # both are open, so the part file is locked
        if error and is_ours and (not self._keep or isinstance(error, Unreadable)):
            with suppress(OSError):  # it has its final name already
                self._part.unlink()
        for file in self._files:
            file.close()

    def open(self, stop: threading.Event) -> int:
        """Bytes of the part file that match the source; a part file that does not match is truncated."""
        self._source = _source(lambda: self._copy.source.open("rb", buffering=0))
        self._files.append(self._source)
        self._began = os.fstat(self._source.fileno())
        with _written(self._copy):
            self._file = open_part(self._part)
            self._files.append(self._file)
            size = os.fstat(self._file.fileno()).st_size
            if 0 < size <= self._copy.size:
                copied = digest(self._part, size, stop)
                own = _source(lambda: digest(self._copy.source, size, stop))
                if copied.digest() == own.digest():
                    self._digest, self._done = own, size
                    return size
            self._file.truncate(0)
        return 0

    def append(self, _stop: threading.Event) -> int:
        """Copy one more chunk; returns its size."""
        chunk = _source(self._read)
        if not chunk:
            raise DiskError(
                f"{self._copy.source} became shorter while it was copied",
                hint=Hint("copy it again once the run has ended"),
            )
        with _written(self._copy):
            self._file.write(chunk)
        self._digest.update(chunk)
        self._done += len(chunk)
        return len(chunk)

    def finish(self, stop: threading.Event) -> None:
        """Verify the part file by reading it back, then give it the target's name."""
        with _written(self._copy):
            self._file.flush()
            if self._began.st_mode & stat.S_IXUSR:
                mode = stat.S_IMODE(os.fstat(self._file.fileno()).st_mode)
                os.fchmod(self._file.fileno(), mode | (mode & 0o444) >> 2)
            if self._changed() or digest(self._part, self._copy.size, stop).digest() != self._digest.digest():
                self._part.unlink()
                raise DiskError(
                    f"{self._copy.target} differs from its source after the copy",
                    hint=Hint("copy it again; if a run is writing it, wait until the run ends"),
                )
            give_name(self._part, self._copy.target, force=self._force)

    def _read(self) -> bytes:
        self._source.seek(self._done)
        return self._source.read(min(CHUNK, self._copy.size - self._done))

    def _changed(self) -> bool:
        """Whether the source was replaced or rewritten; appending is no change."""
        before, now = self._began, self._copy.source.stat()
        rewritten = now.st_size <= before.st_size and now.st_mtime_ns != before.st_mtime_ns
        return now.st_ino != before.st_ino or rewritten


class _written:
    """Turns an `OSError` of the target into a `DiskError` that names source and target."""

    def __init__(self, copy: Copy) -> None:
        self._copy = copy

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, OSError):
            raise DiskError(
                f"cannot copy {self._copy.source} to {self._copy.target}: {error.strerror or error}",
                cause=str(error),
                hint=Hint("fix that and start it again: it resumes there"),
            ) from error


def _source(read: Callable[[], T]) -> T:
    try:
        return read()
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror or error}") from error


class Sized(Protocol):
    """A file of a known size."""

    @property
    def size(self) -> int:
        """Bytes."""
        ...


F = TypeVar("F", bound=Sized)


def grouped(files: Iterable[F], most: int, size: int) -> Iterator[list[F]]:
    """The files in order, in groups of at most `most` files and `size` bytes; a larger file by itself."""
    group: list[F] = []
    for file in files:
        if group and (len(group) == most or sum(f.size for f in group) + file.size > size):
            yield group
            group = []
        group.append(file)
    if group:
        yield group


def digest(path: Path, size: int, stop: threading.Event) -> hashlib._Hash:
    """SHA-256 of a file's first bytes. Raises `Stopped`."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while size > 0 and (chunk := file.read(min(CHUNK, size))):
            if stop.is_set():
                raise Stopped
            found.update(chunk)
            size -= len(chunk)
    return found

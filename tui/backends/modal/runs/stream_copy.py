"""The copy of a run's output on this machine, put together from frames that come twice, late or never.

Owns the copy's file and the place of each frame in it. A frame names its attempt and its offset there, so
bytes that are present are skipped, and a frame waits while bytes before it are missing. `fetch.py` fetches.

Several programs may write one copy: each looks at the file anew for each frame, under a lock that is held
while it writes. A writer that is killed at any moment leaves a copy that another continues.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from remote.contract import layout
from remote.contract.json_text import from_json
from remote.contract.log_frames import Frame
from tui.private_files import make_private

CURSOR = "cursor.json"
_GUARD = ".copy.lock"


@dataclass(frozen=True)
class Mark:
    """From byte `base` on the copy holds attempt `attempt`'s bytes from `at` on; before it comes `text`."""

    attempt: int = 1
    at: int = 0
    base: int = 0
    text: str = ""


@dataclass(frozen=True)
class Place:
    """The attempt that the copy ends with, and the offset up to which its bytes are present."""

    attempt: int
    at: int


@dataclass(frozen=True)
class Cursor:
    """What is known of a copy besides its bytes: kept beside it, in `cursor.json`."""

    marks: tuple[Mark, ...] = (Mark(),)
    position: str = ""
    """Where to read the app's logs on from."""
    seen: float = 0.0
    """Unix seconds: all that was logged before is present."""
    complete: bool = False
    """Whether the run is over and all of its output is present."""

    def fitting(self, size: int) -> Cursor:
        """The same without marks beyond the copy's end, which a truncated file no longer has."""
        marks = self.marks
        while len(marks) > 1 and marks[-1].base - len(marks[-1].text.encode()) > size:
            marks = marks[:-1]
        return self if size and marks == self.marks else Cursor(marks)

    def place(self, size: int) -> Place:
        """The place that a copy of `size` bytes ends at."""
        last = self.marks[-1]
        return Place(last.attempt, last.at + size - last.base)

    def fit(self, frames: Iterable[Frame], size: int) -> tuple[bytes, list[Frame]]:
        """The bytes to append to a copy of `size` bytes, and the frames that have to wait."""
        end = self.place(size)
        new, at, waiting = bytearray(), end.at, list[Frame]()
        for frame in sorted(frames, key=lambda frame: (frame.attempt, frame.at)):
            if frame.attempt == end.attempt and frame.at <= at:
                new += frame.data[at - frame.at :]
                at = max(at, frame.at + len(frame.data))
            elif frame.attempt >= end.attempt:
                waiting.append(frame)
        return bytes(new), waiting

    def jumped(self, attempt: int, at: int, text: str, size: int) -> Cursor:
        """The cursor of a copy of `size` bytes that continues at another place, after a text of ours."""
        mark = Mark(attempt, at, size + len(text.encode()), text)
        return replace(self, marks=(*self.marks, mark))


class StreamCopy:
    """The copy in a run's directory on this machine. Every method does disk work."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.path = run_dir / layout.STREAM

    def size(self) -> int:
        """Bytes that are present."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def place(self) -> Place:
        """The place that the copy ends at."""
        with self._open() as fd:
            return self._cursor(fd).place(_size(fd))

    def cursor(self) -> Cursor:
        with self._open() as fd:
            return self._cursor(fd)

    def take(self, frames: Sequence[Frame]) -> list[Frame]:
        """Append what is new; returns the frames that have to wait for others."""
        with self._open() as fd:
            new, waiting = self._cursor(fd).fit(frames, _size(fd))
            _append(fd, new)
        return waiting

    def add(self, attempt: int, at: int, data: bytes) -> None:
        """Append what is new of an attempt's bytes, if they follow on those that are present."""
        self.take([Frame(attempt, at, data)])

    def begin(self, attempt: int, *, ends_line: bool = False) -> None:
        """Begin another attempt's part, unless it has begun: no more of the one before will come.

        ends_line: the attempt's own bytes end the line that the one before left without its end.
        """
        with self._open() as fd:
            cursor, size = self._cursor(fd), _size(fd)
            if cursor.place(size).attempt < attempt:
                text = "" if ends_line else _rest_of_line(fd, size)
                self._jump(fd, cursor, Place(attempt, 0), text)

    def skip(self, attempt: int, at: int) -> None:
        """Give up an attempt's bytes before `at`: append a line that says how many, and continue there."""
        with self._open() as fd:
            cursor, size = self._cursor(fd), _size(fd)
            end = cursor.place(size)
            if end.attempt == attempt and end.at < at:
                line = (
                    f"[modal] {at - end.at} bytes of the output are missing: the log service has lost them\n"
                )
                self._jump(fd, cursor, Place(attempt, at), _rest_of_line(fd, size) + line)

    def remember(self, position: str, seen: float) -> None:
        """Note where to read the logs on from, and the time (Unix seconds) before which all is present."""
        with self._open() as fd:
            cursor = self._cursor(fd)
            self._save(replace(cursor, position=position, seen=max(seen, cursor.seen)))

    def complete(self) -> None:
        """Note that all of the run's output is present."""
        with self._open() as fd:
            self._save(replace(self._cursor(fd), complete=True))

    def reopen(self) -> None:
        """Note that more will come, in the logs of another app."""
        with self._open() as fd:
            self._save(replace(self._cursor(fd), complete=False, position="", seen=0.0))

    def _jump(self, fd: int, cursor: Cursor, to: Place, text: str) -> None:
        # The cursor first: the next program to open the copy writes a text that a crash left out.
        cursor = cursor.jumped(to.attempt, to.at, text, _size(fd))
        self._save(cursor)
        self._write_text(fd, cursor)

    def _cursor(self, fd: int) -> Cursor:
        """The cursor on file, after the copy was made to agree with it."""
        cursor = _read(self.run_dir / CURSOR).fitting(_size(fd))
        self._write_text(fd, cursor)
        return cursor

    def _write_text(self, fd: int, cursor: Cursor) -> None:
        """Write what a crash left out of the last mark's text."""
        last = cursor.marks[-1]
        if (missing := last.base - _size(fd)) > 0:
            _append(fd, last.text.encode()[-missing:])

    @contextmanager
    def _open(self) -> Iterator[int]:
        """The copy's file descriptor, locked against other writers."""
        make_private(self.path.parent)
        guard = os.open(self.run_dir / _GUARD, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(guard, fcntl.LOCK_EX)
            fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            try:
                yield fd
            finally:
                os.close(fd)
        finally:
            os.close(guard)

    def _save(self, cursor: Cursor) -> None:
        path = self.run_dir / CURSOR
        temporary = path.with_name(f".{CURSOR}.new")  # the lock keeps others from it
        temporary.write_text(json.dumps(asdict(cursor)), encoding="utf-8")
        temporary.replace(path)


def _read(path: Path) -> Cursor:
    """The cursor on file; that of an empty copy where it is missing or damaged."""
    try:
        data = from_json(path.read_bytes())
        marks = tuple(Mark(**mark) for mark in data["marks"])
        complete = bool(data["complete"])
        return Cursor(marks or (Mark(),), str(data["position"]), float(data["seen"]), complete)
    except (OSError, ValueError, KeyError, TypeError):
        return Cursor()


def _size(fd: int) -> int:
    return os.fstat(fd).st_size


def _append(fd: int, data: bytes) -> None:
    while data:
        data = data[os.write(fd, data) :]


def _rest_of_line(fd: int, size: int) -> str:
    """A newline where the copy's last line has none."""
    return "\n" if size and os.pread(fd, 1, size - 1) != b"\n" else ""

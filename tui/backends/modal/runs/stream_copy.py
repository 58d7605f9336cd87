"""A run's whole output on this machine, put together from pieces that come doubled, late or not at all.

Owns the journal file and what places each piece in it: frames name the attempt that they belong to and their
place in it, so bytes that are there are passed over, and those before which some are missing wait. Where
pieces come from is `watch.py`'s.

Several programs may write the same journal: what is there counts anew at each piece, under a lock that is
held for no longer than the writing takes. Killed at any moment, a writer leaves a journal that another goes
on with.
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
from tui.settings import make_private

CURSOR = "cursor.json"
_GUARD = ".journal.lock"


@dataclass(frozen=True)
class Mark:
    """From byte `base` on the journal holds attempt `attempt`'s bytes from `at` on; `text` stands before."""

    attempt: int = 1
    at: int = 0
    base: int = 0
    text: str = ""


@dataclass(frozen=True)
class Place:
    """Up to where an attempt's bytes are there."""

    attempt: int
    at: int


@dataclass(frozen=True)
class Cursor:
    """What places pieces, and where the log service goes on."""

    marks: tuple[Mark, ...] = (Mark(),)
    position: str = ""
    seen: float = 0.0
    """Unix seconds: all that was logged before is there."""
    complete: bool = False
    """Whether the run is over and all that it said is there."""

    def fitting(self, size: int) -> Cursor:
        """Without marks beyond the journal's end: the file has lost what they speak of."""
        marks = self.marks
        while len(marks) > 1 and marks[-1].base - len(marks[-1].text.encode()) > size:
            marks = marks[:-1]
        return self if size and marks == self.marks else Cursor(marks)

    def place(self, size: int) -> Place:
        """What is there, in a journal of that size."""
        last = self.marks[-1]
        return Place(last.attempt, last.at + size - last.base)

    def fit(self, frames: Iterable[Frame], size: int) -> tuple[bytes, list[Frame]]:
        """The bytes that go on where the journal ends, and the frames that cannot be placed yet."""
        here = self.place(size)
        new, at, kept = bytearray(), here.at, list[Frame]()
        for frame in sorted(frames, key=lambda frame: (frame.attempt, frame.at)):
            if frame.attempt == here.attempt and frame.at <= at:
                new += frame.data[at - frame.at :]
                at = max(at, frame.at + len(frame.data))
            elif frame.attempt >= here.attempt:
                kept.append(frame)
        return bytes(new), kept

    def jumped(self, attempt: int, at: int, text: str, size: int) -> Cursor:
        """Going on at another place, after a text of ours."""
        mark = Mark(attempt, at, size + len(text.encode()), text)
        return replace(self, marks=(*self.marks, mark))


class Journal:
    """The journal of a run whose directory is on this machine."""

    def __init__(self, run_dir: Path) -> None:
        self.run_dir = run_dir
        self.path = run_dir / layout.STREAM

    def size(self) -> int:
        """Bytes that are there; 0 where there is none yet."""
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def place(self) -> Place:
        """Up to where bytes are there."""
        with self._open() as fd:
            return self._cursor(fd).place(_size(fd))

    def cursor(self) -> Cursor:
        """What is known of it."""
        with self._open() as fd:
            return self._cursor(fd)

    def take(self, frames: Sequence[Frame]) -> list[Frame]:
        """Append what is new; gives back the frames that have to wait for others."""
        with self._open() as fd:
            new, kept = self._cursor(fd).fit(frames, _size(fd))
            _append(fd, new)
        return kept

    def add(self, attempt: int, at: int, data: bytes) -> None:
        """Append what is new of an attempt's bytes, where they follow on those that are there."""
        self.take([Frame(attempt, at, data)])

    def begin(self, attempt: int, *, ends_line: bool = False) -> None:
        """Another attempt follows: nothing more comes of the one before. Begun already: nothing happens.

        `ends_line` says that what follows begins by ending a line that was torn.
        """
        with self._open() as fd:
            cursor, size = self._cursor(fd), _size(fd)
            if cursor.place(size).attempt < attempt:
                text = "" if ends_line else _rest_of_line(fd, size)
                self._jump(fd, cursor, Place(attempt, 0), text)

    def skip(self, attempt: int, at: int) -> None:
        """Bytes of an attempt are nowhere to be had: say how many, and go on after them."""
        with self._open() as fd:
            cursor, size = self._cursor(fd), _size(fd)
            here = cursor.place(size)
            if (here.attempt, here.at < at) == (attempt, True):
                told = (
                    f"[modal] {at - here.at} bytes of the output are missing: the log service has lost them\n"
                )
                self._jump(fd, cursor, Place(attempt, at), _rest_of_line(fd, size) + told)

    def remember(self, position: str, seen: float) -> None:
        """Where the log service goes on, and since when not all that was logged is there."""
        with self._open() as fd:
            cursor = self._cursor(fd)
            self._save(replace(cursor, position=position, seen=max(seen, cursor.seen)))

    def complete(self) -> None:
        """Nothing more will come."""
        with self._open() as fd:
            self._save(replace(self._cursor(fd), complete=True))

    def reopen(self) -> None:
        """More will come, of another app: where its logs begin is not known yet."""
        with self._open() as fd:
            self._save(replace(self._cursor(fd), complete=False, position="", seen=0.0))

    def _jump(self, fd: int, cursor: Cursor, to: Place, text: str) -> None:
        # The cursor first: where the text is missing after a crash, the next to open the journal writes it.
        cursor = cursor.jumped(to.attempt, to.at, text, _size(fd))
        self._save(cursor)
        self._write_text(fd, cursor)

    def _cursor(self, fd: int) -> Cursor:
        """The cursor on file, once the journal is as it says."""
        cursor = _read(self.run_dir / CURSOR).fitting(_size(fd))
        self._write_text(fd, cursor)
        return cursor

    def _write_text(self, fd: int, cursor: Cursor) -> None:
        """Write what a crash has left out of the last mark's text."""
        last = cursor.marks[-1]
        if (missing := last.base - _size(fd)) > 0:
            _append(fd, last.text.encode()[-missing:])

    @contextmanager
    def _open(self) -> Iterator[int]:
        """The journal's descriptor, with nobody else writing."""
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
        temporary = path.with_name(f".{CURSOR}.new")  # nobody else writes: the guard is ours
        temporary.write_text(json.dumps(asdict(cursor)), encoding="utf-8")
        temporary.replace(path)


def _read(path: Path) -> Cursor:
    """The cursor on file; the first one where there is none or it is damaged."""
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
    """What ends the journal's last line, where it is torn."""
    return "\n" if size and os.pread(fd, 1, size - 1) != b"\n" else ""

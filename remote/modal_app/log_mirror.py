"""Copies a run's stream, as it grows, to a container's output as frames.

Owns where a frame ends and how soon it is sent. What a frame is, is `contract/frames`'s; that what the
stream holds is also in the volume, the container's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from remote.contract.log_frames import Frame, encode_frame

CHUNK = 65536
"""Most bytes of the stream in one frame."""
SOONEST, LATEST = 0.01, 0.04
"""Seconds between two looks at the stream: while it grows, and while nothing happens."""


class Mirror(threading.Thread):
    """One attempt's part of a stream, from `offset` on; a thread, since a signal may cut the main one's
    writing short. `seen` is called with the bytes of every frame."""

    def __init__(
        self, stream: Path, attempt: int, offset: int, seen: Callable[[bytes], None], fd: int = 1
    ) -> None:
        super().__init__(name="mirror", daemon=True)
        self._attempt, self._offset, self._seen, self._out = attempt, offset, seen, fd
        self._position = offset
        self._stream = os.open(stream, os.O_RDONLY | os.O_CLOEXEC)
        self._over = threading.Event()

    def run(self) -> None:
        """Look, send, and look again, until `finish`."""
        pause = SOONEST
        while not self._over.wait(pause):
            pause = SOONEST if self._send() else min(LATEST, 1.5 * pause)
        while self._send(whole_lines=False):
            pass
        os.close(self._stream)

    def finish(self) -> None:
        """Send what is left, a torn last line too; nobody writes to the stream any more."""
        self._over.set()
        self.join()

    def _send(self, *, whole_lines: bool = True) -> bool:
        """One frame, if there is something for it: of whole lines, unless one line fills it."""
        data = os.pread(self._stream, CHUNK, self._position)
        end = data.rfind(b"\n") + 1
        if end or (whole_lines and len(data) < CHUNK):
            data = data[:end]
        if data:
            _write(self._out, encode_frame(Frame(self._attempt, self._position - self._offset, data)))
            self._position += len(data)
            self._seen(data)
        return bool(data)


def _write(fd: int, text: str) -> None:
    data = text.encode()
    while data:
        data = data[os.write(fd, data) :]

"""Copy a run's stream, as it grows, to the container's output as frames (`contract/log_frames.py`)."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

from remote.contract.log_frames import Frame, encode_frame
from remote.output.emitter import write_all

CHUNK = 65536
"""Maximum number of bytes of the stream in a frame."""
SOONEST, LATEST = 0.01, 0.04
"""Seconds between two checks of the stream: while it grows, and while it does not."""


class Mirror(threading.Thread):
    """Copies an attempt's part of a stream, from `offset` on; calls `on_data` with the bytes of every frame.

    A thread of its own, since signals may interrupt writing in the main one.
    """

    def __init__(
        self, stream: Path, attempt: int, offset: int, on_data: Callable[[bytes], None], fd: int = 1
    ) -> None:
        super().__init__(name="mirror", daemon=True)
        self._attempt, self._offset, self._on_data, self._out = attempt, offset, on_data, fd
        self._position = offset
        self._stream = os.open(stream, os.O_RDONLY | os.O_CLOEXEC)
        self._over = threading.Event()

    def run(self) -> None:
        """Send what is new, until `finish`."""
        pause = SOONEST
        while not self._over.wait(pause):
            pause = SOONEST if self._send() else min(LATEST, 1.5 * pause)
        while self._send(whole_lines=False):
            pass
        os.close(self._stream)

    def finish(self) -> None:
        """Send the rest, a torn last line included, once the stream grows no more."""
        self._over.set()
        self.join()

    def _send(self, *, whole_lines: bool = True) -> bool:
        """Send a frame, if there is anything to send: of whole lines, unless one line fills it."""
        data = os.pread(self._stream, CHUNK, self._position)
        end = data.rfind(b"\n") + 1
        if end or (whole_lines and len(data) < CHUNK):
            data = data[:end]
        if data:
            write_all(self._out, encode_frame(Frame(self._attempt, self._position - self._offset, data)))
            self._position += len(data)
            self._on_data(data)
        return bool(data)

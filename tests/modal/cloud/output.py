"""A container's output, read as it comes, and to the last byte on demand."""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import Callable


class Tap:
    """The reading end of a pipe that a process writes to."""

    def __init__(self) -> None:
        self._fd, self.writing_end = os.pipe()
        os.set_blocking(self._fd, False)
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._write: Callable[[str], None] | None = None

    def open(self, write: Callable[[str], None]) -> None:
        """Pass on all output from now on, as it comes."""
        self._write = write
        asyncio.get_running_loop().add_reader(self._fd, self.drain)

    def drain(self) -> None:
        """Pass on what the pipe has now."""
        while self._fd >= 0:
            try:
                data = os.read(self._fd, 1 << 16)
            except BlockingIOError:
                return
            if self._write is not None:
                self._write(self._decoder.decode(data, final=not data))
            if not data:
                self.close()

    def close(self) -> None:
        """Close the pipe."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1

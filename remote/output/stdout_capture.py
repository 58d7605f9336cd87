"""Gives every line that a library prints its tag.

Owns the process's descriptors 1 and 2: what anything writes there (Python, C++, progress bars) is
read line by line and said as a source of the stream. The stream itself goes to a copy of the
original output, which nobody else can write to.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

from remote.output.line_splitter import LineSplitter


def take_output(say: Callable[[str], None]) -> threading.Thread:
    """Send descriptors 1 and 2 through `say`, a line a call, until both are closed."""
    read, write = os.pipe()
    os.dup2(write, 1)
    os.dup2(write, 2)
    os.close(write)
    thread = threading.Thread(target=pump, args=(os.fdopen(read, "rb"), say), name="output", daemon=True)
    thread.start()
    return thread


def pump(source: BinaryIO, say: Callable[[str], None]) -> None:
    """Say each line of a stream; of a progress bar (`\\r`), its last state now and then."""
    splitter = LineSplitter(ansi=True)
    with source:
        while chunk := os.read(source.fileno(), 1 << 16):
            for line in splitter.feed(chunk, time.monotonic()):
                say(line)
    for line in splitter.close():
        say(line)

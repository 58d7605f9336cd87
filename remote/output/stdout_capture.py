"""Redirect everything that this process prints (Python, C++, progress bars) to a function, line by line.

The run's stream goes to a copy of the original output, to which nothing else can write.
"""

from __future__ import annotations

import io
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import BinaryIO

from remote.output.line_splitter import LineSplitter


def take_output(say: Callable[[str], None]) -> threading.Thread:
    """Redirect descriptors 1 and 2 to `say`, one line per call, until both are closed."""
    read, write = os.pipe()
    os.dup2(write, 1)
    os.dup2(write, 2)
    os.close(write)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what is printed last outlives whatever ends the process
    thread = threading.Thread(target=pump, args=(os.fdopen(read, "rb"), say), name="output", daemon=True)
    thread.start()
    return thread


def pump(source: BinaryIO, say: Callable[[str], None]) -> None:
    """Call `say` with each line of a stream; of a progress bar (`\\r`), with a few of its states."""
    splitter = LineSplitter(ansi=True)
    with source:
        while chunk := os.read(source.fileno(), 1 << 16):
            for line in splitter.feed(chunk, time.monotonic()):
                say(line)
    for line in splitter.close():
        say(line)

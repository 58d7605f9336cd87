"""Progress of an image's build: uv's own lines, and a line of ours whenever uv is silent for some seconds.

Without a terminal uv names the packages of a megabyte or more, and prints nothing while they download.
"""

from __future__ import annotations

import re
import time

from remote.output.emitter import Emitter

_RESOLVED = re.compile(r"Resolved (\d+) packages? in")
_DOWNLOADING = re.compile(r"\s*(?:Downloading|Building) (\S+(?: \([\d.]+\s?\w+\))?)")
_DOWNLOADED = re.compile(r"\s*(?:Downloaded|Built) (\S+)")
_QUIET = 5.0
"""Seconds without a line after which one is printed."""


class BuildProgress:
    """Prints a build's lines and reports `downloads` (done of those announced so far)."""

    def __init__(self, emit: Emitter) -> None:
        self._emit = emit
        self._doing = "choosing versions"
        self._downloading: dict[str, str] = {}
        self._downloads = 0
        self._last_line = self._began = time.monotonic()

    def line(self, line: str) -> None:
        """Take in a line of uv's."""
        if line.strip():
            self.say(line)
        if found := _RESOLVED.match(line):
            self._doing = f"installing {found[1]} packages"
        elif found := _DOWNLOADING.match(line):
            self._downloading[found[1].split()[0]] = found[1]
            self._downloads += 1
        elif found := _DOWNLOADED.match(line):
            self._downloading.pop(found[1], None)
            self._emit.progress(self._downloads - len(self._downloading), self._downloads, "downloads")

    def tick(self, written: int) -> None:
        """Call about once a second while uv runs; `written`: bytes that it has written to disk."""
        doing = self._doing
        if self._downloading:
            first, *more = self._downloading.values()
            doing = f"downloading {first}" + (f" and {len(more)} more" if more else "")
        self.waiting(f"{doing} · {size_text(written)} written" if written else doing)

    def waiting(self, doing: str) -> None:
        """Call about once a second: prints what is being done where nothing was printed for a while."""
        if time.monotonic() - self._last_line >= _QUIET:
            self.say(f"{doing} · {self.seconds:.0f} s")

    def say(self, line: str) -> None:
        """Print a line."""
        self._emit.say("image", line)
        self._last_line = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the build began."""
        return time.monotonic() - self._began


def size_text(count: float) -> str:
    """Bytes as text, in powers of ten as disks are sold."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"

"""How far a build is, from uv's words and from what appears on disk.

Without a terminal uv prints only the packages of a megabyte or more, and nothing while they come in. This
counts them, counts the distributions that have been installed, and speaks up when uv is silent.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

from remote.output.emitter import Emitter

_RESOLVED = re.compile(r"Resolved (\d+) packages? in")
_DOWNLOADING = re.compile(r"\s*(?:Downloading|Building) (\S+)(?: \(([\d.]+\s?\w+)\))?")
_DOWNLOADED = re.compile(r"\s*(?:Downloaded|Built) (\S+)")
_QUIET = 3.0  # seconds without a line after which one is said
_QUIET_WAITING = 5.0  # the same while only time passes


class BuildProgress:
    """Listens to a build and reports it: `packages` (installed of total), `downloads` and `bytes` written.

    `packages` is the only one whose total is known from the start; downloads are announced in waves,
    and the bytes written have no total (0).
    """

    def __init__(self, emit: Emitter, site_packages: Path, also: int) -> None:
        self._emit = emit
        self._site = site_packages
        self._also = also  # packages that are installed after the resolved ones
        self.total = 0
        self._under_way: dict[str, str] = {}
        self._downloads = 0
        self._bytes = 0
        self._said = self._began = time.monotonic()
        self._told: dict[str, tuple[float, float]] = {}

    def line(self, line: str) -> None:
        """A line of uv's."""
        if line.strip():
            self.say(line)
        if found := _RESOLVED.match(line):
            self.total = self.total or int(found[1]) + self._also
        elif found := _DOWNLOADING.match(line):
            self._under_way[found[1]] = found[2] or ""
            self._downloads += 1
        elif found := _DOWNLOADED.match(line):
            self._under_way.pop(found[1], None)

    def tick(self, written: int) -> None:
        """About once a second: `written` is what the process under way has written, in bytes."""
        self._bytes = max(self._bytes, written)
        self._report("downloads", self._downloads - len(self._under_way), self._downloads)
        self._report("bytes", self._bytes, 0)
        self.packages()
        if time.monotonic() - self._said >= _QUIET:
            self.say(self._state())

    def packages(self) -> int:
        """Count, report and return the distributions that are installed."""
        done = sum(1 for _ in self._site.glob("*.dist-info"))
        if self.total:
            self._report("packages", min(done, self.total), self.total)
        return done

    def waiting(self, doing: str) -> None:
        """About once a second, while something else than uv is under way."""
        if time.monotonic() - self._said >= _QUIET_WAITING:
            self.say(f"{doing} · {self.seconds:.0f} s")

    def say(self, line: str) -> None:
        """A line for people."""
        self._emit.say("image", line)
        self._said = time.monotonic()

    @property
    def seconds(self) -> float:
        """Seconds since the build began."""
        return time.monotonic() - self._began

    def _state(self) -> str:
        parts = [f"{size_text(self._bytes)} written"] if self._bytes else []
        if self._under_way:
            first, size = max(self._under_way.items(), key=lambda item: size_of(item[1]))
            more = len(self._under_way) - 1
            name = f"{first} ({size})" if size else first
            parts.insert(0, f"downloading {name}" + (f" and {more} more" if more else ""))
        elif self.total:
            parts.insert(0, f"{self.packages()} of {self.total} packages installed")
        else:
            parts.insert(0, "choosing versions")
        return " · ".join([*parts, f"{self.seconds:.0f} s"])

    def _report(self, what: str, done: float, total: float) -> None:
        if (done or total) and self._told.get(what) != (done, total):
            self._told[what] = (done, total)
            self._emit.progress(done, total, what)


_UNITS = {"KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def size_of(text: str) -> float:
    """Bytes of a size as uv writes it (`502.2MiB`); 0 where it gives none."""
    found = re.fullmatch(r"([\d.]+)\s?(KiB|MiB|GiB)", text)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0


def size_text(count: float) -> str:
    """Bytes as a person reads them, in powers of ten as disks are sold."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"

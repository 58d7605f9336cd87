"""Raw output of a process → lines: of a progress bar its last state, of an endless line its begin.

Pure: no process, no clock, no I/O.
"""

from __future__ import annotations

import codecs
import re

from remote.contract.long_lines import LONGEST, shortened

BAR_SECONDS = 0.5
"""A progress bar is shown at most this often."""
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class LineSplitter:
    """Of a progress bar's states (`\\r`) only a few a second are kept, and always the last.

    `ansi` says whether escape sequences stay.
    """

    def __init__(self, *, ansi: bool = False) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")("replace").decode
        self._ansi = ansi
        self._rest, self._left_out = "", 0
        self._shown = float("-inf")

    def feed(self, data: bytes, now: float) -> list[str]:
        """The lines that these bytes complete; `now` in seconds, on any clock."""
        *ended, rest = self._decode(data).split("\n")
        lines = []
        for part in ended:
            self._add(part)
            lines.append(self._take())
        self._add(rest)
        return [self._clean(line) for line in [*lines, *self._bar(now)]]

    def close(self) -> list[str]:
        """What was left without a newline."""
        left = self._take()
        return [self._clean(left)] if left else []

    def _add(self, part: str) -> None:
        kept = part[: max(LONGEST - len(self._rest), 0)]
        self._rest += kept
        self._left_out += len(part) - len(kept)

    def _take(self) -> str:
        line, left_out = self._rest.rstrip("\r").rpartition("\r")[2], self._left_out
        self._rest, self._left_out = "", 0
        return shortened(line, left_out, "characters") if left_out else line

    def _bar(self, now: float) -> list[str]:
        """A state of the progress bar that the open line is, now and then."""
        *states, open_state = self._rest.rstrip("\r").split("\r")
        self._rest = open_state + "\r" * self._rest.endswith("\r")
        if not states or now - self._shown < BAR_SECONDS:
            return []
        self._shown = now
        return [state for state in states[-1:] if state]

    def _clean(self, line: str) -> str:
        return line if self._ansi else _ANSI.sub("", line)

"""Split the output of a process into lines: the last state of progress bars, the start of long lines."""

from __future__ import annotations

import codecs
import re

from remote.contract.long_lines import LONGEST, shortened

BAR_SECONDS = 0.5
"""A progress bar is shown at most this often."""
_ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class LineSplitter:
    """Of a progress bar (`\\r`), returns a few states per second, and always the last.

    `ansi`: keep escape sequences.
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
        """The rest without a newline."""
        left = self._take()
        return [self._clean(left)] if left else []

    def _add(self, part: str) -> None:
        added = part[: max(LONGEST - len(self._rest), 0)]
        self._rest += added
        self._left_out += len(part) - len(added)

    def _take(self) -> str:
        line, left_out = self._rest.rstrip("\r").rpartition("\r")[2], self._left_out
        self._rest, self._left_out = "", 0
        return shortened(line, left_out, "characters") if left_out else line

    def _bar(self, now: float) -> list[str]:
        """The current state of a progress bar, at most every `BAR_SECONDS`."""
        *states, open_state = self._rest.rstrip("\r").split("\r")
        self._rest = open_state + "\r" * self._rest.endswith("\r")
        if not states or now - self._shown < BAR_SECONDS:
            return []
        self._shown = now
        return [state for state in states[-1:] if state]

    def _clean(self, line: str) -> str:
        return line if self._ansi else _ANSI.sub("", line)

"""Find a place in a log: a line number, a percentage, or a time of day."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

from tui.store.logs.log_file import LogFile

_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
_DAY = 86_400.0


@dataclass(frozen=True)
class Place:
    """A line of a log."""

    number: int
    """From 0."""
    note: str = ""
    """Why it is the nearest line and not the requested one; empty if it is."""


def find_place(log_file: LogFile, text: str) -> Place | None:
    """The line that `1200`, `40%` or `14:05:30` stands for; None if the text is no place.

    Typed line numbers count from 1; a time is that of the first day of the run on which it comes.
    """
    text = text.strip().replace(",", "").replace("_", "")
    lines, last = log_file.lines, max(0, log_file.lines - 1)
    if text.isdecimal():
        number = int(text[:18])
        nearest = f"there are {lines:,} lines: this is the {'last' if number else 'first'}"
        return Place(max(0, min(number - 1, last)), "" if 1 <= number <= lines else nearest)
    percent = text.removesuffix("%").strip()
    if text.endswith("%") and percent.isdecimal():
        share = int(percent[:9])
        return Place(min(last, last * share // 100), "100% is the last line" if share > 100 else "")
    clock = _CLOCK.fullmatch(text)
    if clock is None or log_file.began is None:
        return None
    hour, minute, second = (int(part or 0) for part in clock.groups())
    if hour > 23 or minute > 59 or second > 59:
        return None
    moment = _next_time(log_file.began, hour, minute, second)
    ended = log_file.line(last).t if lines else None
    is_within = ended is None or moment <= ended
    span = "" if is_within else f"the log goes from {_clock(log_file.began)} to {_clock(ended)}"
    return Place(log_file.number_at(moment), span)


def _next_time(began: float, hour: int, minute: int, second: int) -> float:
    """The first moment at or after `began` at which local clocks show this time (Unix seconds)."""
    day = time.localtime(began)
    moment = time.mktime((day.tm_year, day.tm_mon, day.tm_mday, hour, minute, second, 0, 0, -1))
    return moment if moment >= int(began) else moment + _DAY


def _clock(t: float | None) -> str:
    return time.strftime("%H:%M:%S", time.localtime(t))

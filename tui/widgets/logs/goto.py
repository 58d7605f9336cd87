"""Find a place in a log: a line number, a percentage, or a time of day."""

from __future__ import annotations

import re
import time

from tui.store.logs.log_file import LogFile

_CLOCK = re.compile(r"(\d{1,2}):(\d\d)(?::(\d\d))?")
_DAY = 86_400.0


def find_place(log_file: LogFile, text: str) -> int | None:
    """The number (from 0) of the line that `1200`, `40%` or `14:05:30` stands for, or None.

    Lines are counted from 1 by people; a time is that of the first day of the run on which it comes.
    """
    text = text.strip().replace(",", "").replace("_", "")
    last = max(0, log_file.lines - 1)
    if text.isdecimal():
        return max(0, min(int(text[:18]) - 1, last))
    if text.endswith("%") and text[:-1].strip().isdecimal():
        return min(last, last * int(text[:-1].strip()[:9]) // 100)
    clock = _CLOCK.fullmatch(text)
    if clock is None or log_file.began is None:
        return None
    hour, minute, second = (int(part or 0) for part in clock.groups())
    if hour > 23 or minute > 59 or second > 59:
        return None
    return log_file.number_at(_next_time(log_file.began, hour, minute, second))


def beyond(log_file: LogFile, text: str) -> str:
    """What to say of a place that the log does not reach to; empty for one that it has."""
    text = text.strip().replace(",", "").replace("_", "")
    if text.isdecimal() and (int(text[:18]) > log_file.lines or int(text[:18]) < 1):
        return f"there are {log_file.lines:,} lines: this is the {'last' if int(text[:18]) else 'first'}"
    if text.endswith("%") and text[:-1].strip().isdecimal() and int(text[:-1].strip()[:9]) > 100:
        return "100% is the last line"
    clock = _CLOCK.fullmatch(text)
    last = log_file.line(log_file.lines - 1).t if clock and log_file.lines else None
    if clock is None or last is None or log_file.began is None:
        return ""
    hour, minute, second = (int(part or 0) for part in clock.groups())
    if _next_time(log_file.began, hour, minute, second) <= last:
        return ""
    ended = time.strftime("%H:%M:%S", time.localtime(last))
    return f"the log goes from {time.strftime('%H:%M:%S', time.localtime(log_file.began))} to {ended}"


def _next_time(began: float, hour: int, minute: int, second: int) -> float:
    """The first moment at or after `began` at which local clocks show this."""
    day = time.localtime(began)
    moment = time.mktime((day.tm_year, day.tm_mon, day.tm_mday, hour, minute, second, 0, 0, -1))
    return moment if moment >= int(began) else moment + _DAY

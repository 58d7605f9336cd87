"""Limits on the length of a line of a run's output. Readers keep the start of a longer one."""

from __future__ import annotations

LONGEST = 1_000_000
"""Bytes (or characters) of a line of text that are kept."""
LONGEST_EVENT = 16_000_000
"""Bytes of an event, which is useless in part: a longer one is shown as a line of text."""


def shortened(start: str, left_out: int, unit: str = "bytes") -> str:
    """The start of a line, with a note on how much of it is left out."""
    return f"{start} … {left_out:,} {unit} more are left out"

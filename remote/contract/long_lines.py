"""How long a line of a run's output may be, and how a longer one is shown. Plain data.

A line without an end costs whoever reads it memory and time: every reader keeps its begin and says how much
it leaves out.
"""

from __future__ import annotations

LONGEST = 1_000_000
"""Bytes (or characters) of a line of text that are kept."""
LONGEST_EVENT = 16_000_000
"""Bytes of an event, which is of no use in part: a longer one is shown as a line of text."""


def shortened(begin: str, left_out: int, unit: str = "bytes") -> str:
    """A line of which that much is left out."""
    return f"{begin} … {left_out:,} {unit} more are left out"

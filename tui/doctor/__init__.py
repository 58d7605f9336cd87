"""Checks of the setup of this machine, each with the command that fixes what it finds.

Shown by `tui/screens/doctor.py` and `vfm doctor`.
"""

from tui.doctor.examine import CHECKS, Check, examine
from tui.doctor.finding import SIGNS, Finding, Result, State, Surroundings

__all__ = ["CHECKS", "SIGNS", "Check", "Finding", "Result", "State", "Surroundings", "examine"]

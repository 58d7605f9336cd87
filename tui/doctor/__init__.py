"""What is set up on this machine, and what mends the rest: findings, each by itself.

Owns looking. Where findings are shown is up to `tui/screens/doctor.py` and `vfm doctor`.
"""

from tui.doctor.examine import CHECKS, Check, examine
from tui.doctor.finding import SIGNS, Finding, State, Surroundings

__all__ = ["CHECKS", "SIGNS", "Check", "Finding", "State", "Surroundings", "examine"]

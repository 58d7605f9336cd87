"""What a storm counts, and what it may not find."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

VIOLATIONS = (
    *("lines lost", "lines doubled", "events lost", "events doubled", "records unreadable", "records untrue"),
    *("processes left", "files left", "resumes failed", "canaries found", "unforeseen errors"),
)
WORK = ("runs", "kills", "resumes", "network faults", "lines followed", "inputs", "files searched")


@dataclass
class Report:
    """Counts by name, and a sentence for each violation."""

    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)

    def add(self, what: str, number: int = 1) -> None:
        """So much more of some work."""
        self.counts[what] += number

    def violate(self, what: str, where: str, number: int = 1) -> None:
        """Something that may not be."""
        assert what in VIOLATIONS, what
        self.counts[what] += number
        self.told.append(f"{what}: {where}")

    @property
    def held(self) -> bool:
        """Whether nothing was found that may not be."""
        return not any(self.counts[what] for what in VIOLATIONS)

    def text(self) -> str:
        """The table that is printed, work first."""
        rows = [f"  {what:20} {self.counts[what]:>12,}" for what in (*WORK, *VIOLATIONS)]
        return "\n".join([f"storm, seed {self.seed}:", *rows, *self.told[:40]])

"""The storm: kills, a bad network, odd inputs and planted secrets, and what came of them.

    python -m tests.storm [--minutes 60] [--seed N] [--only kills|network|fuzz|canaries|real_kills]

Prints what was done and what was found, and exits with 1 where something was found that may not be. One seed
makes the same choices; what they meet depends on the machine's speed. Everything happens under a temporary
folder and on 127.0.0.1, and only processes of its own are killed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import sys
import tempfile
import time
import traceback
from pathlib import Path

from tests.storm import canaries, fuzz, kills, network, real_kills
from tests.storm.report import Report

SHARES = (
    *((kills.storm, 0.35), (network.storm, 0.2), (fuzz.storm, 0.15), (canaries.storm, 0.05)),
    (real_kills.storm, 0.25),
)
"""Which part has how much of the time."""
REAL_FROM = 10.0
"""Minutes from which on real trainings are killed too: one takes a minute or two."""


async def storm(minutes: float, seed: int, home: Path, only: str | None = None) -> Report:
    """Every part in turn, each with choices of its own; a part that breaks off is a violation."""
    report = Report(seed)
    parts = [each for each in SHARES if each[0] is not real_kills.storm or minutes >= REAL_FROM]
    if only is not None:
        parts = [each for each in SHARES if each[0].__module__.endswith(f".{only}")]
    whole = sum(share for _, share in parts)
    for number, (part, share) in enumerate(parts):
        deadline = time.monotonic() + minutes * 60 * share / whole
        try:
            await part(random.Random(f"{seed}-{number}"), deadline, home / part.__module__, report)
        except Exception as error:
            traceback.print_exc()
            report.violate(
                "unforeseen errors", f"{part.__module__} broke off: {type(error).__name__}: {error}"
            )
        print(f"{part.__module__}: {dict(report.counts)}", file=sys.stderr, flush=True)
    return report


def main() -> int:
    """See the module's docstring."""
    parser = argparse.ArgumentParser("python -m tests.storm", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--only", choices=[part.__module__.rpartition(".")[2] for part, _ in SHARES])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vfm-storm-") as folder:
        os.environ["VFM_HOME"] = folder
        report = asyncio.run(storm(options.minutes, options.seed, Path(folder), options.only))
    print(report.text())
    return 0 if report.held else 1


if __name__ == "__main__":
    sys.exit(main())

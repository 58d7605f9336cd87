"""Compare our checker with the Berkeley leaderboard's own, answer by answer, and print the numbers.

    python environments/vf_bfcl_single_turn/agreement.py [--fuzz 20000] [--write]

Fetches the original into a temporary folder (`original.py`), judges every entry's reference answer and all
its breakages (`breakages.py`) by both, then random pile-ups of breakages, random questions of one argument
(`made_up.py`), and the committed table of tricky cases. Fails where one verdict differs. Where the original
breaks with an exception it has none: such answers are counted apart. `--write` puts the original's verdicts
into the table.
"""

from __future__ import annotations

import argparse
import ast
import json
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import breakages
import made_up
import original

HERE = Path(__file__).parent
TABLE = HERE / "tests" / "tricky.json"
sys.path.insert(0, str(HERE))

from vf_bfcl_single_turn import entries  # noqa: E402
from vf_bfcl_single_turn.checker import CATEGORIES, check  # noqa: E402


@dataclass
class Tally:
    """How often both checkers said what."""

    judge: original.Judge
    counts: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)

    def compare(self, functions: list[Any], calls: list[Any], truth: list[Any], category: str) -> str:
        """Judge one answer by both and count it; returns the original's verdict."""
        theirs = original_verdict(self.judge, functions, calls, truth, category)
        ours = "accepts" if check(functions, calls, truth, category).valid else "refuses"
        self.counts[theirs] += 1
        if theirs not in (ours, "breaks"):
            self.differences.append(f"original {theirs}, ours {ours}: {category} {calls!r} for {truth!r}")
        return theirs

    def line(self, what: str) -> str:
        """`what` with the counts, as a row of the report."""
        numbers = [sum(self.counts.values()), *(self.counts[v] for v in ("accepts", "refuses", "breaks"))]
        return f"{what:26}" + "".join(f"{n:>9,}" for n in (*numbers, len(self.differences)))


def original_verdict(judge: original.Judge, *answer: Any) -> str:
    """`accepts`, `refuses`, or `breaks` where it raises."""
    try:
        return "accepts" if judge(*answer) else "refuses"
    except Exception:
        return "breaks"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--fuzz", type=int, default=20_000, help="random answers (default 20000)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help="write the original's verdicts into the table")
    options = parser.parse_args()
    began = time.monotonic()
    with original.unpacked() as folder:
        judge = original.load_judge(folder)
        found = [entry for category in CATEGORIES for entry in entries.load(category) if entry.ground_truth]
        head = ("answers", "accepted", "refused", "broke", "differ")
        print(f"{'':26}" + "".join(f"{word:>9}" for word in head))
        differences = _references(judge)
        differences += _breakages(judge, found)
        differences += _fuzz(judge, found, options.fuzz, options.seed)
        differences += _made_up(judge, options.fuzz, options.seed)
        differences += _tricky(judge, options.write)
    print(f"\n{len(differences)} differences, {time.monotonic() - began:.0f} s")
    for difference in differences[:20]:
        print(f"  {difference}")
    return 1 if differences else 0


def _references(judge: original.Judge) -> list[str]:
    differences = []
    for category in CATEGORIES:
        tally = Tally(judge)
        for entry in entries.load(category):
            if entry.ground_truth:
                calls = breakages.reference(entry.functions, entry.ground_truth)
                tally.compare(entry.functions, calls, entry.ground_truth, category)
        if tally.counts:
            print(tally.line(category))
        differences += tally.differences
    return differences


def _breakages(judge: original.Judge, found: list[entries.Entry]) -> list[str]:
    differences = []
    for name, kind in breakages.KINDS.items():
        tally = Tally(judge)
        for entry in found:
            calls = breakages.reference(entry.functions, entry.ground_truth)
            for broken in kind(calls, entry.functions, entry.ground_truth):
                tally.compare(entry.functions, broken, entry.ground_truth, entry.category)
        print(tally.line(name.replace("_", " ")))
        differences += tally.differences
        if name in breakages.ALWAYS_WRONG and tally.counts["accepts"]:
            differences.append(f"{name} was accepted {tally.counts['accepts']} times")
    return differences


def _fuzz(judge: original.Judge, found: list[entries.Entry], count: int, seed: int) -> list[str]:
    chance, tally = random.Random(seed), Tally(judge)
    for _ in range(count):
        entry = chance.choice(found)
        calls = breakages.reference(entry.functions, entry.ground_truth)
        calls = breakages.fuzzed(calls, entry.functions, entry.ground_truth, chance)
        tally.compare(entry.functions, calls, entry.ground_truth, entry.category)
    print(tally.line(f"at random (seed {seed})"))
    return tally.differences


def _made_up(judge: original.Judge, count: int, seed: int) -> list[str]:
    chance, tally = random.Random(seed), Tally(judge)
    for _ in range(count):
        tally.compare(*made_up.question(chance))
    print(tally.line(f"made up (seed {seed})"))
    return tally.differences


def _tricky(judge: original.Judge, write: bool) -> list[str]:
    cases, tally = json.loads(TABLE.read_text()), Tally(judge)
    stale = []
    for case in cases:
        calls = ast.literal_eval(case["calls"])
        theirs = tally.compare(case["functions"], calls, case["ground_truth"], case["category"])
        if write:
            case["original"] = theirs
        elif case["original"] != theirs:
            stale.append(f"the table says that the original {case['original']}: {case['what']}")
    if write:
        TABLE.write_text(json.dumps(cases, indent=1, ensure_ascii=False) + "\n")
    print(tally.line("the tricky table"))
    return tally.differences + stale


if __name__ == "__main__":
    sys.exit(main())

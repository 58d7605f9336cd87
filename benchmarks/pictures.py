"""The README's curves, from real runs: `.venv/bin/python -m benchmarks.pictures RUN_DIR…`.

Writes `docs/curves.svg` (reward of each step and held-out score, a line a run). Pictures of the app are
`screens.py`'s.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from benchmarks.common import PROJECT

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 760, 300, 50, 40, 20, 120
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")  # Okabe and Ito's, told apart by most eyes
DASHES = ("", "6 3", "2 3", "8 3 2 3")
HIGHEST = 0.9


def metrics(run_dir: Path) -> dict[int, dict[str, float]]:
    """Step → its numbers."""
    found: dict[int, dict[str, float]] = {}
    for line in (run_dir / "events.jsonl").read_text().splitlines():
        event = json.loads(line)
        if event["type"] == "metrics":
            found.setdefault(event["step"], {}).update(event["values"])
    return found


def place(step: float, value: float, steps: int) -> tuple[float, float]:
    """A point of the chart in the picture."""
    x = LEFT + (WIDTH - LEFT - RIGHT) * step / steps
    return x, HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / HIGHEST


def curves(runs: list[Path]) -> str:
    """The chart: training reward as lines, held-out score as rings at its steps."""
    found = [metrics(run) for run in runs]
    steps = max(max(rows) for rows in found)
    parts = [*axes(steps)]
    for index, rows in enumerate(found):
        seed = json.loads((runs[index] / "spec.json").read_text())["spec"]["training"]["seed"]
        parts += line_of(rows, steps, index, f"seed {seed}")
    style = "font:12px sans-serif;background:#ffffff"
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" style="{style}">'
    return "\n".join([head, f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>', *parts, "</svg>"])


def axes(steps: int) -> Iterable[str]:
    """Grid and names."""
    for tick in range(0, 9, 2):
        x, y = place(0, tick / 10, steps)
        yield f'<path d="M{x} {y}H{WIDTH - RIGHT}" stroke="#dddddd"/>'
        label = f"{tick / 10:.1f}"
        yield f'<text x="{x - 8}" y="{y + 4}" text-anchor="end" fill="#444444">{label}</text>'
    for tick in range(0, steps + 1, 6):
        x, y = place(tick, 0, steps)
        yield f'<text x="{x}" y="{y + 18}" text-anchor="middle" fill="#444444">{tick}</text>'
    x, y = place(steps / 2, 0, steps)
    yield f'<text x="{x}" y="{y + 34}" text-anchor="middle" fill="#444444">optimiser step</text>'
    title = "mean reward: lines, training; rings, held-out letters"
    yield f'<text x="{LEFT}" y="14" fill="#444444">{title}</text>'


def line_of(rows: dict[int, dict[str, float]], steps: int, index: int, name: str) -> Iterable[str]:
    """One run."""
    colour, dash = COLOURS[index % 4], DASHES[index % 4]
    points = [place(s, v["reward"], steps) for s, v in sorted(rows.items()) if "reward" in v]
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    stroke = f'stroke="{colour}" stroke-width="2"'
    yield f'<polyline points="{path}" fill="none" {stroke} stroke-dasharray="{dash}"/>'
    for step, values in rows.items():
        if "eval/total" in values:
            x, y = place(step, values["eval/total"], steps)
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="#ffffff" {stroke}/>'
    y = TOP + 20 + 20 * index
    yield f'<path d="M{WIDTH - RIGHT + 12} {y}h24" {stroke} stroke-dasharray="{dash}"/>'
    yield f'<text x="{WIDTH - RIGHT + 42}" y="{y + 4}" fill="#222222">{name}</text>'


def main(arguments: list[str]) -> None:
    """Write the picture, and print the numbers behind it."""
    runs = [Path(name) for name in arguments]
    docs = PROJECT / "docs"
    docs.mkdir(exist_ok=True)
    (docs / "curves.svg").write_text(curves(runs) + "\n")
    for run in runs:
        rows: dict[int, dict[str, Any]] = metrics(run)
        scores = {step: round(v["eval/total"], 3) for step, v in rows.items() if "eval/total" in v}
        rewards = [round(v["reward"], 3) for _, v in sorted(rows.items()) if "reward" in v]
        print(f"{run.name}: held-out {scores}; reward {rewards[0]} → {sum(rewards[-5:]) / 5:.3f} (last 5)")


if __name__ == "__main__":
    main(sys.argv[1:])

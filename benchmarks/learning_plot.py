"""Learning curves as SVG: a line for the training reward of each run, rings for its held-out scores.

Owns the picture alone; `learning.py` has the numbers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

WIDTH, HEIGHT = 760, 300
LEFT, RIGHT, TOP, BOTTOM = 50, 640, 20, 260
COLOURS = ("#1f77b4", "#d95f02", "#1b9e77", "#7570b3", "#e7298a", "#666666")
GREY = "#444444"
_STEPS = (0.05, 0.1, 0.2, 0.25, 0.5, 1.0, 2.0, 5.0)


@dataclass(frozen=True)
class Curve:
    """One run: (step, value) pairs."""

    name: str
    training: Sequence[tuple[int, float]]
    held_out: Sequence[tuple[int, float]]


def draw(curves: Sequence[Curve]) -> str:
    """The picture, readable on light and dark pages alike."""
    last = max(step for curve in curves for step, _ in (*curve.training, *curve.held_out))
    top = max(value for curve in curves for _, value in (*curve.training, *curve.held_out)) * 1.05 or 1.0
    area = _Area(last, top)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'style="font:12px sans-serif;background:#ffffff">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#ffffff"/>',
            *area.axes(),
            *(part for place, curve in enumerate(curves) for part in area.curve(curve, place)),
            "</svg>\n",
        ]
    )


@dataclass(frozen=True)
class _Area:
    """Steps 0 to `last` and values 0 to `top`, as places of the picture."""

    last: int
    top: float

    def x(self, step: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * step / max(self.last, 1), 1)

    def y(self, value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * value / self.top, 1)

    def axes(self) -> Iterator[str]:
        tick = next((step for step in _STEPS if self.top / step <= 6), 10.0)
        for count in range(int(self.top / tick) + 1):
            y = self.y(count * tick)
            yield f'<path d="M{LEFT} {y}H{RIGHT}" stroke="#dddddd"/>'
            yield _text(LEFT - 8, y + 4, f"{count * tick:g}", "end")
        for step in range(0, self.last + 1, max(1, math.ceil(self.last / 6))):
            yield _text(self.x(step), BOTTOM + 18, str(step))
        yield _text((LEFT + RIGHT) / 2, BOTTOM + 34, "optimiser step")
        yield _text(LEFT, 14, "mean reward: lines, training; rings, held-out tasks", "start")

    def curve(self, curve: Curve, place: int) -> Iterator[str]:
        colour = COLOURS[place % len(COLOURS)]
        points = " ".join(f"{self.x(step)},{self.y(value)}" for step, value in curve.training)
        yield f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>'
        for step, value in curve.held_out:
            at = f'cx="{self.x(step)}" cy="{self.y(value)}"'
            yield f'<circle {at} r="5" fill="#ffffff" stroke="{colour}" stroke-width="2"/>'
        yield _text(RIGHT + 14, TOP + 16 * place + 10, curve.name, "start", colour)


def _text(x: float, y: float, said: str, anchor: str = "middle", colour: str = GREY) -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" fill="{colour}">{said}</text>'

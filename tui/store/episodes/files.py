"""Files of episodes: their names, a row for each line, whole episodes. Pure; tolerates damaged lines."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from remote.contract import layout
from remote.contract.json_text import from_json

FIRST_WORDS = 160
"""Characters of the first reply that a row keeps."""
_EVALUATION = PurePosixPath(layout.EVALUATION_EPISODES).parts
_STEP = re.compile(r"(step|held-out)-(\d+)\.jsonl")


@dataclass(frozen=True)
class EpisodeFile:
    """One file of episodes."""

    path: str
    """Within the volume."""
    label: str
    """`step 12`, `held-out, step 12`, `evaluation`."""
    order: tuple[int, int]
    """Later files sort higher."""
    size: int
    """Bytes."""


@dataclass(frozen=True)
class EpisodeRow:
    """An episode in a list, and the place of its line in the file."""

    offset: int
    size: int
    """Bytes, without the newline."""
    task: str = ""
    reward: float | None = None
    """None where the episode failed."""
    turns: int = 0
    """The model's replies."""
    first: str = ""
    """The first words of its first reply."""
    error: str = ""


@dataclass(frozen=True)
class Episode:
    """A whole episode."""

    task: str = ""
    messages: list[dict[str, Any]] = field(default_factory=list)
    rewards: dict[str, float] = field(default_factory=dict)
    reward: float | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    advantage: float | None = None
    error: str = ""


def episode_file(path: str, size: int) -> EpisodeFile | None:
    """The file of episodes at a path; None for other files."""
    name = PurePosixPath(path)
    if found := _STEP.fullmatch(name.name):
        step, held_out = int(found.group(2)), found.group(1) == "held-out"
        label = f"held-out, step {step}" if held_out else f"step {step}"
        return EpisodeFile(path, label, (step, int(held_out)), size)
    # Beside them are verifiers' own traces, in another format.
    if name.parts[-2:] == _EVALUATION:
        return EpisodeFile(path, "evaluation", (1 << 60, 0), size)
    return None


def index(data: bytes, base: int = 0) -> list[EpisodeRow]:
    """A row for each whole line of bytes from offset `base`."""
    rows, start = [], 0
    while (end := data.find(b"\n", start)) >= 0:
        if data[start:end].strip():
            rows.append(_row(data[start:end], base + start))
        start = end + 1
    return rows


def read_episode(line: bytes) -> Episode:
    """The episode of a line; a damaged line gives an episode with an error."""
    try:
        data = from_json(line)
    except ValueError as damage:
        return Episode(error=f"this line is damaged: {damage}")
    if not isinstance(data, dict):
        return Episode(error="this line is no episode")
    error = data.get("error")
    return Episode(
        task=str(data.get("task", "")),
        messages=[m for m in _list(data.get("messages")) if isinstance(m, dict)],
        rewards=_numbers(data.get("rewards")),
        reward=None if error else _reward(data),
        metrics=_numbers(data.get("metrics")),
        advantage=_number(data.get("advantage")),
        error="" if error is None else str(error),
    )


def ordered(rows: Iterable[EpisodeRow], *, best_first: bool) -> list[EpisodeRow]:
    """By reward; failed ones last in either order."""
    sign = -1.0 if best_first else 1.0

    def place(row: EpisodeRow) -> tuple[bool, float, int]:
        known = row.reward is not None and not math.isnan(row.reward)
        return not known, sign * (row.reward or 0.0) if known else 0.0, row.offset

    return sorted(rows, key=place)


def text_of(content: Any) -> str:
    """A message's content as text: a string, or the text of its parts."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(_part(part) for part in content)
    return json.dumps(content, ensure_ascii=False, indent=2)


def _part(part: Any) -> str:
    if isinstance(part, dict) and isinstance(part.get("text"), str):
        return str(part["text"])
    if isinstance(part, dict) and "type" in part:
        return f"({part['type']})"
    return str(part)


def _row(line: bytes, offset: int) -> EpisodeRow:
    episode = read_episode(line)
    replies = [m for m in episode.messages if m.get("role") == "assistant"]
    first = next((words for m in replies if (words := " ".join(text_of(m.get("content")).split()))), "")
    return EpisodeRow(
        offset=offset,
        size=len(line),
        task=episode.task,
        reward=episode.reward,
        turns=len(replies),
        first=first[:FIRST_WORDS],
        error=episode.error,
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _reward(data: Mapping[str, Any]) -> float | None:
    """The total reward; null means not finite. None where there is none."""
    return math.nan if data.get("reward", ...) is None else _number(data.get("reward"))


def _number(value: Any) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _numbers(value: Any) -> dict[str, float]:
    if not isinstance(value, dict):
        return {}
    numbers = {str(k): math.nan if v is None else _number(v) for k, v in value.items()}
    return {name: number for name, number in numbers.items() if number is not None}

"""Layout of an episode: its reward, part by part, and the conversation. Pure functions.

Control characters and markup of a conversation are shown as text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from typing import Any

from rich.cells import cell_len
from textual.content import Content

from remote.contract.json_text import from_json
from tui.store.episodes.files import Episode, EpisodeRow, text_of
from tui.text.format import escape_controls, fit, named, number, pad, plain

LONGEST = 20_000
"""Characters of one message that are shown; a copy has all."""
LONGEST_ALL = 100_000
"""Characters of a conversation that are laid out."""
ROLES = {"system": "$text-muted", "user": "$secondary", "assistant": "$primary", "tool": "$accent"}
_KNOWN = {"role", "content", "tool_calls", "tool_call_id", "name", "reasoning_content", "reasoning"}
_SHORT_CALL = 60
_BAR = 6
_FIGURE = 9  # cells of a number that stands in no column
_MUTED, _FAINT = "$text-muted", "$text-disabled"


# --- a row of the list -------------------------------------------------------------------------------


def row_text(episode: EpisodeRow, low: float, high: float, task_width: int, turns: bool) -> Content:
    """`0.050 ■■■··· faint  2 turns  first words`; the bar is relative to the step's worst and best reward.

    `turns`: whether to show the number of turns.
    """
    if episode.reward is None:
        head = Content.styled(f"{'✗':>7} {'failed':<{_BAR}}", "$error")
    else:
        head = Content.styled(f"{_figure(episode.reward, 7, 3)} ", "bold")
        head += reward_bar(episode.reward, low, high)
    task = Content(f" {fit(episode.task, task_width)}")
    if turns:
        task += Content.styled(f"{episode.turns:>2} {'turn ' if episode.turns == 1 else 'turns'} ", _MUTED)
    line = plain(episode.error.splitlines()[0] if episode.error else episode.first)
    return head + task + " " + Content.styled(line, "$error" if episode.error else _MUTED)


def reward_bar(reward: float, low: float, high: float, cells: int = _BAR) -> Content:
    """A reward relative to others: empty for the lowest, full for the highest."""
    full = _cells(1.0 if high <= low else (reward - low) / (high - low), cells)
    return Content.styled("■" * full, "$success") + Content.styled("·" * (cells - full), _FAINT)


def _figure(value: float, width: int, digits: int, sign: str = "") -> str:
    """A number of a column's width, with fewer digits where it is too long."""
    forms = [f"{value:{sign}.{digits}f}", *(f"{value:{sign}.{few}g}" for few in (4, 3, 2, 1))]
    room = width or _FIGURE
    return next((form for form in forms if len(form) <= room), forms[-1]).rjust(width)


# --- what it was worth -------------------------------------------------------------------------------


def worth(episode: Episode, width: int) -> list[Content]:
    """The reward, its parts in columns, and other metrics."""
    total = Content.styled("reward ", _MUTED)
    total += Content.styled(
        "none" if episode.reward is None else _figure(episode.reward, 0, 4), "bold $accent"
    )
    if episode.advantage is not None:
        total += Content.styled("   advantage ", _MUTED) + Content.styled(
            _figure(episode.advantage, 0, 4, "+"), "bold"
        )
    lines = [Content.styled(plain(episode.task), "bold") + "   " + total]
    lines += _columns(episode.rewards, width)
    if episode.metrics:
        metrics = [f"{named(name)} {number(value)}" for name, value in episode.metrics.items()]
        lines.append(Content.styled(" · ".join(metrics), _MUTED).truncate(width, ellipsis=True))
    if episode.error:
        lines += [Content.styled(f"✗ {plain(line)}", "$error") for line in episode.error.splitlines()]
    return lines


def _columns(parts: dict[str, float], width: int) -> list[Content]:
    """Name, value and a bar, in as many columns as fit."""
    if not parts:
        return []
    names = max(cell_len(named(name)) for name in parts)
    most = max(max(map(abs, parts.values())), 1e-9)
    cells = [_worth_of(name, value, names, most) for name, value in parts.items()]
    columns = max(1, min(3, (width + 3) // (cells[0].cell_length + 3)))
    rows = -(-len(cells) // columns)
    return [Content("   ").join(cells[at::rows]).truncate(width, ellipsis=True) for at in range(rows)]


def _worth_of(name: str, value: float, width: int, most: float) -> Content:
    full = _cells(abs(value) / most, _BAR)
    filled = Content.styled("■" * full, "$success" if value >= 0 else "$error")
    text = Content(pad(named(name), width))
    text += Content.styled(f" {_figure(value, 8, 4)} ", "bold" if value else _FAINT)
    return text + filled + Content.styled("·" * (_BAR - full), _FAINT)


def _cells(share: float, cells: int) -> int:
    """Number of filled cells; 0 if the reward is not finite."""
    return round(max(0.0, min(share, 1.0)) * cells) if math.isfinite(share) else 0


# --- the conversation --------------------------------------------------------------------------------


def conversation(messages: Sequence[dict[str, Any]], width: int) -> Content:
    """Every message with its role, and a bar in the colour of the role."""
    names = {str(call.get("id")): _name(call) for m in messages for call in _calls(m)}
    lines: list[Content] = []
    turn = shown = 0
    for at, message in enumerate(messages):
        if shown > LONGEST_ALL:
            rest = f"… {len(messages) - at:,} more messages: y copies the whole episode"
            return Content("\n").join([*lines, Content.styled(rest, _FAINT)])
        role = str(message.get("role", "?"))
        turn += role == "assistant"
        laid_out = list(_message(message, role, turn, names, max(width, 10)))
        shown += sum(map(len, laid_out))
        lines += [*laid_out, Content("")]
    return Content("\n").join(lines[:-1])


def _message(
    message: dict[str, Any], role: str, turn: int, names: dict[str, str], width: int
) -> Iterator[Content]:
    colour = ROLES.get(role, "$foreground")
    edge = Content.styled("▌ ", colour)
    title = Content.styled(plain(role), f"bold {colour}")
    if role == "assistant":
        title += Content.styled(f"  turn {turn}", _FAINT)
    answered = names.get(str(message.get("tool_call_id")), message.get("name"))
    if answered:
        title += Content.styled(f"  {plain(str(answered))}", _MUTED)
    yield edge + title
    for text, style in _said(message, role):
        for line in _wrapped(text, width - 2):
            yield edge + Content.styled(line, style)


def _said(message: dict[str, Any], role: str) -> Iterator[tuple[str, str]]:
    """(text, style) of the content, tool calls and other fields of a message."""
    thought = text_of(message.get("reasoning_content") or message.get("reasoning"))
    if thought:
        yield thought, f"italic {_MUTED}"
    text = text_of(message.get("content"))
    if text:
        yield (_pretty(text) if role == "tool" else text), (_MUTED if role == "system" else "")
    elif not thought and not _calls(message):
        yield "(nothing)", _FAINT
    for call in _calls(message):
        yield f"⚙ {_call(call)}", "$accent"
    for key, value in message.items():
        if key not in _KNOWN and value not in (None, [], {}, ""):
            yield (
                f"{key}: {value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)}",
                _FAINT,
            )


def _calls(message: dict[str, Any]) -> list[dict[str, Any]]:
    calls = message.get("tool_calls")
    return [call for call in calls if isinstance(call, dict)] if isinstance(calls, list) else []


def _function(call: dict[str, Any]) -> dict[str, Any]:
    function = call.get("function")
    return function if isinstance(function, dict) else call


def _name(call: dict[str, Any]) -> str:
    return str(_function(call).get("name", "?"))


def _call(call: dict[str, Any]) -> str:
    """`guess(word="crane")` where it is short, else the arguments as indented JSON."""
    given = _function(call).get("arguments")
    if isinstance(given, str):
        try:
            given = from_json(given)
        except ValueError:
            return f"{_name(call)} {given}"
    if isinstance(given, dict):
        short = ", ".join(f"{k}={json.dumps(v, ensure_ascii=False)}" for k, v in given.items())
        if len(short) <= _SHORT_CALL and not any(isinstance(v, dict | list) for v in given.values()):
            return f"{_name(call)}({short})"
    return f"{_name(call)} {json.dumps(given, ensure_ascii=False, indent=2)}"


def _pretty(text: str) -> str:
    """JSON, indented; other text unchanged."""
    if text.lstrip()[:1] not in ("{", "["):
        return text
    try:
        return json.dumps(from_json(text), ensure_ascii=False, indent=2)
    except ValueError:
        return text


def _wrapped(text: str, width: int) -> Iterator[str]:
    cut = len(text) - LONGEST
    for line in text[:LONGEST].split("\n"):
        safe = escape_controls(line).expandtabs(4)
        if not safe.strip():
            yield ""
            continue
        indent = cell_len(safe) - cell_len(safe.lstrip())
        for at, piece in enumerate(Content(safe.lstrip()).wrap(max(width - indent, 8))):
            yield " " * indent + piece.plain if at == 0 or indent < width // 2 else piece.plain
    if cut > 0:
        yield f"… {cut:,} more characters: y copies the whole episode"


def as_text(episode: Episode) -> str:
    """The episode as plain text."""
    parts = [f"task {episode.task}   reward {episode.reward}"]
    parts += [f"  {name} {value}" for name, value in episode.rewards.items()]
    for message in episode.messages:
        body = [text_of(message.get("content"))] if message.get("content") else []
        body += [f"⚙ {_call(call)}" for call in _calls(message)]
        parts.append(f"\n[{message.get('role', '?')}]\n" + "\n".join(body))
    return "\n".join(parts) + "\n"

"""Previews of text: logs, JSON, YAML, and JSON lines as conversations. Pure.

Each takes the first bytes of a file (of a log the last), and warns of what it could not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from remote.contract.json_text import from_json
from tui.store.files.model import MAX_LINES, Damaged, Line, Lines, Look, Preview, clean, lines_of

_TURNS = ("messages", "prompt", "completion")
_INDENT = 2
_NOTED = ("step", "task", "reward", "rewards", "metrics", "error")


def decode(data: bytes) -> tuple[str, tuple[str, ...]]:
    """The bytes as text, and a warning where some are not UTF-8."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace"), ()
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
    # A file that is cut in the middle of a letter is not damaged.
    bad = text[:-1].count("\ufffd") - data.count("\ufffd".encode())
    return text, (f"not all of it is UTF-8: {bad:,} places are shown as \ufffd",) if bad > 0 else ()


def text(data: bytes, kind: str = "text", look: Look = "terminal", *, bars: bool = True) -> Preview:
    """Preview lines. Without `bars` (a log's), `\\r` ends a line where the file has no newline."""
    found, warnings = decode(data)
    if not bars and "\n" not in found:
        found = found.replace("\r", "\n")
    return Preview(kind, Lines(lines_of(found, look)), warnings=warnings)


def yaml(data: bytes) -> Preview:
    """Preview YAML as it is written, comments included."""
    return text(data, "YAML", "yaml")


def document(data: bytes) -> Preview:
    """Preview one JSON document, indented. Raises `Damaged`."""
    found, warnings = decode(data)
    _parse(found)
    return Preview("JSON", Lines(lines_of(laid_out(found), "json")), warnings=warnings)


def records(data: bytes, whole: bool) -> Preview:
    """Preview JSON lines: each as a conversation, or indented. A last one that is cut off is left out."""
    found, warnings = decode(data)
    notes: tuple[str, ...] = ()
    rows = found.split("\n")
    if not whole:
        rows.pop()
    rows = [row for row in rows if row.strip()]
    if not rows and not whole:
        raise Damaged(f"the first record is longer than {len(data) // 1024} KiB")
    lines: list[Line] = []
    bad = 0
    for number, row in enumerate(rows, 1):
        try:
            lines += _record(number, _parse(row), row)
        except Damaged as error:
            bad += 1
            lines += [Line(f"{number} · {error}", "heading"), Line(clean(row), "plain"), Line("")]
        if len(lines) > MAX_LINES:
            notes = (f"the first {number:,} records",)
            break
    if bad:
        warnings += (f"{bad:,} of {len(rows):,} lines are not JSON",)
    kind = f"JSON lines, {len(rows):,} record{'s' * (len(rows) != 1)}{'' if whole else ' and more'}"
    return Preview(kind, Lines(lines, wrap=True), notes, warnings)


def _record(number: int, record: Any, row: str) -> Iterator[Line]:
    turns = [turn for key in _TURNS for turn in _messages(record, key)]
    yield Line(f"{number}{_summary(record)}", "heading")
    if turns:
        for turn in turns:
            yield from _turn(turn)
        rest = _pretty({key: value for key, value in record.items() if key not in _TURNS})
    else:
        rest = laid_out(row)
    yield from lines_of(rest, "json")
    yield Line("")


def _messages(record: Any, key: str) -> list[Mapping[str, Any]]:
    found = record.get(key) if isinstance(record, dict) else None
    ours = isinstance(found, list) and all(isinstance(turn, dict) and "role" in turn for turn in found)
    return found if ours and found else []


def _summary(record: Any) -> str:
    """A record's kind and some of its values, for its heading."""
    if not isinstance(record, dict):
        return ""
    kind = record.get("type") or record.get("kind")
    parts = [str(kind)] if isinstance(kind, str) else []
    parts += [f"{key} {_short(record[key])}" for key in _NOTED if _is_plain(record.get(key))]
    return "".join(f" · {clean(part, 60)}" for part in parts)


def _is_plain(value: Any) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value).replace("\n", " ")


def _turn(turn: Mapping[str, Any]) -> Iterator[Line]:
    yield Line(clean(str(turn["role"]), 60), "role")
    content = turn.get("content")
    parts = content if isinstance(content, list) else [content]
    for part in parts:
        shown = part.get("text") if isinstance(part, dict) and "text" in part else part
        if shown not in (None, ""):
            yield from lines_of(shown if isinstance(shown, str) else _pretty(shown), indent=_INDENT)
    rest = {k: v for k, v in turn.items() if k not in ("role", "content") and v}
    if rest:
        yield from lines_of(_pretty(rest), "json", _INDENT)


_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def laid_out(text: str) -> str:
    """Indent JSON text, a line for each value; numbers, duplicate keys and escapes stay as they are."""
    parts: list[str] = []
    depth, tokens = 0, _TOKEN.findall(text)
    for at, token in enumerate(tokens):
        before = tokens[at - 1] if at else ""
        if token in "}]":
            depth -= 1
        if at and token not in ",:" and before != ":" and not (before in ("{", "[") and token in "}]"):
            parts.append("\n" + "  " * depth)
        parts.append(token + " " * (token == ":"))
        if token in "{[":
            depth += 1
    return "".join(parts)


def _parse(found: str) -> Any:
    try:
        return from_json(found)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise Damaged(f"not valid JSON: {error.msg} ({where}column {error.colno})") from error
    except (ValueError, RecursionError) as error:
        raise Damaged(f"not readable as JSON: {error}") from error


def _pretty(value: Any) -> str:
    try:
        return json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"nested too deeply to show: {error}") from error

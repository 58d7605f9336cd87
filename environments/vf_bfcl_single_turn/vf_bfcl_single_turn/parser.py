"""Which calls a reply makes: native tool calls, or calls written as text in Python or JSON.

Owns finding them. Every call that a reply makes counts, so that none can be offered beside another; what
the calls are worth is `scoring`'s. Python itself is read by `literals`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from vf_bfcl_single_turn import literals

Calls = list[dict[str, Any]]

_THOUGHT = re.compile(r"\A.*</think>|<think>.*", re.DOTALL)
_FENCED = re.compile(r"```[\w-]*\n?(.*?)```|<tool_?call>(.*?)</tool_?call>", re.DOTALL | re.IGNORECASE)
_BRACKET = re.compile(r"[\[{]")
_ARGUMENTS = ("arguments", "parameters", "args")
_MOST_BRACKETS = 100
"""Brackets of a reply at which a list of calls is looked for: each may be read to the end of the reply."""


@dataclass(frozen=True)
class Reply:
    """The calls that a reply makes."""

    calls: Calls
    """`{name: {argument: value}}` each; arguments that cannot be read are None."""
    form: float
    """How cleanly they are written: 1, nothing else is there; 0.5, found among other words; 0, no calls."""


def read(text: str, tool_calls: Iterable[tuple[str, str]] = ()) -> Reply:
    """The calls of a reply: its native `(name, arguments as JSON)` ones, else those that its text makes."""
    native: Calls = [{name: _arguments(arguments)} for name, arguments in tool_calls]
    return Reply(native, 1.0) if native else read_text(text)


def read_text(text: str) -> Reply:
    """The calls that are written in a text; what a model thinks before it answers does not count."""
    text = _THOUGHT.sub("", text).strip()
    whole = _read(text)
    if whole is not None:
        return Reply(whole, 1.0 if whole else 0.0)
    found = list(_among_other_words(text)) or _read(_bracketed(text)) or []
    return Reply(found, 0.5 if found else 0.0)


def _among_other_words(text: str) -> Iterator[dict[str, Any]]:
    for match in _FENCED.finditer(text):
        part = match[1] or match[2] or ""
        calls = _read(part)
        yield from _search(part) if calls is None else calls
    yield from _search(_FENCED.sub("\n", text))


def _bracketed(text: str) -> str:
    """The text with a bracket that a list of calls lacks at one of its ends."""
    return f"{'' if text.startswith('[') else '['}{text}{'' if text.endswith(']') else ']'}"


def _search(text: str) -> Iterator[dict[str, Any]]:
    """The calls among other words: lists and objects in brackets, and lines that are a call."""
    after, tried, rest = 0, 0, []
    for match in _BRACKET.finditer(text):
        start = match.start()
        if start < after or tried == _MOST_BRACKETS:
            continue
        tried += 1
        end = _end(text, start)
        calls = _read(text[start:end]) if end is not None else None
        if calls and end is not None:
            yield from calls
            rest.append(text[after:start])
            after = end
    for line in "\n".join((*rest, text[after:])).splitlines():
        yield from literals.read_calls(line.strip(" \t`*-;")) or []


def _end(text: str, start: int) -> int | None:
    """Where the bracket that opens at `start` is closed again; brackets in strings do not count."""
    depth, quote, place = 0, "", start
    while place < len(text):
        sign = text[place]
        if quote:
            if sign == "\\":
                place += 1
            elif sign == quote:
                quote = ""
        elif sign in "\"'":
            quote = sign
        elif sign in "[{(":
            depth += 1
        elif sign in ")}]":
            depth -= 1
            if depth == 0:
                return place + 1
        place += 1
    return None


def _read(text: str) -> Calls | None:
    """The calls that a text is, as a whole; None where it is anything else."""
    text = text.strip()
    try:
        written = json.loads(text)
    except (ValueError, RecursionError):
        return literals.read_calls(text)
    return _objects(written)


def _objects(written: Any) -> Calls | None:
    """The calls that a JSON value is: an object, or a list of objects."""
    if isinstance(written, Mapping) and isinstance(written.get("tool_calls"), list):
        written = written["tool_calls"]
    calls = [_object(entry) for entry in (written if isinstance(written, list) else [written])]
    found = [call for call in calls if call is not None]
    return found if len(found) == len(calls) else None


def _object(written: Any) -> dict[str, Any] | None:
    """`{"name": f, "arguments": {…}}` and its like, OpenAI's `{"function": {…}}`, or `{f: {…}}`."""
    if not isinstance(written, Mapping):
        return None
    inner = written.get("function")
    if isinstance(inner, Mapping) and "name" in inner:
        return _object(inner)
    name = written.get("name", inner)
    key = next((key for key in _ARGUMENTS if key in written), None)
    if isinstance(name, str) and key is not None:
        return {name: _arguments(written[key])}
    if len(written) == 1 and isinstance(next(iter(written.values())), Mapping):
        return {str(name): dict(arguments) for name, arguments in written.items()}
    return None


def _arguments(written: Any) -> dict[str, Any] | None:
    """A call's arguments, which may be JSON within JSON; None where they cannot be read."""
    if isinstance(written, str):
        try:
            written = json.loads(written or "{}")
        except (ValueError, RecursionError):
            return None
    return dict(written) if isinstance(written, Mapping) else None

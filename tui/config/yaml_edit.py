"""A value put into a config's text, or taken out, with every other character left as it is.

Owns where in the text a change goes: PyYAML's marks say where each value stands, so that comments,
order, quotes and layout stay. It does not judge the outcome: save reads it again.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tui.config.field_text import number
from tui.config.overrides import spell
from tui.config.problems import ConfigProblems, refuse
from tui.config.yaml_files import Key, compose

_STEP = 2  # columns that a section is indented by, where the file does not say
_NAME = "the config"
_DOCUMENT_END = re.compile(r"^\.\.\.(?=\s|$)", re.MULTILINE)


def put(text: str, key: Key, value: Any) -> str:
    """The text with a key set. Raises `ConfigProblems` where the file's form does not allow it."""
    root = compose(text, _NAME)
    if root is None:
        return _append(text, key, value)
    node = root
    for depth, part in enumerate(key):
        found = _entry(node, part)
        rest = key[depth + 1 :]
        if found is None:
            return _insert(text, node, root, key[depth:], value)
        if not rest:
            return _replace(text, *found, value)
        if _is_alias(*found):
            raise refuse(f"{'.'.join(key[: depth + 1])} is an alias of another part of the file")
        if found[1].id != "mapping":
            return _replace_by_mapping(text, *found, rest, value)
        node = found[1]
    return text


def drop(text: str, key: Key) -> str:
    """The text without a key; as it is where there is no such key."""
    parent, node = None, compose(text, _NAME)
    for part in key[:-1]:
        parent = _entry(node, part) if node is not None else None
        if parent is None or parent[1].id != "mapping" or _is_alias(*parent):
            return text
        node = parent[1]
    found = _entry(node, key[-1])
    if found is None:
        return text
    if len(node.value) == 1 and parent is not None:
        return _replace(text, *parent, {})
    return _cut_flow(text, node, found) if node.flow_style else _cut_lines(text, found)


def written(value: Any, style: str | None = None, *, flow: bool = False) -> str:
    """A value as YAML on one line, text in the quotes that stood there before."""
    if isinstance(value, str):
        return _text(value, style, flow)
    if isinstance(value, float):
        short = number(value)
        return short if any(c in short for c in ".e") else f"{short}.0"
    if isinstance(value, dict):
        inside = (f"{_text(k, None, True)}: {written(v, flow=True)}" for k, v in value.items())
        return f"{{{', '.join(inside)}}}"
    if isinstance(value, list):
        return f"[{', '.join(written(v, flow=True) for v in value)}]"
    return json.dumps(value)


def _text(value: str, style: str | None, flow: bool) -> str:
    if style == "'" and value.isprintable():
        return "'" + value.replace("'", "''") + "'"
    if style != '"' and _is_plain(value, flow):
        return value
    quoted = spell(value)
    return quoted if quoted.startswith('"') and quoted != value else json.dumps(value, ensure_ascii=False)


def _is_plain(value: str, flow: bool) -> bool:
    """Whether YAML reads the bare word as that text."""
    if not value.isprintable() or value != value.strip() or spell(value) != value:
        return False
    try:
        node = compose(f"{{k: {value}}}" if flow else f"k: {value}", _NAME)
    except ConfigProblems:
        return False
    entries = node.value if node.id == "mapping" else []
    return len(entries) == 1 and entries[0][1].id == "scalar" and entries[0][1].value == value


def _entry(node: Any, name: str) -> tuple[Any, Any] | None:
    return next(((n, v) for n, v in node.value if n.id == "scalar" and n.value == name), None)


def _is_alias(name: Any, value: Any) -> bool:
    """Whether the value stands elsewhere in the text: before its own key."""
    return bool(value.start_mark.index < name.end_mark.index)


def _end(name: Any, value: Any) -> int:
    """Where an entry's last character is behind: block collections claim what follows them too."""
    if _is_alias(name, value):
        return int(name.end_mark.index)
    if value.id == "mapping" and not value.flow_style and value.value:
        return max(_end(*entry) for entry in value.value)
    if value.id == "sequence" and not value.flow_style and value.value:
        return int(max(_end(value.value[-1], value.value[-1]), name.end_mark.index))
    return int(value.end_mark.index)


def _line_end(text: str, at: int) -> int:
    """The end of the line that holds the character before `at`."""
    while at > 0 and text[at - 1] in "\r\n":
        at -= 1
    found = text.find("\n", at)
    return len(text) if found < 0 else found - (1 if text[found - 1 : found] == "\r" else 0)


def _replace(text: str, name: Any, value: Any, new: Any) -> str:
    if _is_alias(name, value):
        raise refuse(f"{name.value} is an alias of another part of the file")
    colon = text.index(":", name.end_mark.index) + 1
    is_inline = value.id == "scalar" and value.style not in ("|", ">") and value.end_mark.index > colon
    if not is_inline and not (value.id != "scalar" and value.flow_style):
        end = _end(name, value)
        tail = _newline(text) if text[end - 1] == "\n" and end > colon else ""
        return f"{text[:colon]} {written(new)}{tail}{text[max(end, colon) :]}"
    start, end = value.start_mark.index, value.end_mark.index
    style = value.style if value.id == "scalar" else None
    said = written(new, style, flow=_in_flow(text, name))
    return text[:start] + said + _padded(text[end:], len(said) - (end - start))


def _padded(rest: str, grown: int) -> str:
    """What follows a value, with an aligned comment kept in its column."""
    gap = len(rest) - len(rest.lstrip(" "))
    if gap <= 2 or not rest.lstrip(" ").startswith("#"):
        return rest
    return " " * max(gap - grown, 2) + rest.lstrip(" ")


def _replace_by_mapping(text: str, name: Any, value: Any, rest: Key, new: Any) -> str:
    """Something that is no mapping, most likely an empty section, becomes one."""
    if value.id == "scalar" and value.value == "" and not _in_flow(text, name):
        at = _line_end(text, name.end_mark.index)
        return text[:at] + _block(rest, new, name.start_mark.column + _STEP, _newline(text)) + text[at:]
    return _replace(text, name, value, _nested(rest, new))


def _insert(text: str, node: Any, root: Any, key: Key, value: Any) -> str:
    """A key that a mapping lacks, behind its last one."""
    if node.flow_style:
        inside = written(_nested(key, value), flow=True)[1:-1]
        if not node.value:
            at = node.end_mark.index - 1
            return text[:at].rstrip(" ") + inside + text[at:]
        at = _end(*node.value[-1])  # what follows may be a comma, a comment, and the next lines
        return f"{text[:at]}, {inside}{text[at:]}"
    if node is root and len(key) > 1:
        return _append(text, key, value)
    at = _line_end(text, _end(*node.value[-1]))
    column = node.value[0][0].start_mark.column
    return text[:at] + _block(key, value, column, _newline(text)) + text[at:]


def _append(text: str, key: Key, value: Any) -> str:
    """A section that the file lacks, at its end: before the mark of it, where there is one."""
    newline = _newline(text)
    ends = _DOCUMENT_END.search(text)
    text, rest = (text[: ends.start()], text[ends.start() :]) if ends else (text, "")
    body = text.rstrip("\r\n")
    gap = newline if body else ""
    lines = _block(key, value, 0, newline).removeprefix("" if body else newline)
    return body + gap + lines + newline + rest


def _block(key: Key, value: Any, column: int, newline: str) -> str:
    """`\\n  section:\\n    key: value`, beginning with the line break."""
    lines = [f"{' ' * (column + _STEP * depth)}{_text(part, None, False)}:" for depth, part in enumerate(key)]
    return "".join(newline + line for line in lines) + f" {written(value)}"


def _cut_lines(text: str, entry: tuple[Any, Any]) -> str:
    start = entry[0].start_mark.index - entry[0].start_mark.column
    end = _line_end(text, _end(*entry))
    after = text.find("\n", end)
    return text[:start] + (text[after + 1 :] if after >= 0 else "")


def _cut_flow(text: str, node: Any, entry: tuple[Any, Any]) -> str:
    at = node.value.index(entry)
    if len(node.value) == 1:
        return text[: entry[0].start_mark.index] + text[node.end_mark.index - 1 :]
    if at > 0:
        return text[: _end(*node.value[at - 1])] + text[_end(*entry) :]
    return text[: entry[0].start_mark.index] + text[node.value[1][0].start_mark.index :]


def _in_flow(text: str, name: Any) -> bool:
    """Whether a key stands inside braces on its line, rather than at the line's beginning."""
    before = text[: name.start_mark.index].rpartition("\n")[2]
    return bool(before.strip())


def _nested(key: Key, value: Any) -> Any:
    for part in reversed(key):
        value = {part: value}
    return value


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"

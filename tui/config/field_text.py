"""A value as a form's one-line field holds it, and back.

Owns how friendly the field is: text needs no quotes, an empty field is unset, a number is written
short. YAML itself is files'; what is a good value, resolve's.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tui.config import yaml_files
from tui.config.overrides import spell
from tui.config.problems import ConfigProblems, refuse
from tui.config.schema import Row

_EXPONENT = re.compile(r"e([+-])0*(\d)")


def read(row: Row, text: str) -> Any:
    """The value that a field's text stands for. Raises `ConfigProblems` where it is none."""
    text = text.strip()
    if row.optional and text in ("", "null", "~"):
        return None
    if row.type == "choice":
        return next((choice for choice in row.choices if str(choice) == text), text)
    if row.type == "text":
        quoted = text.startswith(('"', "'"))
        return yaml_files.read_value(text, row.key) if quoted else yaml_files.text_value(text, row.key)
    if row.type == "mapping":
        return _mapping(row, text)
    return yaml_files.read_value(text, row.key)


def spoken(row: Row, value: Any) -> str:
    """A value as its field shows it; unset is empty."""
    if value is None:
        return ""
    if row.type == "mapping" and value == {}:
        return ""
    if row.type == "text" and isinstance(value, str) and value.isprintable():
        return spell(value) if value.startswith(('"', "'")) or value != value.strip() else value
    if isinstance(value, float):
        return number(value)
    return spell(value)


def mapping_line(row: Row, lines: Sequence[str]) -> str:
    """A mapping that was written on several lines (YAML, or laid out JSON) as its field holds it.

    What cannot be read stays as it was written, on one line: the field says what is wrong with it.
    """
    try:
        value = yaml_files.read_block("\n".join(lines), row.key)
    except ConfigProblems:
        value = None
    return spoken(row, value) if isinstance(value, dict) else ", ".join(line.strip() for line in lines)


def number(value: float) -> str:
    """A number without what it does not need: `3e-6`, `8`, `0.5`."""
    text = repr(value).removesuffix(".0")
    return _EXPONENT.sub(r"e\1\2", text).replace("e+", "e")


def _mapping(row: Row, text: str) -> Any:
    if not text:
        return {}
    try:
        value = yaml_files.read_value(text if text.startswith("{") else f"{{{text}}}", row.key)
    except ConfigProblems:
        raise refuse("cannot be read: write name: value, other: value") from None
    if not isinstance(value, dict) or (":" not in text and value):
        raise refuse("should be a mapping, such as name: value, other: value")
    return value

"""Convert a value to the text of a form's one-line field, and back.

Text needs no quotes, an empty field is unset, a number is written short. `yaml_files.py` reads YAML;
`resolve.py` checks values.
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
    """Read the value of a field's text. Raises `ConfigProblems`."""
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
    """The text of a field that holds a value; unset is empty."""
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
    """A mapping of several lines (YAML or JSON), such as one that was pasted, as the text of its field.

    Lines that cannot be read are joined as they are: the field then shows what is wrong with them.
    """
    try:
        value = yaml_files.read_block("\n".join(lines), row.key)
    except ConfigProblems:
        value = None
    return spoken(row, value) if isinstance(value, dict) else ", ".join(line.strip() for line in lines)


def number(value: float) -> str:
    """A number in its shortest form: `3e-6`, `8`, `0.5`."""
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

"""The meaning of plain words: YAML 1.2's core schema.

YAML 1.1, which PyYAML follows, reads `3e-6` as text, `no` as false, `010` as eight and `1:30` as
ninety. Here `3e-6` is a number, and the others mean what they look like.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, NamedTuple

TAG = "tag:yaml.org,2002:"
DIGITS = 400  # Python refuses to convert some longer whole numbers: those are read as floats, endless ones


class Scalar(NamedTuple):
    """A kind of plain word: its YAML tag, its form, the characters that it may begin with, its value."""

    tag: str
    form: re.Pattern[str]
    first: tuple[str, ...]
    read: Callable[[str], Any]


def _whole(text: str) -> int:
    return int(text[2:], {"o": 8, "x": 16}[text[1]]) if text[:2] in ("0o", "0x") else int(text)


def _number(text: str) -> float:
    plain = text.lower().replace(".inf", "inf").replace(".nan", "nan")
    return float(plain)


SCALARS = (
    Scalar(TAG + "null", re.compile(r"(?:~|null|Null|NULL|)\Z"), ("~", "n", "N", ""), lambda text: None),
    Scalar(
        TAG + "bool",
        re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"),
        ("t", "T", "f", "F"),
        lambda text: text.lower() == "true",
    ),
    Scalar(
        TAG + "int",
        re.compile(rf"(?:[-+]?[0-9]{{1,{DIGITS}}}|0o[0-7]{{1,{DIGITS}}}|0x[0-9a-fA-F]{{1,{DIGITS}}})\Z"),
        tuple("-+0123456789"),
        _whole,
    ),
    Scalar(
        TAG + "float",
        re.compile(
            r"(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z",
        ),
        tuple("-+.0123456789"),
        _number,
    ),
)


def read_plain(text: str) -> Any:
    """The value of an unquoted word: None, a bool, a number, or the text itself."""
    for scalar in SCALARS:
        if scalar.form.match(text):
            return scalar.read(text)
    return text


def read_tagged(tag: str, text: str) -> Any:
    """The value of a word with a tag, implied or explicit. Raises `ValueError`."""
    if tag == TAG + "str":
        return text
    for scalar in SCALARS:
        if scalar.tag == tag and scalar.form.match(text):
            return scalar.read(text)
    if tag == TAG + "float":
        return _number(text)
    raise ValueError(f"{text[:40]!r} is no {tag.removeprefix(TAG)}")

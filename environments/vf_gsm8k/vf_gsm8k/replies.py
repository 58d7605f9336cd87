"""Where a reply's answer has to stand, and what it is.

Owns the forms that a reply may be asked for, such as `boxed` or `plain`. Which number a text gives is
`numbers`'; what a reply is worth is `scoring`'s.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from vf_gsm8k.numbers import is_bare, read_number

Form = Literal["boxed", "tagged", "plain", "equation"]

_THOUGHT = re.compile(r"\A.*</think>|<think>.*", re.DOTALL)
_TAG = re.compile(r"<answer>((?:(?!<answer>).)*?)</answer>", re.DOTALL | re.IGNORECASE)
_BOX = re.compile(r"\\boxed\s*\{")


@dataclass(frozen=True)
class Reply:
    """What a reply says."""

    number: Fraction | None
    """Its answer; None where there is none, or more than one."""
    form: float
    """How close it is to the form that was asked for, 0 to 1."""


def read_reply(text: str, form: Form) -> Reply:
    """The answer of a reply; what a model thinks before it answers does not count.

    Boxed or tagged, the last box or pair of tags holds the answer, and nothing outside counts. Plain, the
    whole reply does: a number alone, or the only one among words. An equation ends with its answer.
    """
    text = _THOUGHT.sub("", text).strip()
    if form == "plain":
        return _read_plain(text)
    if form == "equation":
        return _read_equation(text)
    places = _boxes(text) if form == "boxed" else _TAG.findall(text)
    if not places:
        return Reply(None, 0.0)
    number = read_number(places[-1])
    clean = len(places) == 1 and is_bare(places[-1])
    return Reply(number, 1.0 if clean else 0.25 if number is None else 0.5)


def _read_plain(text: str) -> Reply:
    number = read_number(text)
    if number is None:
        return Reply(None, 0.25 if re.search(r"\d", text) else 0.0)
    return Reply(number, 1.0 if is_bare(text) else 0.5)


def _read_equation(text: str) -> Reply:
    if "=" not in text:
        return Reply(None, 0.25 if re.search(r"\d", text) else 0.0)
    number = read_number(text)
    left, _, right = text.partition("=")
    clean = bool(left.strip()) and "\n" not in text and is_bare(right)
    return Reply(number, 1.0 if clean else 0.25 if number is None else 0.5)


def _boxes(text: str) -> list[str]:
    """What stands in `\\boxed{…}`, in order; a box that is never closed holds nothing."""
    found, after = [], 0
    for match in _BOX.finditer(text):
        if match.start() < after:
            continue  # a box in a box
        end = _closed(text, match.end())
        if end is None:
            break
        found.append(text[match.end() : end])
        after = end
    return found


def _closed(text: str, start: int) -> int | None:
    depth = 1
    for place in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[place], 0)
        if depth == 0:
            return place
    return None

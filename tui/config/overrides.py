"""`--set KEY=VALUE`: what the user typed over a config.

Owns taking the words apart and spelling them again. What a value means is files'; what a key means
is resolve's.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from remote.contract.redaction import shown_value
from tui.config.problems import ConfigProblems, Problem, one_line, shown
from tui.config.yaml_files import Key, read_value

_PART = re.compile(r"[^\s.=]+")


@dataclass(frozen=True)
class Override:
    """One value that was typed, with its key."""

    key: Key
    value: Any
    typed: str | None = field(default=None, compare=False)
    """The value as it was typed, where that is known."""

    @property
    def dotted(self) -> str:
        """The key as it is typed."""
        return ".".join(self.key)

    @property
    def words(self) -> str:
        """`KEY=VALUE`, such that parsing it gives this override again."""
        return f"{self.dotted}={spell(self.value)}"

    @property
    def where(self) -> str:
        """What a problem or a provenance calls it: no secret is repeated."""
        return f"--set {self.shown}"

    @property
    def shown(self) -> str:
        """`words` as they may be shown: a plain value as it was typed."""
        if self.typed is None or not self.typed.isprintable() or isinstance(self.value, dict | list):
            return f"{self.dotted}={spell(shown_value(self.dotted, self.value))}"
        return f"{self.dotted}={shown_value(self.dotted, self.typed)}"


def parse(words: Iterable[str]) -> list[Override]:
    """The overrides in the order in which they were typed. Raises `ConfigProblems` with every bad one."""
    overrides, problems = [], []
    for text in words:
        try:
            overrides.append(parse_one(text))
        except ConfigProblems as error:
            problems += error.problems
    if problems:
        raise ConfigProblems(problems)
    return overrides


def parse_one(text: str) -> Override:
    """One `KEY=VALUE`. Raises `ConfigProblems` that name what was typed."""
    name, equals, value = text.partition("=")
    key = tuple(name.strip().split("."))
    where = f"--set {one_line(f'{name}{equals}{shown_value(name, value)}')}"
    if not equals:
        raise ConfigProblems([Problem("write KEY=VALUE, such as training.steps=100", where)])
    if not all(_PART.fullmatch(part) for part in key):
        message = f"{shown(name)} is no key: write it dotted, such as training.steps"
        raise ConfigProblems([Problem(message, where, name)])
    return Override(key, read_value(value, where), value.strip())


def shown_options(typed: Iterable[Override]) -> list[str]:
    """The words of a command line that type these again, secrets hidden; to be quoted for a shell."""
    return [word for override in typed for word in ("--set", override.shown)]


def spell(value: Any) -> str:
    """A value as it would be typed: plain text as it is, all else as YAML on one line."""
    if isinstance(value, str) and _is_plain(value):
        return value
    text = _flow(value)
    # JSON is YAML but for the characters that YAML wants escaped, such as its own line breaks.
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def _flow(value: Any) -> str:
    """A value as JSON, but for the numbers that JSON has no word for."""
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else ".inf" if value > 0 else "-.inf"
    if isinstance(value, dict):
        parts = (f"{json.dumps(key, ensure_ascii=False)}: {_flow(part)}" for key, part in value.items())
        return f"{{{', '.join(parts)}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return json.dumps(value, ensure_ascii=False)


def _is_plain(text: str) -> bool:
    try:
        return text.isprintable() and read_value(text, "") == text
    except ConfigProblems:
        return False

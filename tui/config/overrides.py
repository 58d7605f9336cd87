"""Parse and spell `--set KEY=VALUE`. `yaml_files.py` reads the values; `resolve.py` checks the keys."""

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
    """A value that the user set, with its key."""

    key: Key
    value: Any
    typed: str | None = field(default=None, compare=False)
    """The value as it was typed, where that is known."""

    @property
    def dotted(self) -> str:
        """The key with dots."""
        return ".".join(self.key)

    @property
    def argument(self) -> str:
        """`KEY=VALUE`, which parses to this override again."""
        return f"{self.dotted}={spell(self.value)}"

    @property
    def where(self) -> str:
        """How problems and provenance name it, without secrets."""
        return f"--set {self.shown}"

    @property
    def shown(self) -> str:
        """`argument` with secrets hidden; a plain value as the user typed it."""
        if self.typed is None or not self.typed.isprintable() or isinstance(self.value, dict | list):
            return f"{self.dotted}={spell(shown_value(self.dotted, self.value))}"
        return f"{self.dotted}={shown_value(self.dotted, self.typed)}"


def parse(words: Iterable[str]) -> list[Override]:
    """Parse overrides, in order. Raises `ConfigProblems` that name every bad one."""
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
    """Parse one `KEY=VALUE`. Raises `ConfigProblems`."""
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
    """These overrides as arguments of a command line, secrets hidden; not quoted for a shell."""
    return [word for override in typed for word in ("--set", override.shown)]


def spell(value: Any) -> str:
    """A value as a user would type it: plain text as it is, all else as YAML on one line."""
    if isinstance(value, str) and _is_plain(value):
        return value
    text = _flow(value)
    # JSON is YAML but for the characters that YAML wants escaped, such as its own line breaks.
    return "".join(c if c.isprintable() else f"\\U{ord(c):08x}" for c in text)


def _flow(value: Any) -> str:
    """A value as JSON; numbers that JSON lacks as in YAML (`.nan`, `.inf`)."""
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

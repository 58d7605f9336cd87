"""One thing wrong with what the user wrote, and all of them together.

Owns how a problem reads on its line: where, which key, what was found and what was expected.
Finding problems is left to files, overrides and resolve; showing them to whoever catches the error.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from remote.contract.errors import ConfigError, Hint

_LONGEST = 60


@dataclass(frozen=True)
class Problem:
    """One problem; `str()` of it is one line of text for people."""

    message: str
    """What is wrong, without the place: `training.steps is "many", but should be …`."""
    where: str = ""
    """`path:line`, `path:line:column`, or the words typed."""
    key: str = ""
    """The dotted key, as it was written."""
    value: Any = None
    """What was found."""
    expected: str = ""
    """What the key takes, in words."""
    default: Any = None
    """What the key is when nobody sets it."""
    proposal: str | None = None
    """The key that was probably meant."""
    keys: tuple[str, ...] = ()
    """Dotted keys whose values do not fit together, where it is about several."""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class ConfigProblems(ConfigError):
    """All that is wrong, one problem a line."""

    def __init__(self, problems: Sequence[Problem], hint: Hint | None = None) -> None:
        super().__init__("\n".join(map(str, problems)), hint=hint)
        self.problems = list(problems)


def refuse(message: str, where: str = "", hint: str | None = None) -> ConfigProblems:
    """The error that holds a single problem."""
    return ConfigProblems([Problem(message, where)], Hint(hint) if hint else None)


def shown(value: Any) -> str:
    """A value on one line, cut to a readable length."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return one_line(text)


def one_line(text: str) -> str:
    """Text as it stands, with what would break a line or a screen escaped, cut to a readable length."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

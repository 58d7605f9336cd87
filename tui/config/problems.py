"""Problems of a config, each on one line: where, which key, what was found and what was expected."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from remote.contract.errors import ConfigError, Hint

_LONGEST = 60


@dataclass(frozen=True)
class Problem:
    """One problem; `str()` of it is one line of text."""

    message: str
    """Without the place: `training.steps is "many", but should be …`."""
    where: str = ""
    """`path:line`, `path:line:column`, or `--set KEY=VALUE`."""
    key: str = ""
    """The dotted key, as the user wrote it."""
    value: Any = None
    """The value that was found."""
    expected: str = ""
    """What the key takes, as text."""
    default: Any = None
    """The key's default."""
    proposal: str | None = None
    """The key that the user probably meant."""
    keys: tuple[str, ...] = ()
    """Dotted keys whose values do not fit together, where it is about several."""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


class ConfigProblems(ConfigError):
    """All problems, one on each line."""

    def __init__(self, problems: Sequence[Problem], hint: Hint | None = None) -> None:
        super().__init__("\n".join(map(str, problems)), hint=hint)
        self.problems = list(problems)


def refuse(message: str, where: str = "", hint: str | None = None) -> ConfigProblems:
    """An error with a single problem."""
    return ConfigProblems([Problem(message, where)], Hint(hint) if hint else None)


def shown(value: Any) -> str:
    """A value on one line, cut to a readable length."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return one_line(text)


def one_line(text: str) -> str:
    """Text with control characters escaped, cut to a readable length."""
    text = "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"

"""The filter of the runs table: `status:failed env:wordle reward>0.5 age<2h -done`. Pure.

Owns the language. Words without a field match anywhere; all terms must hold; `-` negates; quotes keep spaces;
commas separate alternatives. An invalid term is reported and ignored, so that the rest works while the user
types. Nothing here raises.
"""

from __future__ import annotations

import difflib
import operator
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from tui.store.runs.row import RunRow, for_search

Test = Callable[[RunRow, float], bool]
"""Whether a row matches, at a time (Unix seconds)."""

ALIASES = {
    "env": "environment",
    "exp": "experiment",
    "experimenter": "user",
    "name": "id",
    "run": "id",
    "steps": "step",
    "took": "time",
    "why": "failure",
}
TEXTS: dict[str, Callable[[RunRow], str]] = {
    "status": lambda row: row.status,
    "environment": lambda row: row.environment,
    "model": lambda row: row.model,
    "experiment": lambda row: row.experiment,
    "backend": lambda row: row.backend,
    "kind": lambda row: row.kind,
    "id": lambda row: row.run_id,
    "config": lambda row: row.config_path or "",
    "user": lambda row: row.experimenter,
    "volume": lambda row: row.outputs,
    "phase": lambda row: row.phase,
    "failure": lambda row: f"{row.failure}\n{row.hint}",
}
"""Text fields."""
NUMBERS: dict[str, Callable[[RunRow, float], float | None]] = {
    "reward": lambda row, now: row.reward,
    "step": lambda row, now: row.step,
    "total": lambda row, now: row.total_steps,
    "progress": lambda row, now: None if row.progress is None else row.progress * 100,
    "cost": lambda row, now: row.cost,
    "age": lambda row, now: now - row.created if row.created else None,
    "time": lambda row, now: row.seconds(now),
    "eta": lambda row, now: row.eta,
}
"""Number fields; progress is in percent."""
TIMES = frozenset({"age", "time", "eta"})
"""Number fields in seconds, which are typed with a unit."""
FIELDS = (*TEXTS, *NUMBERS)

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    ">": operator.gt,
    "<": operator.lt,
    ">=": operator.ge,
    "<=": operator.le,
    "=": operator.eq,
    ":": operator.eq,
    "!=": operator.ne,
}
# A word with its quotes; an open quote extends to the end.
_WORD = re.compile(r"""(?:"[^"]*(?:"|$)|'[^']*(?:'|$)|[^\s"'])+""")
_TERM = re.compile(r"(?P<field>[A-Za-z_]+)(?P<sign>>=|<=|!=|[:=<>])(?P<value>.*)", re.DOTALL)
_LENGTH = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+)(?P<unit>[smhdw])")


@dataclass(frozen=True)
class RunFilter:
    """A parsed filter."""

    text: str = ""
    tests: tuple[Test, ...] = ()
    complaints: tuple[str, ...] = ()
    """Invalid terms, a sentence each."""

    def matches(self, row: RunRow, now: float) -> bool:
        """Whether a row matches."""
        return all(test(row, now) for test in self.tests)

    def apply(self, rows: Iterable[RunRow], now: float) -> list[RunRow]:
        """The matching rows, in their order."""
        found = list(rows)
        for test in self.tests:
            found = [row for row in found if test(row, now)]
        return found


class _Invalid(Exception):
    """An invalid term; its text says why."""


def parse_filter(text: str) -> RunFilter:
    """Parse a filter."""
    tests, complaints = [], []
    for word in _WORD.findall(text):
        try:
            test = _test(word)
        except _Invalid as error:
            complaints.append(str(error))
            continue
        if test is not None:
            tests.append(test)
    return RunFilter(text, tuple(tests), tuple(complaints))


def before_field(text: str) -> str | None:
    """The text without its last word, if that may begin the name of a field; else None."""
    head, _, word = text.rpartition(" ")
    begun = word.lstrip("-!").lower()
    could = begun and any(name.startswith(begun) for name in (*FIELDS, *ALIASES))
    return head if could else None


def completions(rows: Iterable[RunRow]) -> Iterator[str]:
    """Terms to complete a word with, the likeliest first."""
    rows = list(rows)
    yield from (f"{name}:" for name in ("status", "env", "model", "exp", "backend", "kind", "user"))
    for name, field in (
        ("status", "status"),
        ("env", "environment"),
        ("exp", "experiment"),
        ("kind", "kind"),
    ):
        yield from (f"{name}:{value}" for value in sorted({TEXTS[field](row) for row in rows}))
    yield from (f"{name}>" for name in NUMBERS)


def _test(word: str) -> Test | None:
    """The test of a word; None while it is incomplete, such as `status:` and `-`."""
    negated = word[0] in "-!"
    test = _positive(word[1:] if negated else word)
    if test is None or not negated:
        return test
    return lambda row, now: not test(row, now)


def _positive(word: str) -> Test | None:
    term = _TERM.fullmatch(word)
    if term is None:
        needle = for_search(_unquoted(word))
        return (lambda row, now: needle in row.text) if needle else None
    name = _field(term["field"], word)
    value = _unquoted(term["value"])
    if name in TEXTS:
        return _text_test(name, term["sign"], value, word)
    return _number_test(name, term["sign"], value, word)


def _unquoted(text: str) -> str:
    return text.replace('"', "").replace("'", "")


def _field(typed: str, word: str) -> str:
    name = ALIASES.get(typed.lower(), typed.lower())
    if name in FIELDS:
        return name
    begun = [field for field in (*FIELDS, *ALIASES) if field.startswith(name)]
    near = begun or difflib.get_close_matches(name, [*FIELDS, *ALIASES], n=1, cutoff=0.5)
    advice = f"did you mean {near[0]}?" if near else f"fields are {', '.join(FIELDS)}"
    raise _Invalid(f"there is no field {typed}: {advice}")


def _text_test(name: str, sign: str, value: str, word: str) -> Test | None:
    if sign not in (":", "=", "!="):
        raise _Invalid(f"{word}: {name} is text, ask {name}:{value or '…'}")
    needles = [for_search(part) for part in value.split(",") if part]
    read = TEXTS[name]
    if not needles:
        return None
    if sign == ":":
        return lambda row, now: any(needle in for_search(read(row)) for needle in needles)
    equal = sign == "="
    return lambda row, now: (for_search(read(row)) in needles) is equal


def _number_test(name: str, sign: str, value: str, word: str) -> Test | None:
    read, compare = NUMBERS[name], _COMPARE[sign]
    if not value:
        return None
    if value.lower() in ("none", "-", "–"):
        is_none = sign not in ("!=", "<", ">")
        return lambda row, now: (read(row, now) is None) is is_none
    bound = _length(value, word) if name in TIMES else _number(value, word)

    def test(row: RunRow, now: float) -> bool:
        found = read(row, now)
        return found is not None and compare(found, bound)

    return test


def _number(value: str, word: str) -> float:
    try:
        return float(value.strip().lstrip("$").rstrip("%"))
    except ValueError:
        raise _Invalid(f"{word}: {value} is not a number") from None


def _length(value: str, word: str) -> float:
    found = _LENGTH.fullmatch(value.strip().lower())
    if found is None:
        raise _Invalid(f"{word}: write a time such as 90s, 30m, 2h, 3d or 1w")
    return float(found["number"]) * _UNITS[found["unit"]]

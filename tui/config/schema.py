"""The spec's keys as flat rows: for `vfm config schema`, for error messages, and for a form.

Owns the words in which a key's type and bounds are told. The keys themselves, with their defaults
and help, are `remote/contract/spec.py`'s.
"""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt, MinLen
from pydantic.fields import FieldInfo

from remote.contract.spec import ExperimentSpec, Section

_WORDS = {int: "whole number", float: "number", bool: "true or false", str: "text"}


@dataclass(frozen=True)
class Row:
    """One key of the spec."""

    key: str
    """Dotted: `training.steps`."""
    type: str
    """whole number, number, true or false, text, choice, list of names, or mapping."""
    optional: bool
    """Whether it may be left unset (null)."""
    choices: tuple[Any, ...]
    """What a choice chooses from."""
    bounds: str
    """`from 1 to 8`, `above 0`, or nothing."""
    default: Any
    help: str

    @property
    def expected(self) -> str:
        """What the key takes, as the end of a sentence: `a whole number from 1 to 8`."""
        if self.type == "choice":
            kind = "one of " + ", ".join(map(str, self.choices))
        elif self.type in ("text", "true or false"):
            kind = self.type
        else:
            kind = f"a {self.type}"
        kind += f" {self.bounds}" if self.bounds else ""
        return kind + (", or null" if self.optional else "")

    @property
    def path(self) -> tuple[str, ...]:
        """The key's parts."""
        return tuple(self.key.split("."))

    def as_dict(self) -> dict[str, Any]:
        """The row as JSON."""
        return {**asdict(self), "choices": list(self.choices), "expected": self.expected}


@cache
def rows() -> tuple[Row, ...]:
    """Every key of the spec, section by section."""
    return tuple(_walk(ExperimentSpec, ""))


@cache
def by_key() -> dict[str, Row]:
    """The rows by their dotted keys."""
    return {row.key: row for row in rows()}


@cache
def by_path() -> dict[tuple[str, ...], Row]:
    """The rows by the parts of their keys."""
    return {row.path: row for row in rows()}


@cache
def sections() -> dict[str, str]:
    """Dotted section → its help, outer before inner."""
    return dict(_sections(ExperimentSpec, ""))


def _section_of(field: FieldInfo) -> type[Section] | None:
    kind = field.annotation
    return kind if isinstance(kind, type) and issubclass(kind, Section) else None


def _walk(section: type[Section], prefix: str) -> Iterator[Row]:
    for name, field in section.model_fields.items():
        inner = _section_of(field)
        if inner is not None:
            yield from _walk(inner, f"{prefix}{name}.")
        else:
            yield _row(f"{prefix}{name}", field)


def _sections(section: type[Section], prefix: str) -> Iterator[tuple[str, str]]:
    for name, field in section.model_fields.items():
        inner = _section_of(field)
        if inner is not None:
            yield f"{prefix}{name}", _one_line(field.description)
            yield from _sections(inner, f"{prefix}{name}.")


def _row(key: str, field: FieldInfo) -> Row:
    kind, optional = _plain_type(field.annotation)
    return Row(
        key=key,
        type=_type_words(kind),
        optional=optional,
        choices=get_args(kind) if get_origin(kind) is Literal else (),
        bounds=_bounds(field.metadata),
        default=field.get_default(call_default_factory=True),
        help=_one_line(field.description),
    )


def _plain_type(kind: Any) -> tuple[Any, bool]:
    """A type without its annotations and its None, and whether None was among it."""
    if get_origin(kind) is Annotated:
        return _plain_type(get_args(kind)[0])
    if get_origin(kind) not in (Union, types.UnionType):
        return kind, False
    others = [part for part in get_args(kind) if part is not types.NoneType]
    return _plain_type(others[0])[0], len(others) < len(get_args(kind))


def _type_words(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "choice"
    if get_origin(kind) is list:
        return "list of names"
    return _WORDS.get(kind, "mapping")


def _bounds(metadata: list[Any]) -> str:
    ge, gt, le, lt = (
        next((getattr(m, name) for m in metadata if isinstance(m, kind)), None)
        for kind, name in ((Ge, "ge"), (Gt, "gt"), (Le, "le"), (Lt, "lt"))
    )
    if ge is not None and le is not None:
        return f"from {ge} to {le}"
    low = f"above {gt}" if gt is not None else f"of at least {ge}" if ge is not None else ""
    high = f"below {lt}" if lt is not None else f"at most {le}" if le is not None else ""
    if any(isinstance(m, MinLen) for m in metadata):
        low = "that is not empty"
    return " and ".join(part for part in (low, high) if part)


def _one_line(text: str | None) -> str:
    return " ".join((text or "").split())

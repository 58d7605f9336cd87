"""The form's lines: sections as in the YAML, fields, and what is wrong below the field it is about. Pure.

Owns which fields a search leaves and how a source is said. Drawing is `form_fields.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from tui.planning.draft import Field

SOURCES: Mapping[str, tuple[str, str]] = {
    "default": ("·", "default"),
    "file": ("≡", "file"),
    "override": ("⇒", "model"),
    "derived": ("⚙", "auto"),
    "you": ("✎", "you"),
    "hint": ("✦", "hint"),
    "run": ("↻", "run"),
}
"""Source → a sign and a word for it."""
INDENT = 2


@dataclass(frozen=True)
class FormLine:
    """One line of the form."""

    kind: Literal["gap", "section", "field", "problem", "note"]
    text: str = ""
    """A section's name, what is wrong, or what else is to be said."""
    depth: int = 0
    field: Field | None = None
    note: str = ""
    """A section's help."""

    @property
    def key(self) -> str:
        """The field's dotted key, or nothing."""
        return self.field.key if self.field else ""


def lay_out(
    fields: Iterable[Field],
    sections: Mapping[str, str],
    *,
    query: str = "",
    changed_only: bool = False,
    general: Sequence[str] = (),
) -> list[FormLine]:
    """The lines for those fields that a search and `changed only` leave."""
    lines = [FormLine("problem", text) for text in general]
    open_section: tuple[str, ...] = ()
    for field in fields:
        if not matches(field, query) or (changed_only and not (field.is_typed or field.differs)):
            continue
        section = field.row.path[:-1]
        lines += _sections(open_section, section, sections, first=not lines)
        open_section = section
        lines.append(FormLine("field", depth=len(section), field=field))
        if field.problem:
            lines.append(FormLine("problem", field.problem, len(section), field))
    return lines


def matches(field: Field, query: str) -> bool:
    """Whether every word of a search is in the key, the help or the value."""
    hay = f"{field.key} {field.row.help} {field.text} {SOURCES.get(field.source, ('', ''))[1]}".lower()
    return all(word in hay for word in query.lower().split())


def legend(lines: Iterable[FormLine]) -> str:
    """The signs that are there, with their words: `· default  ≡ file  ✎ you`."""
    there = {line.field.source for line in lines if line.field}
    return "  ".join(f"{sign} {word}" for source, (sign, word) in SOURCES.items() if source in there)


def said(field: Field) -> str:
    """Where a value comes from, in full: `file · configs/x.yaml:12`, `you · the file says 200`."""
    if field.is_typed:
        who = {"hint": "the hint's proposal", "run": "as that run had it"}.get(field.source, "you")
        return f"{who} · {'otherwise ' + field.base if field.base else 'otherwise unset'}"
    if field.source == "override":
        return f"model.overrides for this environment · {field.where}"
    if field.source == "derived":
        return f"{field.where}, in place of {field.base}" if field.differs else field.where
    return f"{field.where}" if field.source == "file" else "the default"


def _sections(
    before: tuple[str, ...], now: tuple[str, ...], helps: Mapping[str, str], *, first: bool
) -> list[FormLine]:
    """The headings that lead from one section into another."""
    if before == now or before[: len(now)] == now:
        return []
    shared = next(
        (n for n, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), min(len(before), len(now))
    )
    lines = [] if first or shared else [FormLine("gap")]
    for depth in range(shared, len(now)):
        lines.append(FormLine("section", now[depth], depth, note=helps.get(".".join(now[: depth + 1]), "")))
    return lines

"""The lines of the launch form: sections as in the YAML, fields, and problems below their fields. Pure."""

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
"""Source of a value → its sign and word."""
INDENT = 2


@dataclass(frozen=True)
class FormLine:
    """One line of the form."""

    kind: Literal["gap", "section", "field", "problem", "note"]
    text: str = ""
    """Name of a section, problem, or note."""
    depth: int = 0
    field: Field | None = None
    note: str = ""
    """A section's help."""

    @property
    def key(self) -> str:
        """The dotted key of the field, or an empty string."""
        return self.field.key if self.field else ""


def lay_out(
    fields: Iterable[Field],
    sections: Mapping[str, str],
    *,
    query: str = "",
    changed_only: bool = False,
    general: Sequence[str] = (),
) -> list[FormLine]:
    """Lines of the fields that match a search, or of the changed ones among them."""
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
    """Whether every word of a search occurs in key, help or value."""
    hay = f"{field.key} {field.row.help} {field.text} {SOURCES.get(field.source, ('', ''))[1]}".lower()
    return all(word in hay for word in query.lower().split())


def legend(lines: Iterable[FormLine]) -> str:
    """The signs in use with their words: `· default  ≡ file  ✎ you`."""
    sources = {line.field.source for line in lines if line.field}
    return "  ".join(f"{sign} {word}" for source, (sign, word) in SOURCES.items() if source in sources)


def source_text(field: Field) -> str:
    """The source of a value in full: `file · configs/x.yaml:12`, `you · the file says 200`."""
    if field.is_typed:
        origin = {"hint": "the hint's proposal", "run": "as that run had it"}.get(field.source, "you")
        return f"{origin} · {'otherwise ' + field.base if field.base else 'otherwise unset'}"
    if field.source == "override":
        return f"model.overrides for this environment · {field.where}"
    if field.source == "derived":
        return f"{field.where}, in place of {field.base}" if field.differs else field.where
    return f"{field.where}" if field.source == "file" else "the default"


def _sections(
    before: tuple[str, ...], now: tuple[str, ...], helps: Mapping[str, str], *, first: bool
) -> list[FormLine]:
    """Headings from one section to another."""
    if before == now or before[: len(now)] == now:
        return []
    shared = next(
        (n for n, (a, b) in enumerate(zip(before, now, strict=False)) if a != b), min(len(before), len(now))
    )
    lines = [] if first or shared else [FormLine("gap")]
    for depth in range(shared, len(now)):
        lines.append(FormLine("section", now[depth], depth, note=helps.get(".".join(now[: depth + 1]), "")))
    return lines

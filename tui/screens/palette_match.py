"""What words match in the palette, and how well. Pure.

The words of the query may come in any order; where they do not all occur, the letters may (`lmx` finds
`learning_rate_max`), which counts for less.
"""

from __future__ import annotations

from dataclasses import dataclass

Span = tuple[int, int]


@dataclass(frozen=True)
class Match:
    """How well (0 to 1), and what of the title matched."""

    score: float
    spans: tuple[Span, ...] = ()


def match(query: str, title: str, detail: str = "", *, fuzzy: bool = True) -> Match | None:
    """How a query matches a title and the words behind it."""
    words, name, rest = query.casefold().split(), title.casefold(), detail.casefold()
    if not words:
        return None
    if all(word in name or word in rest for word in words):
        return _by_words(words, name)
    return _by_letters("".join(words), name) if fuzzy else None


def _by_words(words: list[str], name: str) -> Match:
    spans = tuple((name.index(word), name.index(word) + len(word)) for word in words if word in name)
    in_title = len(spans) / len(words)
    at_start = sum(start == 0 or not name[start - 1].isalnum() for start, _ in spans) / len(words)
    whole = sum(end - start for start, end in spans) / max(len(name), 1)
    return Match(0.4 + 0.25 * in_title + 0.2 * at_start + 0.15 * min(whole, 1), spans)


def _by_letters(letters: str, name: str) -> Match | None:
    """The letters in order, each at its first place; the closer together, the better."""
    at, spans = -1, []
    for letter in letters:
        at = name.find(letter, at + 1)
        if at < 0:
            return None
        spans.append((at, at + 1))
    spread = spans[-1][1] - spans[0][0]
    density = len(letters) / spread
    return Match(0.35 * density, tuple(spans)) if density >= 0.25 else None

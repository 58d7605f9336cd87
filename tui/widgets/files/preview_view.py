"""Draws a preview: text, a table or a conversation, scrolled and wrapped."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, ClassVar

from rich.cells import cell_len
from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.reactive import reactive
from textual.scroll_view import ScrollView
from textual.strip import Strip

from tui.store.files.model import Line, Lines, Preview, Table
from tui.text.format import escape_controls, fit, plain
from tui.widgets.logs.ansi import read_terminal

_WIDEST_CELL = 48
_EDGE = "▌ "
"""Before a role's name."""
_GAP = "  "
_JSON = re.compile(
    r'(?P<key>"(?:[^"\\]|\\.)*"(?=\s*:))|(?P<text>"(?:[^"\\]|\\.)*"?)'
    r"|(?P<number>-?\d[\d.eE+-]*)|(?P<word>\b(?:true|false|null|NaN|Infinity)\b)"
)
_YAML = re.compile(
    r"(?P<key>^[\s-]*[\w.\-/ ]+(?=:(?:\s|$)))|(?P<note>(?:^|(?<=\s))#.*$)"
    r"|(?P<text>\"[^\"]*\"|'[^']*')|(?P<number>(?<=[\s\[,])-?\d[\d.eE_+-]*(?=[\s,\]]|$))"
    r"|(?P<word>(?<=[\s\[,])(?:true|false|null)(?=[\s,\]]|$))"
)
_SGR = re.compile(r"\x1b\[[0-9;:]*m")
_HEX = re.compile(r"(?P<note>^[0-9a-f]{8})|(?P<text>\S.{0,15}$)")
_SHARE = re.compile(r"(?P<key>■+)")
_PATTERNS = {"json": _JSON, "yaml": _YAML, "hex": _HEX, "share": _SHARE}

Piece = tuple[int, int, int]
"""(line, first character, end): the part of a line on one row of the screen."""


class PreviewView(ScrollView, can_focus=True):
    """Shows a preview; `w` switches wrapping of long lines."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        "preview--key",
        "preview--text",
        "preview--number",
        "preview--word",
        "preview--note",
        "preview--heading",
        "preview--role",
        "preview--header",
    }
    DEFAULT_CSS = """
    PreviewView {
        height: 1fr; background: $background; scrollbar-size-vertical: 1; scrollbar-size-horizontal: 1;
    }
    PreviewView .preview--key { color: $primary; }
    PreviewView .preview--text { color: $success; }
    PreviewView .preview--number { color: $accent; }
    PreviewView .preview--word { color: $secondary; text-style: bold; }
    PreviewView .preview--note { color: $text-muted; }
    PreviewView .preview--heading { color: $accent; text-style: bold; }
    PreviewView .preview--role { color: $secondary; text-style: bold; }
    PreviewView .preview--header { background: $surface; color: $foreground; text-style: bold; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("w", "wrap", "Wrap", id="preview.wrap"),
        Binding("j", "scroll_down", "Down", show=False, id="preview.down"),
        Binding("k", "scroll_up", "Up", show=False, id="preview.up"),
        Binding("g", "scroll_home", "First line", show=False, id="preview.first"),
        Binding("G", "scroll_end", "Last line", show=False, id="preview.last"),
        Binding("space", "page_down", "Page down", show=False, id="preview.page"),
    ]

    wrap = reactive(False, init=False)

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._head: list[Text] = []
        self._count = 0
        self._text: Callable[[int], Text] = lambda _: Text(end="")
        self._indent: Callable[[int], int] = lambda _: 0
        self._raw: Callable[[int], str] = lambda _: ""
        self._texts: dict[int, Text] = {}
        self._pieces: list[Piece] | None = None
        self._widest = 0

    def show(self, preview: Preview | None) -> None:
        """Show a preview from its start, or nothing."""
        body = preview.body if preview else Lines(())
        self._texts.clear()
        if isinstance(body, Table):
            self._show_table(body)
            wrap = False
        else:
            self._show_lines(body.lines)
            wrap = body.wrap
        if self.wrap == wrap:
            self._lay_out()
        self.wrap = wrap
        self.scroll_to(0, 0, animate=False, immediate=True)

    def lines(self) -> Sequence[str]:
        """The visible lines as text, for tests."""
        texts = [*self._head, *(self._line(n) for n in range(self._count))]
        return [text.plain for text in texts]

    def action_wrap(self) -> None:
        """Wrap long lines, or not."""
        self.wrap = not self.wrap

    def watch_wrap(self) -> None:
        """Lay the lines out again."""
        self.scroll_x = 0
        self._lay_out()

    def on_resize(self) -> None:
        """Wrap to the new width."""
        self._lay_out()

    def notify_style_update(self) -> None:
        """Draw in other colours."""
        super().notify_style_update()
        self._texts.clear()

    def render_line(self, y: int) -> Strip:
        """One row; the header of a table does not scroll."""
        width = self.scrollable_content_region.width
        left, top = self.scroll_offset
        style = self.rich_style
        if y < len(self._head):
            text = self._head[y]
            style += self.get_component_rich_style("preview--header", partial=True)
        elif (piece := self._piece(top + y - len(self._head))) is not None:
            line, start, end = piece
            text = self._line(line)
            if self._pieces is not None:
                text, left = text[start:end], 0
            if indent := self._indent(line):
                text = Text(" " * indent, end="") + text
        else:
            return Strip.blank(width, style)
        strip = Strip(text.render(self.app.console)).crop_extend(left, left + width, style)
        return strip.apply_style(style)

    def _piece(self, row: int) -> Piece | None:
        if self._pieces is not None:
            return self._pieces[row] if row < len(self._pieces) else None
        return (row, 0, 0) if row < self._count else None

    def _line(self, number: int) -> Text:
        if number not in self._texts:
            self._texts[number] = self._text(number)
        return self._texts[number]

    def _lay_out(self) -> None:
        width = max(self.scrollable_content_region.width, 1)
        self._pieces = None
        if self.wrap:
            self._pieces = [
                (n, start, end)
                for n in range(self._count)
                for start, end in self._breaks(n, max(width - self._indent(n), 1))
            ]
            self.virtual_size = Size(0, len(self._pieces) + len(self._head))
        else:
            self.virtual_size = Size(self._widest, self._count + len(self._head))
        self.refresh()

    def _breaks(self, number: int, width: int) -> Iterable[tuple[int, int]]:
        """Break a line; most lines contain only printable text and need no styling for that."""
        raw = self._raw(number)
        return breaks(raw if raw.isprintable() else self._line(number).plain, width)

    def _show_lines(self, lines: Sequence[Line]) -> None:
        self._head, self._count = [], len(lines)
        self._widest = max((len(line.text) for line in lines), default=0)
        if not all(line.text.isascii() for line in lines):
            self._widest = max((cell_len(line.text) for line in lines), default=0)
        self._text = lambda n: self._styled(lines[n])
        self._indent = lambda n: lines[n].indent
        self._raw = lambda n: _bare(lines[n])

    def _show_table(self, table: Table) -> None:
        names, types = [plain(name) for name in table.columns], [plain(kind) for kind in table.types]
        rows = [[plain(cell) for cell in row] for row in table.rows]
        shown = [names, types, *rows] if any(types) else [names, *rows]
        widths = [min(_WIDEST_CELL, max(map(cell_len, column))) for column in zip(*shown, strict=True)]
        right = table.numeric or [False] * len(names)

        def line(cells: Sequence[str]) -> str:
            return _GAP.join(_aligned(*cell) for cell in zip(cells, widths, right, strict=True))

        def line_of(number: int) -> str:
            return line(rows[number])

        self._head = [Text(line(names), end="")]
        if any(types):
            self._head.append(Text(line(types), self._part("note"), end=""))
        self._count, self._widest = len(rows), sum(widths) + len(_GAP) * max(len(widths) - 1, 0)
        self._text = lambda n: Text(line_of(n), end="")
        self._indent = lambda _: 0
        self._raw = line_of

    def _styled(self, line: Line) -> Text:
        match line.look:
            case "terminal":
                return read_terminal(line.text)
            case "json" | "yaml" | "hex" | "share":
                pattern = _PATTERNS[line.look]
                return self._coloured(escape_controls(line.text).expandtabs(4), pattern)
            case "heading" | "role" | "note":
                shown = Text((_EDGE if line.look == "role" else "") + plain(line.text), end="")
                # As a span: a base style is lost where a line is broken.
                shown.stylize(self._part(line.look))
                return shown
        return Text(escape_controls(line.text).expandtabs(4), end="")

    def _coloured(self, text: str, pattern: re.Pattern[str]) -> Text:
        shown = Text(text, end="")
        for match in pattern.finditer(text):
            if match.lastgroup:
                shown.stylize(self._part(match.lastgroup), *match.span())
        return shown

    def _part(self, name: str) -> Style:
        return self.get_component_rich_style(f"preview--{name}", partial=True)


def _bare(line: Line) -> str:
    """The text of a line, if all of it is printable."""
    if line.look == "terminal":
        return _SGR.sub("", line.text)
    return _EDGE + line.text if line.look == "role" else line.text


def breaks(text: str, width: int) -> Iterator[tuple[int, int]]:
    """Where a line breaks into rows of at most `width` cells: after a space, if there is one."""
    start, end = 0, len(text)
    wide = not text.isascii()
    while start < end:
        stop = min(start + width, end)
        while wide and stop > start + 1 and cell_len(text[start:stop]) > width:
            stop -= max(1, (cell_len(text[start:stop]) - width) // 2)
        if stop < end and (blank := text.rfind(" ", start, stop)) > start + width // 3:
            stop = blank + 1
        yield start, stop
        start = stop
    if not end:
        yield 0, 0


def _aligned(text: str, width: int, right: bool) -> str:
    return (
        " " * max(width - cell_len(text), 0) + text if right and cell_len(text) <= width else fit(text, width)
    )

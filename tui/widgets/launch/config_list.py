"""The list of configs at the left of the launch form, with a preview of the highlighted one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, ClassVar, Self

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.message import Message
from textual.widget import Widget
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui.text.format import plain

DEFAULTS = "(defaults)"


class _Configs(OptionList):
    """The names of the configs."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False, id="configs.down"),
        Binding("k", "cursor_up", "Up", show=False, id="configs.up"),
    ]


class ConfigList(Widget):
    """Configs, and a preview of one."""

    DEFAULT_CSS = """
    ConfigList { layout: vertical; height: 1fr; }
    ConfigList OptionList.-textual-compact {
        height: auto; max-height: 45%; border: none; padding: 0; background: $background;
        scrollbar-size-vertical: 1;
    }
    ConfigList OptionList:focus { background-tint: $foreground 0%; }
    ConfigList OptionList > .option-list--option-highlighted {
        background: $panel; color: $foreground; text-style: bold;
    }
    ConfigList OptionList:focus > .option-list--option-highlighted {
        background: $primary-muted; color: $foreground; text-style: bold;
    }
    ConfigList OptionList:ansi:focus > .option-list--option-highlighted { text-style: reverse; }
    ConfigList VerticalScroll {
        height: 1fr; border-top: solid $panel; scrollbar-size-vertical: 1; background: $background;
        &:focus { border-top: solid $primary; }
    }
    ConfigList VerticalScroll > Static { height: auto; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    @dataclass
    class Chosen(Message):
        """Another config is highlighted; None: the defaults."""

        config: str | None

    class Taken(Message):
        """Enter was pressed on a config."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._typed: dict[str | None, int] = {}

    def compose(self) -> ComposeResult:
        """Names above, the preview below."""
        yield _Configs(compact=True)
        with VerticalScroll():
            yield Static("")

    def show(
        self, configs: Sequence[str | None], chosen: str | None, typed: Mapping[str | None, int]
    ) -> None:
        """Show configs by path, with the number of edited values."""
        self._typed = dict(typed)
        options = self.query_one(_Configs)
        with options.prevent(OptionList.OptionHighlighted):
            options.set_options(Option(self._prompt(c), id=c or DEFAULTS) for c in configs)
            options.highlighted = configs.index(chosen) if chosen in configs else None

    def mark(self, config: str | None, typed: int) -> None:
        """Show the number of edited values of a config."""
        self._typed[config] = typed
        self.query_one(_Configs).replace_option_prompt(config or DEFAULTS, self._prompt(config))

    def on_resize(self) -> None:
        """Cut the names to the new width."""
        options = self.query_one(_Configs)
        for option in options.options:
            config = None if option.id == DEFAULTS else option.id
            options.replace_option_prompt(str(option.id), self._prompt(config))

    def _prompt(self, config: str | None) -> Content:
        typed = f" •{self._typed[config]}" if self._typed.get(config) else ""
        room = max(self.content_size.width - len(typed) - 1, 8)
        name = Content(_middle(_name(config), room)) if config else Content.styled(DEFAULTS, "italic")
        return name + Content.styled(typed, "$accent")

    def preview(self, text: str) -> None:
        """Show the text of the highlighted config."""
        self.query_one(Static).update(Content("\n").join(_highlighted(text)))
        self.query_one(VerticalScroll).scroll_home(animate=False)

    def focus(self, scroll_visible: bool = True) -> Self:
        """Focus the list."""
        self.query_one(_Configs).focus(scroll_visible)
        return self

    @on(OptionList.OptionHighlighted)
    def _highlighted_other(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        self.post_message(self.Chosen(None if event.option_id == DEFAULTS else event.option_id))

    @on(OptionList.OptionSelected)
    def _selected(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        self.post_message(self.Taken())


def _name(config: str) -> str:
    path = PurePath(config)
    known = path.parent == PurePath("configs") and path.suffix == ".yaml"
    return plain(path.stem if known else config)


def _middle(text: str, width: int) -> str:
    """A text cut in its middle: names of configs begin and end alike."""
    if len(text) <= width:
        return text
    tail = (width - 1) * 3 // 5
    return f"{text[: width - 1 - tail]}…{text[-tail:]}"


def _highlighted(text: str) -> Iterator[Content]:
    """YAML with dim comments and bold sections, with control characters escaped."""
    for line in text.splitlines():
        text = plain(line)
        at = _comment(text)
        body, comment = text[:at], text[at:]
        top = bool(body) and not body[0].isspace()
        yield Content.styled(body, "bold" if top else "") + Content.styled(comment, "$text-muted")


def _comment(line: str) -> int:
    """Index of a line's comment, or the length of the line."""
    quote = ""
    for at, char in enumerate(line):
        if quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "#" and (at == 0 or line[at - 1].isspace()):
            return at
    return len(line)

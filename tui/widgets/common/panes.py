"""Panes that share the screen, one at a time or several, with a line of tabs; each is built when first shown.

`pane_layout.py` decides which panes are visible.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from textual import on
from textual.app import ComposeResult, RenderResult
from textual.containers import Container
from textual.content import Content
from textual.events import Click, DescendantFocus
from textual.message import Message
from textual.widget import Widget

from tui.widgets.common.pane_layout import PaneLayout

Builder = Callable[[], Widget]


class PaneTabs(Widget):
    """The names of all panes with their keys; visible ones are highlighted."""

    DEFAULT_CSS = """
    PaneTabs { height: 1; padding: 0 1; color: $text-muted; background: $surface; }
    """

    @dataclass
    class Chosen(Message):
        """A name was clicked."""

        name: str

    def __init__(self, names: list[str]) -> None:
        super().__init__()
        self._names, self._seen, self._active = names, list[str](), ""
        self._note = ""

    def show(self, seen: list[str], active: str, note: str) -> None:
        """Show which panes are visible, and which one is active."""
        self._seen, self._active, self._note = seen, active, note
        self.refresh()

    def render(self) -> RenderResult:
        """`1 logs   2 charts …`, and a note at the right."""
        line = Content(" ").join([self._tab(number, name) for number, name in enumerate(self._names, 1)])
        gap = self.content_size.width - line.cell_length - len(self._note)
        return line + " " * gap + Content.styled(self._note, "$text-disabled") if gap > 0 else line

    def _tab(self, number: int, name: str) -> Content:
        if name == self._active:
            return Content.styled(f" {number} {name} ", "bold reverse $accent")
        style = "$foreground underline" if name in self._seen else "$text-muted"
        return Content.styled(f" {number} ", "$text-disabled") + Content.styled(name, style) + " "

    def on_click(self, event: Click) -> None:
        """Choose the clicked name."""
        left = 0
        for name in self._names:
            right = left + len(name) + 4
            if left <= event.x - 1 < right:
                self.post_message(self.Chosen(name))
            left = right + 1


class Pane(Container):
    """The frame of one pane."""

    DEFAULT_CSS = "Pane { height: 1fr; width: 1fr; }"


class Panes(Container):
    """Panes by name. `built` holds the widgets of panes that were ever shown."""

    DEFAULT_CSS = """
    Panes { height: 1fr; }
    Panes #panes-grid { layout: grid; height: 1fr; grid-gutter: 0; }
    """

    @dataclass
    class Rearranged(Message):
        """Other panes are visible, or another one is active."""

        layout: PaneLayout

    @dataclass
    class Built(Message):
        """A pane was built."""

        name: str
        widget: Widget

    def __init__(self, builders: Mapping[str, Builder], layout: PaneLayout, id: str | None = None) -> None:
        super().__init__(id=id)
        self.built: dict[str, Widget] = {}
        self._builders, self._layout = dict(builders), layout
        self._frames: dict[str, Pane] = {}
        self._changing = asyncio.Lock()

    def compose(self) -> ComposeResult:
        """Tabs above, panes below."""
        yield PaneTabs(list(self._builders))
        yield Container(id="panes-grid")

    @property
    def names(self) -> list[str]:
        """All panes, in the order of their keys."""
        return list(self._builders)

    @property
    def room(self) -> int:
        """Number of visible panes."""
        return self._layout.room(*self.screen.size)

    @property
    def seen(self) -> list[str]:
        """The visible panes."""
        return self._layout.seen(self.room)

    @property
    def current(self) -> str:
        """The active pane."""
        return self._layout.current

    async def on_mount(self) -> None:
        """Show the panes of the layout."""
        await self.follow_layout()

    async def on_resize(self) -> None:
        """Show as many panes as there is room for."""
        await self.follow_layout()

    async def show(self, name: str) -> Widget | None:
        """Activate and focus a pane; returns its widget."""
        if name in self._builders:
            self._layout.show(name, self.room)
            await self.follow_layout()
            self.focus_current()
        return self.built.get(name)

    async def zoom(self) -> None:
        """Maximize the active pane, or restore all."""
        self._layout.zoomed = not self._layout.zoomed
        await self.follow_layout()
        self.focus_current()

    async def split(self) -> None:
        """Show several panes, or one."""
        self._layout.split, self._layout.zoomed = self.room == 1, False
        await self.follow_layout()
        self.focus_current()

    def focus_current(self) -> None:
        """Focus the active pane, so that the very next key is its."""
        frame = self._frames.get(self.current)
        if frame is not None and not frame.has_focus_within:
            able = [widget for widget in frame.query("*") if widget.focusable]
            target = next((widget for widget in able if _is_displayed(widget, frame)), None)
            self.screen.set_focus(target or next(iter(able), None))

    async def follow_layout(self) -> None:
        """Show the panes of the layout, one change after another."""
        async with self._changing:
            await self._follow_layout()

    async def _follow_layout(self) -> None:
        seen = self.seen
        grid = self.query_one("#panes-grid")
        for name in seen:
            if name not in self._frames:
                await self._build(name)
        if not self.is_attached or any(self._frames[name].parent is not grid for name in seen):
            return  # the screen went meanwhile
        for name, frame in self._frames.items():
            frame.set_class(name not in seen, "-hidden")
            frame.set_class(len(seen) == 1, "-alone")
        for at, name in enumerate(seen):
            if grid.children[at] is not self._frames[name]:
                grid.move_child(self._frames[name], before=at)
        self._place(grid, [self._frames[name] for name in seen])
        self._tell(seen)

    async def _build(self, name: str) -> None:
        widget = self._builders[name]()
        frame = Pane(widget, classes="panel")
        frame.border_title = name
        self.built[name], self._frames[name] = widget, frame
        await self.query_one("#panes-grid").mount(frame)
        self.post_message(self.Built(name, widget))

    def _place(self, grid: Widget, frames: list[Pane]) -> None:
        beside = len(frames) > 1 and self.screen.size.width >= 100
        grid.styles.grid_size_columns = 2 if beside else 1
        grid.styles.grid_size_rows = 2 if len(frames) == 3 or (len(frames) == 2 and not beside) else 1
        for at, frame in enumerate(frames):
            frame.styles.row_span = 2 if len(frames) == 3 and at == 0 else 1

    def _tell(self, seen: list[str]) -> None:
        note = "z zoom back" if self._layout.zoomed else ""
        self.query_one(PaneTabs).show(seen, self.current, note)
        self.post_message(self.Rearranged(self._layout))

    @on(PaneTabs.Chosen)
    async def _chosen(self, event: PaneTabs.Chosen) -> None:
        event.stop()
        await self.show(event.name)

    def on_descendant_focus(self, _: DescendantFocus) -> None:
        """Activate the pane that has the focus now."""
        for name, frame in self._frames.items():
            if frame.has_focus_within and name in self.seen and name != self.current:
                self._layout.active = self._layout.places.index(name)
                self._tell(self.seen)

    def state(self) -> dict[str, Any]:
        """UI state to save."""
        return self._layout.state()


def _is_displayed(widget: Widget, frame: Widget) -> bool:
    """Whether a widget and its ancestors up to a frame are displayed."""
    path = widget.ancestors_with_self
    return all(isinstance(node, Widget) and node.display for node in path[: path.index(frame)])

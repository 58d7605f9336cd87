"""The list of volumes by backend; a backend that is pending or failed has a message in their place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.backends.base import VolumeInfo
from tui.text.format import age, plain, size


class VolumeList(OptionList):
    """Two lines per volume: name and size."""

    DEFAULT_CSS = """
    VolumeList.-textual-compact {
        height: 1fr; border: none; padding: 0; background: $background; scrollbar-size-vertical: 1;
        & > .option-list--option { padding: 0 1; }
        & > .option-list--option-disabled { color: $text-muted; }
        &:focus { background-tint: $foreground 0%; }
        & > .option-list--option-highlighted { background: $panel; color: $foreground; }
        &:focus > .option-list--option-highlighted {
            background: $primary-muted; color: $foreground; text-style: none;
        }
        & > .option-list--option-hover { background: $surface; }
        &:ansi > .option-list--option-highlighted { background: ansi_default; text-style: underline; }
        &:ansi:focus > .option-list--option-highlighted { background: ansi_default; text-style: reverse; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "select", "Open", id="volumes.open"),
        Binding("right,l", "select", "Open", show=False, id="volumes.unfold"),
        Binding("j", "cursor_down", "Down", show=False, id="volumes.down"),
        Binding("k", "cursor_up", "Up", show=False, id="volumes.up"),
        Binding("g", "first", "First volume", show=False, id="volumes.first"),
        Binding("G", "last", "Last volume", show=False, id="volumes.last"),
    ]

    @dataclass
    class Chosen(Message):
        """Open a volume."""

        info: VolumeInfo

    @dataclass
    class Moved(Message):
        """The user put the cursor on a volume."""

        info: VolumeInfo

    def __init__(self, backends: Sequence[str], now: Callable[[], float], **options: Any) -> None:
        super().__init__(compact=True, **options)
        self._now = now
        self._messages = {name: "asking …" for name in backends}
        self._infos: dict[str, list[VolumeInfo]] = {}
        self._sizes: dict[tuple[str, str], int] = {}

    @property
    def infos(self) -> list[VolumeInfo]:
        """All known volumes, in order."""
        return [info for infos in self._infos.values() for info in infos]

    @property
    def info(self) -> VolumeInfo | None:
        """The volume under the cursor."""
        at = self.highlighted
        chosen = self.get_option_at_index(at).id if at is not None else None
        return next((info for info in self.infos if _id(info) == chosen), None)

    def put(self, backend: str, infos: Sequence[VolumeInfo]) -> None:
        """Set the volumes of a backend."""
        self._infos[backend] = list(infos)
        self._messages[backend] = "" if infos else "no volume yet: a run makes them"
        self._lay_out()

    def say(self, backend: str, text: str) -> None:
        """Show a message in place of the volumes of a backend."""
        self._messages[backend] = text
        self._lay_out()

    def put_size(self, info: VolumeInfo, count: int) -> None:
        """Set the size of a volume (bytes)."""
        self._sizes[info.backend, info.name] = count
        self._lay_out()

    def go_to(self, info: VolumeInfo) -> None:
        """Put the cursor on a volume, without a message."""
        with self.prevent(OptionList.OptionHighlighted):
            self.highlighted = self.get_option_index(_id(info))

    def on_mount(self) -> None:
        """Show the pending backends."""
        self._lay_out()

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Open the volume."""
        event.stop()
        if self.info is not None:
            self.post_message(self.Chosen(self.info))

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Report the volume under the cursor."""
        event.stop()
        if self.info is not None:
            self.post_message(self.Moved(self.info))

    def _lay_out(self) -> None:
        before = self.info
        options: list[Option] = []
        for backend, message in self._messages.items():
            head = Content.styled(backend, "bold $text-muted")
            if message:
                head += Content.styled(
                    f"\n{plain(message)}", "$warning" if message.startswith("!") else "$text-muted"
                )
            options.append(Option(head, disabled=True))
            options += [Option(self._prompt(info), id=_id(info)) for info in self._infos.get(backend, ())]
        self.set_options(options)
        if before is not None and before in self.infos:
            self.go_to(before)
        elif self.infos:
            self.go_to(self.infos[0])

    def _prompt(self, info: VolumeInfo) -> Content:
        much = self._sizes.get((info.backend, info.name))
        parts = ["…" if much is None else size(much)]
        if info.created:
            parts.append(f"{age(self._now() - info.created)} old")
        return Content(f"{plain(info.name)}\n") + Content.styled(f"  {' · '.join(parts)}", "$text-muted")


def _id(info: VolumeInfo) -> str:
    return f"{info.backend}:{info.name}"

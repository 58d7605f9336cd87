"""The command palette: every key's action, and runs, configs, fields, themes and volumes by name.

Owns what is offered and in which order. Doing it is left to whoever answers the request that is posted;
what a word matches is `palette_match`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from textual import on
from textual.command import Command, CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from remote.contract.errors import VfmError
from tui.screens import requests as ask
from tui.screens.app_base import Desk, desk
from tui.screens.key_names import keys_of
from tui.screens.palette_match import Match, match
from tui.text.format import plain

_PATIENCE = 4.0  # seconds that a source may take before the palette goes on without it
_MOST = 60  # hits of one kind
_RECENT = 5  # runs that are offered before a word is typed
_KIND = 7  # columns
_MOVES = frozenset({"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "tab", "shift+tab"})


@dataclass(frozen=True)
class Offer:
    """One thing that can be chosen."""

    kind: str
    """run, config, field, theme, volume, or the key of an action."""
    title: str
    detail: str
    do: Callable[[], Any]
    is_key: bool = False

    def line(self, match_: Match | None = None, style: str = "bold underline") -> Content:
        """Kind, title with what matched, detail: one line."""
        title = Content(self.title)
        for start, end in match_.spans if match_ else ():
            title = title.stylize(style, start, end)
        line = (
            Content.styled(self.kind.ljust(_KIND), "$accent" if self.is_key else "$text-muted") + "  " + title
        )
        return line + Content.styled(f"  {self.detail}", "$text-muted") if self.detail else line


class Palette(CommandPalette):
    """Textual's palette in the app's clothes."""

    DEFAULT_CSS = """
    Palette { background: $background 60%; }
    Palette > Vertical { margin: 2 4; max-width: 110; background: transparent; }
    Palette:dark > Vertical { background: transparent; }
    Palette #--input { border: round $primary; background: $surface; }
    Palette #--input.--list-visible { border: round $primary; border-bottom: none; }
    Palette SearchIcon { display: none; }
    Palette CommandInput, Palette CommandInput:focus { border: none; padding: 0 1; height: 1; }
    Palette CommandList, Palette CommandList:focus, Palette CommandList.--populating {
        border: round $primary; border-top: none; padding: 0; max-height: 70vh;
        background: $surface; text-wrap: nowrap; text-overflow: ellipsis;
    }
    Palette CommandList > .option-list--option { padding: 0 1; text-style: none; }
    Palette CommandList > .option-list--option-highlighted {
        background: $primary 25%; color: $foreground; text-style: none;
    }
    """

    _fresh = True
    """Whether the list is that of the words in the input, or still of those before."""
    _chosen_blind = False

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__(
            [Everything, *below.COMMANDS], placeholder="Search actions, runs, configs, fields, themes…"
        )

    @on(Input.Changed)
    def _words_changed(self) -> None:
        self._fresh = self._chosen_blind = False

    @on(Input.Submitted)
    def _wait_for_the_list(self, event: Input.Submitted) -> None:
        """Enter means what the words find, never what stood there before them."""
        if not self._fresh:
            event.prevent_default().stop()
            self._chosen_blind = True

    def _refresh_command_list(
        self, command_list: CommandList, commands: list[Command], clear_current: bool
    ) -> None:
        super()._refresh_command_list(command_list, commands, clear_current)
        self._fresh = True
        if self._chosen_blind and commands:
            self._chosen_blind = False
            self.call_later(self._action_command_list, "select")


class Everything(Provider):
    """All sources in one, so that their order is ours."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._slow: list[asyncio.Task[list[Offer]]] = []
        self._quick: list[Offer] = []

    @property
    def desk(self) -> Desk:
        """The app."""
        return desk(self.screen)

    async def startup(self) -> None:
        """What is at hand at once; what must be read is on its way meanwhile."""
        self._quick = [*self._actions(), *self._extras()]
        sources = (self._runs, self._configs, self._themes, self._fields, self._volumes)
        self._slow = [asyncio.create_task(self._patiently(source)) for source in sources]

    async def shutdown(self) -> None:
        """Nobody waits for what was on its way."""
        for task in self._slow:
            task.cancel()

    async def discover(self) -> Hits:
        """What can be done here, the newest runs, the configs."""
        runs, configs = self._slow[:2]
        for offer in (*self._quick, *(await runs)[:_RECENT], *await configs):
            yield DiscoveryHit(offer.line(), offer.do, text=offer.title)

    async def search(self, query: str) -> Hits:
        """Everything that the words match, off the event loop."""
        for task in (None, *self._slow):
            offers = self._quick if task is None else await task
            for matched, offer in await asyncio.to_thread(_best, query, offers):
                yield Hit(matched.score, offer.line(matched), offer.do, text=offer.title)

    def _actions(self) -> Iterator[Offer]:
        """The bindings that work now and have a name, from the focused widget outwards.

        What merely moves is left to the keys.
        """
        active = sorted(self.screen.active_bindings.values(), key=lambda one: one.binding.action == "back")
        seen = {(id(a.node), a.binding.action) for a in active if a.binding.key in _MOVES}
        for node, binding, enabled, _ in active:
            named = binding.id and binding.description and binding.action != "command_palette"
            if enabled and named and (id(node), binding.action) not in seen:
                seen.add((id(node), binding.action))
                do = partial(self.app.run_action, binding.action, node)
                yield Offer(keys_of(self.app, binding), binding.description, "", do, is_key=True)

    def _extras(self) -> Iterator[Offer]:
        """What has no key of its own."""
        extras: tuple[tuple[str, str, Callable[[], Any]], ...] = (
            ("New run", "the launch form", partial(self._post, ask.LaunchRequested())),
            ("Volumes", "files of every run", partial(self._post, ask.FilesRequested())),
            ("Write settings.toml", "every key and colour, to change", partial(self._run, "write_settings")),
            ("Picture of the screen", "as SVG", self.app.deliver_screenshot),
        )
        for title, detail, do in extras:
            yield Offer("do", title, detail, do)

    async def _runs(self) -> list[Offer]:
        def offers() -> list[Offer]:
            return [
                Offer("run", plain(run_id), plain(words), partial(self._post, ask.RunRequested(run_id)))
                for run_id, words in self.desk.known_runs()
            ]

        return await asyncio.to_thread(offers)  # there may be ten thousand

    async def _themes(self) -> list[Offer]:
        names = sorted(self.app.available_themes, key=lambda name: (not name.startswith("vfm"), name))
        return [
            Offer(
                "theme",
                name,
                "the theme now" if name == self.app.theme else "",
                partial(setattr, self.app, "theme", name),
            )
            for name in names
        ]

    async def _configs(self) -> list[Offer]:
        found = await asyncio.to_thread(_configs_of, self.desk)
        return [
            Offer("config", name, about, partial(self._post, ask.LaunchRequested(config=path)))
            for name, path, about in found
        ]

    async def _fields(self) -> list[Offer]:
        found = await asyncio.to_thread(_fields)
        return [
            Offer("field", key, help_, partial(self._post, ask.LaunchRequested(field=key)))
            for key, help_ in found
        ]

    async def _volumes(self) -> list[Offer]:
        client = await self.desk.connect()
        return [
            Offer(
                "volume",
                info.name,
                info.backend,
                partial(self._post, ask.FilesRequested(info.backend, info.name)),
            )
            for info in (await client.volumes()).rows
        ]

    async def _patiently(self, source: Callable[[], Awaitable[list[Offer]]]) -> list[Offer]:
        """A source that hangs or is broken is left out: its own screen says what is wrong with it."""
        try:
            return await asyncio.wait_for(source(), _PATIENCE)
        except (TimeoutError, VfmError, OSError):
            return []

    def _post(self, message: Message) -> None:
        self.screen.post_message(message)

    def _run(self, action: str) -> Awaitable[bool]:
        return self.app.run_action(action)


def _best(query: str, offers: list[Offer]) -> list[tuple[Match, Offer]]:
    found = [
        (matched, o) for o in offers if (matched := match(query, o.title, o.detail, fuzzy=o.kind != "run"))
    ]
    return sorted(found, key=lambda pair: -pair[0].score)[:_MOST]


def _configs_of(desk: Desk) -> list[tuple[str, str, str]]:
    """Name, path and the first words of every config."""
    from tui.config.yaml_files import list_configs

    folder = desk.settings.project_dir / "configs"
    return [
        (plain(path.name), str(path), plain(_about(path.read_text(errors="replace"))))
        for path in list_configs(folder)
    ]


def _about(text: str) -> str:
    """A config's first comment."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    return first.strip("# ").strip() if first.startswith("#") else ""


def _fields() -> list[tuple[str, str]]:
    from tui.config.schema import rows

    return [(row.key, row.help) for row in rows()]

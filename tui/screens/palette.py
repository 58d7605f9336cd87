"""The command palette: every key's action, and runs, configs, fields, themes and volumes by name.

A query's words may come in any order; where they do not all occur, its letters may (`lmx` finds
`learning_rate_max`), which counts for less.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from textual import on
from textual.command import Command, CommandList, CommandPalette, DiscoveryHit, Hit, Hits, Provider
from textual.content import Content
from textual.message import Message
from textual.screen import Screen
from textual.widgets import Input

from remote.contract.errors import VfmError
from tui.screens import requests
from tui.screens.app_base import AppBase
from tui.screens.key_names import keys_of
from tui.text.format import plain

_TIMEOUT = 4.0  # seconds, of one source
_MOST_HITS = 60  # of one source
_RECENT_RUNS = 5  # without a query
_KIND_WIDTH = 7  # columns
_MOVES = frozenset({"up", "down", "left", "right", "home", "end", "pageup", "pagedown", "tab", "shift+tab"})


Span = tuple[int, int]


@dataclass(frozen=True)
class Match:
    """How well (0 to 1) a query matches, and which parts of the title match."""

    score: float
    spans: tuple[Span, ...] = ()


@dataclass(frozen=True)
class Offer:
    """One command that can be chosen."""

    kind: str
    """run, config, field, theme, volume, or the key of an action."""
    title: str
    detail: str
    do: Callable[[], Any]
    is_key: bool = False

    def line(self, match_: Match | None = None, style: str = "bold underline") -> Content:
        """Kind, title with its matching parts in `style`, and detail, on one line."""
        title = Content(self.title)
        for start, end in match_.spans if match_ else ():
            title = title.stylize(style, start, end)
        line = (
            Content.styled(self.kind.ljust(_KIND_WIDTH), "$accent" if self.is_key else "$text-muted")
            + "  "
            + title
        )
        return line + Content.styled(f"  {self.detail}", "$text-muted") if self.detail else line


class Palette(CommandPalette):
    """Textual's command palette with the app's commands and style."""

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

    _is_current = True
    """Whether the list shows the hits of the query in the input, and not of an earlier one."""
    _submit_pending = False

    def __init__(self, below: Screen[Any]) -> None:
        super().__init__(
            [Commands, *below.COMMANDS], placeholder="Search actions, runs, configs, fields, themes…"
        )

    @on(Input.Changed)
    def _query_changed(self) -> None:
        self._is_current = self._submit_pending = False

    @on(Input.Submitted)
    def _wait_for_the_list(self, event: Input.Submitted) -> None:
        """Enter selects a hit of this query, never of an earlier one."""
        if not self._is_current:
            event.prevent_default().stop()
            self._submit_pending = True

    def _refresh_command_list(
        self, command_list: CommandList, commands: list[Command], clear_current: bool
    ) -> None:
        super()._refresh_command_list(command_list, commands, clear_current)
        self._is_current = True
        if self._submit_pending and commands:
            self._submit_pending = False
            self.call_later(self._action_command_list, "select")


class Commands(Provider):
    """All sources in one provider, which fixes their order."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._slow: list[asyncio.Task[list[Offer]]] = []
        self._quick: list[Offer] = []

    @property
    def _vfm(self) -> AppBase:
        return cast(AppBase, self.app)

    async def startup(self) -> None:
        """Collect the actions now, and start reading the other sources."""
        self._quick = [*self._actions(), *self._extras()]
        sources = (self._runs, self._configs, self._themes, self._fields, self._volumes)
        self._slow = [asyncio.create_task(self._with_timeout(source)) for source in sources]

    async def shutdown(self) -> None:
        """Stop reading."""
        for task in self._slow:
            task.cancel()

    async def discover(self) -> Hits:
        """Without a query: the actions, the newest runs, the configs."""
        runs, configs = self._slow[:2]
        for offer in (*self._quick, *(await runs)[:_RECENT_RUNS], *await configs):
            yield DiscoveryHit(offer.line(), offer.do, text=offer.title)

    async def search(self, query: str) -> Hits:
        """All that matches the query; matching runs off the event loop."""
        for task in (None, *self._slow):
            offers = self._quick if task is None else await task
            for matched, offer in await asyncio.to_thread(_best, query, offers):
                yield Hit(matched.score, offer.line(matched), offer.do, text=offer.title)

    def _actions(self) -> Iterator[Offer]:
        """The bindings that work now and have an id, from the focused widget outwards; no mere movement."""
        active = sorted(
            self.screen.active_bindings.values(), key=lambda active: active.binding.action == "back"
        )
        seen = {(id(a.node), a.binding.action) for a in active if a.binding.key in _MOVES}
        for node, binding, enabled, _ in active:
            named = binding.id and binding.description and binding.action != "command_palette"
            if enabled and named and (id(node), binding.action) not in seen:
                seen.add((id(node), binding.action))
                do = partial(self.app.run_action, binding.action, node)
                yield Offer(keys_of(self.app, binding), binding.description, "", do, is_key=True)

    def _extras(self) -> Iterator[Offer]:
        """Actions that have no key."""
        extras: tuple[tuple[str, str, Callable[[], Any]], ...] = (
            ("New run", "the launch form", partial(self._post, requests.LaunchRequested())),
            ("Volumes", "files of every run", partial(self._post, requests.FilesRequested())),
            ("Write settings.toml", "every key and colour, to change", partial(self._run, "write_settings")),
            ("Picture of the screen", "as SVG", self.app.deliver_screenshot),
        )
        for title, detail, do in extras:
            yield Offer("do", title, detail, do)

    async def _runs(self) -> list[Offer]:
        def offers() -> list[Offer]:
            return [
                Offer(
                    "run",
                    plain(row.run_id),
                    plain(f"{row.status} · {row.environment} · {row.model}"),
                    partial(self._post, requests.RunRequested(row.run_id)),
                )
                for row in self._vfm.rows
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
        found = await asyncio.to_thread(_configs_of, self._vfm)
        return [
            Offer("config", name, about, partial(self._post, requests.LaunchRequested(config=path)))
            for name, path, about in found
        ]

    async def _fields(self) -> list[Offer]:
        found = await asyncio.to_thread(_fields)
        return [
            Offer("field", key, help_, partial(self._post, requests.LaunchRequested(field=key)))
            for key, help_ in found
        ]

    async def _volumes(self) -> list[Offer]:
        client = await self._vfm.connect()
        return [
            Offer(
                "volume",
                info.name,
                info.backend,
                partial(self._post, requests.FilesRequested(info.backend, info.name)),
            )
            for info in (await client.volumes()).rows
        ]

    async def _with_timeout(self, source: Callable[[], Awaitable[list[Offer]]]) -> list[Offer]:
        """Read a source; one that hangs or fails is left out, since its own screen tells the error."""
        try:
            return await asyncio.wait_for(source(), _TIMEOUT)
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
    return sorted(found, key=lambda pair: -pair[0].score)[:_MOST_HITS]


def _configs_of(app: AppBase) -> list[tuple[str, str, str]]:
    """Name, path and first comment of every config."""
    from tui.config.yaml_files import list_configs

    folder = app.settings.project_dir / "configs"
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


def match(query: str, title: str, detail: str = "", *, fuzzy: bool = True) -> Match | None:
    """Match a query with a title and its detail; None if it does not match."""
    terms, name, rest = query.casefold().split(), title.casefold(), detail.casefold()
    if not terms:
        return None
    if all(word in name or word in rest for word in terms):
        return _by_words(terms, name)
    return _by_letters("".join(terms), name) if fuzzy else None


def _by_words(terms: list[str], name: str) -> Match:
    spans = tuple((name.index(word), name.index(word) + len(word)) for word in terms if word in name)
    in_title = len(spans) / len(terms)
    at_start = sum(start == 0 or not name[start - 1].isalnum() for start, _ in spans) / len(terms)
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

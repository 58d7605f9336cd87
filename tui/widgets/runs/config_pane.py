"""What a run was made from: every value of its config with where it comes from, and what else is on record.

Owns filtering and marking. Reading the run's file into rows is `config/run_config.py`'s.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from rich.cells import cell_len
from textual import on, work
from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from remote.contract import layout
from remote.contract.errors import VfmError
from remote.contract.json_text import from_json
from tui.text.format import duration, moment, pad, plain
from tui.widgets.common.clipboard import copy
from tui.widgets.common.filter_input import FilterInput

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client
    from tui.config.resolved_rows import ConfigValue

_WIDEST_VALUE, _WIDEST_SOURCE = 24, 40


@dataclass(frozen=True)
class Fact:
    """A line of the pane: a value of the config, or something else on record."""

    section: str
    name: str
    value: str
    source: str = ""
    default: str = ""
    sign: str = " "
    """`≠` differs from the default, `✎` typed by the user."""
    key: str = ""
    """Dotted, for values of the config."""
    help: str = ""

    @property
    def id(self) -> str:
        """Its own among all facts."""
        return f"{self.section}.{self.name}"

    def matches(self, pattern: str) -> bool:
        """Whether every word of the pattern is somewhere in it."""
        told = f"{self.section}.{self.name} {self.value} {self.source}".lower()
        return all(word in told for word in pattern.lower().split())


class FactList(OptionList):
    """Facts, one a line."""

    DEFAULT_CSS = """
    FactList.-textual-compact {
        height: 1fr; border: none; padding: 0 0 0 1; background: transparent;
        text-wrap: nowrap; text-overflow: ellipsis; scrollbar-size-vertical: 1;
    }
    FactList > .option-list--option-disabled { color: $primary; text-style: bold; }
    FactList > .option-list--option-highlighted {
        background: $panel; color: $foreground; text-style: none;
    }
    FactList:focus > .option-list--option-highlighted { background: $primary-muted; }
    FactList:ansi:focus > .option-list--option-highlighted { text-style: reverse; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "cursor_down", "Down", show=False, id="facts.down"),
        Binding("k", "cursor_up", "Up", show=False, id="facts.up"),
        Binding("g", "first", "First", show=False, id="facts.first"),
        Binding("G", "last", "Last", show=False, id="facts.last"),
    ]


class ConfigPane(Vertical):
    """The config of one run, and what else is on record of it."""

    DEFAULT_CSS = """
    ConfigPane { height: 1fr; width: 1fr; }
    ConfigPane #config-head { height: 1; padding: 0 1; color: $text-muted; }
    ConfigPane #config-help { height: auto; max-height: 3; padding: 0 1; background: $surface; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("slash", "ask", "Filter", id="config.filter"),
        Binding("o", "only", "Only what differs", id="config.only"),
        Binding("y", "copy", "Copy", show=False, id="config.copy"),
        Binding("escape", "leave", "Close", show=False, id="config.leave"),
    ]

    def __init__(self, client: Client, record: RunRecord, **options: Any) -> None:
        super().__init__(**options)
        self.only = False
        """Whether only what differs from the defaults is shown."""
        self._client, self._record = client, record
        self._filter, self._problem = "", ""
        self._config: list[Fact] = []
        self._bill = ""
        """What the backend's bill says, once it was asked; it is asked once the run is over."""
        self._shown: list[Fact] = []

    def compose(self) -> ComposeResult:
        """What is shown, the rows, the question, help."""
        yield Static(id="config-head")
        yield FactList(compact=True)
        yield FilterInput(placeholder=_PLACEHOLDER)
        yield Static(id="config-help")

    def on_mount(self) -> None:
        """Fetch the run's spec."""
        self._fetch()
        self._list()
        self._ask_bill()

    def show_record(self, record: RunRecord) -> None:
        """More may be on record than before."""
        if record is not self._record:
            self._record = record
            self._list()
            self._ask_bill()

    def state(self) -> dict[str, Any]:
        """What is worth remembering."""
        return {"only": self.only}

    def restore(self, state: dict[str, Any]) -> None:
        """As it was remembered."""
        self.only = bool(state.get("only"))
        self._list()

    @work(group="config", description="read the run's config", exclusive=True, exit_on_error=False)
    async def _fetch(self) -> None:
        record = self._record
        path = str(layout.run_path(record.run_id) / layout.SPEC)
        try:
            data = await self._client.read(record.outputs, path, backend=record.backend)
            self._config = await asyncio.to_thread(_config_of, data)
            self.query_one(FactList).highlighted = None  # from the begin: more stands above than before
        except VfmError as error:
            self._problem = f"its config is not to be had: {error.message}"
        except ValueError as error:
            self._problem = f"{path} is damaged: {error}"
        self._list()

    def _ask_bill(self) -> None:
        """Ask for the bill of a run that is over, once."""
        if self._record.backend != "local" and self._record.ended_already and not self._bill:
            self._bill = "asking …"
            self._list()
            self._fetch_bill()

    @work(group="bill", description="ask what the run was billed", exit_on_error=False)
    async def _fetch_bill(self) -> None:
        from tui.planning.price_text import billed

        try:
            amount = await self._client.billed(self._record)
            self._bill = "no bill says so yet" if amount is None else billed(amount)
        except VfmError as error:
            self._bill = f"not to be had: {error.message}"
        self._list()

    def _list(self) -> None:
        """The rows that are to be seen, by section."""
        facts = [*self._config, *_on_record(self._record), *_costs(self._record, self._bill)]
        shown = [fact for fact in facts if fact.matches(self._filter)]
        if self.only:
            shown = [fact for fact in shown if fact.sign != " "]
        listed = self.query_one(FactList)
        chosen = listed.highlighted_option.id if listed.highlighted_option else None
        self._shown = shown
        listed.set_options(_options(shown))
        ids = [option.id for option in listed.options]
        listed.highlighted = (
            ids.index(chosen) if chosen and chosen in ids else next((n for n, i in enumerate(ids) if i), None)
        )
        self._head()

    def _head(self) -> None:
        differ = sum(fact.sign != " " for fact in self._config)
        head = Content(plain(self._record.config_path or "no config file: defaults"))
        told = [f"{differ} of {len(self._config)} keys differ from the defaults"] if self._config else []
        told += ["only those are shown: o shows all"] if self.only else []
        said = Content.styled("".join(f" · {plain(text)}" for text in told), "$text-muted")
        problem = Content.styled(f" · ✗ {plain(self._problem)}", "$error") if self._problem else ""
        self.query_one("#config-head", Static).update(Content.styled(head.plain, "bold") + problem + said)

    def _help(self, text: str) -> None:
        self.query_one("#config-help", Static).update(Content(plain(text)))

    @on(OptionList.OptionHighlighted)
    def _highlighted(self, event: OptionList.OptionHighlighted) -> None:
        event.stop()
        fact = self._fact(event.option_id)
        if fact is not None:
            self._help(fact.help or f"{fact.section}: {fact.name}")

    @on(FilterInput.Typed)
    def _typed(self, event: FilterInput.Typed) -> None:
        event.stop()
        self._filter = event.text
        self._list()

    @on(FilterInput.Left)
    def _left(self, event: FilterInput.Left) -> None:
        event.stop()
        self.screen.set_focus(self.query_one(FactList))

    def _fact(self, option_id: str | None) -> Fact | None:
        return next((fact for fact in self._shown if fact.id == option_id), None)

    def action_ask(self) -> None:
        """Open the line to type into."""
        self.query_one(FilterInput).open()

    def action_only(self) -> None:
        """Only what differs from the defaults, or all."""
        self.only = not self.only
        self._list()

    def action_copy(self) -> None:
        """`key=value`, as `--set` takes it."""
        listed = self.query_one(FactList)
        fact = self._fact(listed.highlighted_option.id if listed.highlighted_option else None)
        if fact is not None:
            copy(self, f"{fact.key}={fact.value}" if fact.key else fact.value, fact.name)

    def action_leave(self) -> None:
        """Escape: the filter first, then the screen's own."""
        if not self.query_one(FilterInput).text:
            raise SkipAction
        self.query_one(FilterInput).clear()


_PLACEHOLDER = "words of keys, values or where they come from; Enter keeps, Escape clears"


def _config_of(data: bytes) -> list[Fact]:
    """The rows of a spec file. Raises `ValueError`."""
    from tui.config.resolved_rows import run_config

    document = from_json(data)
    return [_fact_of(value) for value in run_config(document if isinstance(document, dict) else {})]


def _fact_of(value: ConfigValue) -> Fact:
    sign = "✎" if value.layer == "set" else "≠" if value.differs else " "
    return Fact(
        value.section, value.name, value.value, value.source, value.default, sign, value.key, value.help
    )


def _on_record(record: RunRecord) -> Iterator[Fact]:
    git = record.git.get("revision")
    told: Sequence[tuple[str, str, Any]] = (
        ("run", "id", record.run_id),
        ("run", "kind", record.kind),
        ("run", "experimenter", record.experimenter),
        ("run", "experiment", record.experiment),
        ("run", "created", moment(record.created)),
        ("run", "started", moment(record.started)),
        ("run", "ended", moment(record.ended)),
        (
            "run",
            "git revision",
            f"{git}{' with changes' if record.git.get('dirty') else ''}" if git else None,
        ),
        ("run", "backend", record.backend),
        *(("identifiers", name, value) for name, value in record.identifiers.items()),
        ("volumes", "outputs", record.outputs),
        ("volumes", "path", layout.run_path(record.run_id)),
        *(("versions", name, value) for name, value in record.versions.items()),
    )
    return (Fact(section, name, "–" if value is None else str(value)) for section, name, value in told)


def _costs(record: RunRecord, bill: str) -> Iterator[Fact]:
    """Attempts, and what they cost; of a run under way the screen's status line says how much by now."""
    from tui.planning.price_text import usd
    from tui.services.price import estimate
    from tui.store.logs.event_text import because

    for number, attempt in enumerate(record.attempts, 1):
        took = "" if attempt.ended is None else f"{duration(attempt.ended - attempt.started)} · "
        why = because(attempt.why) if attempt.why else "under way"
        yield Fact("attempts", f"attempt {number}", f"{took}{why}")
    cost = estimate(record, record.ended) if record.ended else None
    if record.usd_per_hour is not None:
        yield Fact("cost", "an hour", usd(record.usd_per_hour))
    if cost is not None:
        yield Fact("cost", "estimated", usd(cost))
    if bill:
        yield Fact("cost", "billed", bill)


def _options(facts: Sequence[Fact]) -> Iterator[Option]:
    names = max((cell_len(plain(fact.name)) for fact in facts), default=0)
    values = min(max((cell_len(plain(fact.value)) for fact in facts if fact.key), default=0), _WIDEST_VALUE)
    sources = max((cell_len(plain(fact.source)) for fact in facts if fact.sign != " "), default=0)
    section = None
    for fact in facts:
        if fact.section != section:
            section = fact.section
            yield Option(Content(plain(section)), disabled=True)
        yield Option(_line(fact, names, values, min(sources, _WIDEST_SOURCE)), id=fact.id)


def _line(fact: Fact, names: int, values: int, sources: int) -> Content:
    marked = fact.sign != " "
    line = Content.styled(f"{fact.sign} ", "bold $accent") + Content(pad(fact.name, names + 2))
    line += Content.styled(pad(fact.value, values + 2), "bold" if marked else "")
    if fact.source:
        line += Content.styled(pad(fact.source, sources), "$text-muted" if marked else "$text-disabled")
    if marked and fact.default:
        line += Content.styled(f"  default {plain(fact.default)}", "$text-disabled")
    return line

"""The config of a run: every value with its source, and the rest of the run's record.

`tui/services/run_config.py` loads it; `tui/config/resolved_rows.py` reads it into rows.
"""

from __future__ import annotations

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
from tui.text.format import duration, moment, pad, plain
from tui.widgets.common.clipboard import copy
from tui.widgets.common.filter_input import FilterInput

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.config.resolved_rows import ConfigValue
    from tui.services.live_run import LiveRun
    from tui.services.run_config import RunConfigLoader

_WIDEST_VALUE, _WIDEST_SOURCE = 24, 40


@dataclass(frozen=True)
class Fact:
    """A row of the pane: a value of the config or of the record."""

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
        """Unique among all facts."""
        return f"{self.section}.{self.name}"

    def matches(self, pattern: str) -> bool:
        """Whether every word of the pattern occurs in it."""
        text = f"{self.section}.{self.name} {self.value} {self.source}".lower()
        return all(word in text for word in pattern.lower().split())


class FactList(OptionList):
    """Facts, one per line."""

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
    """The config and the record of one run."""

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

    def __init__(self, loader: RunConfigLoader, record: RunRecord, **options: Any) -> None:
        super().__init__(**options)
        self.only = False
        """Whether only values that differ from the defaults are shown."""
        self._loader, self._record = loader, record
        self._filter, self._problem = "", ""
        self._config: list[Fact] = []
        self._bill = ""
        """Text of the backend's bill; requested once the run is over."""
        self._shown: list[Fact] = []

    def compose(self) -> ComposeResult:
        """Head, rows, filter, help."""
        yield Static(id="config-head")
        yield FactList(compact=True)
        yield FilterInput(placeholder=_PLACEHOLDER)
        yield Static(id="config-help")

    def on_mount(self) -> None:
        """Load the run's config, and its bill if it is over."""
        self._load()
        self._update_list()
        self._request_bill()

    def run_changed(self, live: LiveRun) -> None:
        """Show a new record."""
        self.show_record(live.record)

    def show_record(self, record: RunRecord) -> None:
        """Show another version of the run's record."""
        if record is not self._record:
            self._record = record
            self._update_list()
            self._request_bill()

    def state(self) -> dict[str, Any]:
        """UI state to save."""
        return {"only": self.only}

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a saved state."""
        self.only = bool(state.get("only"))
        self._update_list()

    @work(group="config", description="read the run's config", exclusive=True, exit_on_error=False)
    async def _load(self) -> None:
        try:
            self._config = [_fact_of(value) for value in await self._loader.values(self._record)]
            self.query_one(FactList).highlighted = None  # to the first row
        except VfmError as error:
            self._problem = f"the config cannot be read: {error.message}"
        self._update_list()

    def _request_bill(self) -> None:
        """Request the bill of a run that is over, once."""
        if self._record.backend != "local" and self._record.ended_already and not self._bill:
            self._bill = "requesting …"
            self._update_list()
            self._load_bill()

    @work(group="bill", description="request the run's bill", exit_on_error=False)
    async def _load_bill(self) -> None:
        from tui.planning.price_text import billed

        try:
            amount = await self._loader.billed(self._record)
            self._bill = "not billed yet" if amount is None else billed(amount)
        except VfmError as error:
            self._bill = f"unknown: {error.message}"
        self._update_list()

    def _update_list(self) -> None:
        """List the facts that pass the filter, by section."""
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
        self._update_head()

    def _update_head(self) -> None:
        differ = sum(fact.sign != " " for fact in self._config)
        head = Content(plain(self._record.config_path or "no config file: defaults"))
        notes = [f"{differ} of {len(self._config)} keys differ from the defaults"] if self._config else []
        notes += ["only those are shown: o shows all"] if self.only else []
        note = Content.styled("".join(f" · {plain(text)}" for text in notes), "$text-muted")
        problem = Content.styled(f" · ✗ {plain(self._problem)}", "$error") if self._problem else ""
        self.query_one("#config-head", Static).update(Content.styled(head.plain, "bold") + problem + note)

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
        self._update_list()

    @on(FilterInput.Left)
    def _left(self, event: FilterInput.Left) -> None:
        event.stop()
        self.screen.set_focus(self.query_one(FactList))

    def _fact(self, option_id: str | None) -> Fact | None:
        return next((fact for fact in self._shown if fact.id == option_id), None)

    def action_ask(self) -> None:
        """Open the filter."""
        self.query_one(FilterInput).open()

    def action_only(self) -> None:
        """Show only values that differ from the defaults, or all."""
        self.only = not self.only
        self._update_list()

    def action_copy(self) -> None:
        """Copy as `key=value`, the form of `--set`."""
        listed = self.query_one(FactList)
        fact = self._fact(listed.highlighted_option.id if listed.highlighted_option else None)
        if fact is not None:
            copy(self, f"{fact.key}={fact.value}" if fact.key else fact.value, fact.name)

    def action_leave(self) -> None:
        """Clear the filter, else leave the key to the screen."""
        if not self.query_one(FilterInput).text:
            raise SkipAction
        self.query_one(FilterInput).clear()


_PLACEHOLDER = "words of keys, values or sources; Enter keeps, Escape clears"


def _fact_of(value: ConfigValue) -> Fact:
    sign = "✎" if value.layer == "set" else "≠" if value.differs else " "
    return Fact(
        value.section, value.name, value.value, value.source, value.default, sign, value.key, value.help
    )


def _on_record(record: RunRecord) -> Iterator[Fact]:
    git = record.git.get("revision")
    facts: Sequence[tuple[str, str, Any]] = (
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
    return (Fact(section, name, "–" if value is None else str(value)) for section, name, value in facts)


def _costs(record: RunRecord, bill: str) -> Iterator[Fact]:
    """Attempts and their cost; the cost of a run under way is in the status line of its screen."""
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

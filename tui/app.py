"""`vfm-tui`: the face for people. Runs in a table; Enter follows the one under the cursor.

Owns the two screens and how often they ask. What they show is the client's; wording is shared with the
command line.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, ClassVar

from rich.text import Text
from textual import work
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import DataTable, Footer, Header, Log, Static

from tui.narrator import Narrator
from tui.words import duration, moment

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client

MOST_ROWS = 500
SECONDS_BETWEEN_LOOKS = 2.0


class RunScreen(Screen[None]):
    """One run's stream, from its first line, until it ends or the screen is left."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.pop_screen", "Back")]

    def __init__(self, client: Client, record: RunRecord) -> None:
        super().__init__()
        self._client = client
        self._record = record

    def compose(self) -> ComposeResult:
        """A title, the lines, the keys."""
        yield Header()
        yield Log(id="lines", max_lines=100_000)
        yield Footer()

    def on_mount(self) -> None:
        """Name the run and start to follow it."""
        self.sub_title = self._record.run_id
        self.follow()

    @work(group="follow", description="follow a run", exit_on_error=False)
    async def follow(self) -> None:
        """Write each batch of lines at once: a burst costs one repaint."""
        narrator, log = Narrator(colours=False), self.query_one(Log)
        async for batch in self._client.follow(self._record):
            told = [text for line in batch.lines for text in narrator.tell(line)]
            log.write_lines([*told, *narrator.rest()])
        record = await self._client.status(self._record)
        self.sub_title = f"{record.run_id}: {record.status}"


class VfmApp(App[None]):
    """The runs of every backend, newest first."""

    TITLE = "vfm"
    CSS = "#notices { height: auto; color: $warning; padding: 0 1; } DataTable { height: 1fr; }"
    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "quit", "Quit"), Binding("r", "look", "Refresh")]

    def __init__(self, client: Client | None = None) -> None:
        super().__init__()
        self._client = client
        self._records: dict[str, RunRecord] = {}

    def compose(self) -> ComposeResult:
        """The table, and above it what could not be read."""
        yield Header()
        yield Static(id="notices")
        yield DataTable[Text](id="runs", cursor_type="row")
        yield Footer()

    def on_mount(self) -> None:
        """Columns first: the frame is up before any run is read."""
        self.query_one(DataTable).add_columns(
            "Run", "Status", "Kind", "Environment", "Model", "Created", "Took"
        )
        self.action_look()
        self.set_interval(SECONDS_BETWEEN_LOOKS, self.action_look)

    @work(group="look", description="list runs", exclusive=True, exit_on_error=False)
    async def action_look(self) -> None:
        """Read the runs; a backend that fails is named, the others are shown all the same."""
        found = await self._connected().runs()
        self.query_one("#notices", Static).update(
            Text("\n".join([*map(str, found.errors.values()), *found.notices]))
        )
        self._show(found.rows[:MOST_ROWS])

    def _connected(self) -> Client:
        if self._client is None:
            from tui.client import Client
            from tui.settings import Settings

            self._client = Client.default(Settings.load())
        return self._client

    def _show(self, records: list[RunRecord]) -> None:
        table = self.query_one(DataTable)
        row = table.cursor_row
        self._records = {record.run_id: record for record in records}
        table.clear()
        for r in records:
            took = duration((r.ended or time.time()) - r.created)
            cells = (r.run_id, r.status, r.kind, r.environment, r.model, moment(r.created), took)
            table.add_row(*map(Text, cells), key=r.run_id)  # names are text, never markup
        table.move_cursor(row=row)

    def on_data_table_row_selected(self, selected: DataTable.RowSelected) -> None:
        """Enter: follow the run."""
        record = self._records.get(str(selected.row_key.value))
        if record is not None:
            self.push_screen(RunScreen(self._connected(), record))


def main() -> None:
    """The `vfm-tui` of the command line."""
    VfmApp().run()

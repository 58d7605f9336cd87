"""Home, through real keys: what is listed, however backends behave, and what keys ask for."""

from __future__ import annotations

import fcntl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import IO, Any

import pytest
from textual.events import Key
from textual.message import Message
from textual.pilot import Pilot
from textual.widgets import Input, OptionList, Static

from remote.contract.events import AttemptEvent, FailureEvent, MetricsEvent, ProgressEvent, encode_line
from remote.contract.record import Attempt, RunRecord
from tests.backends.conftest import LocalBench, request
from tests.pilot.conftest import NOW, ROOT, SignedOutBackend, SilentBackend, make_run, story
from tests.waiting import until
from tui.app import VfmApp
from tui.backends.base import Backend, Batch
from tui.backends.local.backend import LocalBackend
from tui.client import Client
from tui.screens import requests
from tui.screens.dialogs import Confirm
from tui.screens.runs import RunsScreen
from tui.services import deadline, poller
from tui.settings import Settings
from tui.store.runs.row import RunRow
from tui.store.runs.row_cache import RunCache
from tui.user.ui_state import UiState
from tui.widgets.common.filter_input import FilterInput
from tui.widgets.runs.table import RunTable
from tui.widgets.runs.welcome import Welcome

REQUESTS = (
    requests.RunRequested,
    requests.LaunchRequested,
    requests.CompareRequested,
    requests.FilesRequested,
    requests.DoctorRequested,
    requests.RerunRequested,
    requests.CancelRequested,
    requests.DeleteRequested,
    requests.DownloadRequested,
)


class Home(VfmApp):
    """The app with its home screen alone: what it is asked for is written down."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.asked: list[Message] = []

    def check_message_enabled(self, message: Message) -> bool:
        """Requests end here."""
        if isinstance(message, REQUESTS):
            self.asked.append(message)
            return False
        return super().check_message_enabled(message)

    @property
    def home(self) -> RunsScreen:
        """The screen."""
        screen = self.screen
        assert isinstance(screen, RunsScreen)
        return screen

    @property
    def table(self) -> RunTable:
        """Its table."""
        return self.home.query_one(RunTable)

    @property
    def ids(self) -> list[str]:
        """The runs that are shown, in order."""
        return [row.run_id for row in self.table.shown]

    @property
    def welcomes(self) -> bool:
        """Whether a newcomer is told where to begin."""
        return not self.home.query_one(Welcome).has_class("-hidden")

    @property
    def complete(self) -> bool:
        """Whether everything was asked and read."""
        rows = self.table.rows
        return bool(rows) and all(row.complete or row.live for row in rows)

    def line(self, name: str) -> str:
        """What a line around the table says."""
        return str(self.home.query_one(f"#runs-{name}", Static).render())

    def painted(self) -> str:
        """The table as it is painted."""
        table = self.table
        return "\n".join(
            "".join(segment.text for segment in table.render_line(y)) for y in range(table.size.height)
        )


Made = Callable[..., Home]


@pytest.fixture
def home_app(settings: Settings, client: Client, home: Path) -> Made:
    """Makes the app over the local backend of `home`, or over others."""

    def make(backends: Mapping[str, Backend] | None = None, **options: Any) -> Home:
        over = client if backends is None else Client(settings, backends)
        ui_state = UiState(home / "app")
        return Home(over, settings=settings, ui_state=ui_state, clock=lambda: NOW, **options)

    return make


@pytest.fixture
def locks() -> Iterator[Callable[[Path], None]]:
    """Makes a run that was written by hand live: somebody holds its lock."""
    held: list[IO[str]] = []

    def lock(run_dir: Path) -> None:
        held.append((run_dir / ".lock").open("w"))
        fcntl.flock(held[-1], fcntl.LOCK_EX)

    yield lock
    for file in held:
        file.close()


def three_runs(home: Path) -> None:
    """A done one, a failed one and a cancelled one; the newest is the done one."""
    make_run(home, "a1111-wordle", story(4, 4), created=NOW - 100)
    hint = {"text": "use less of it", "key": "vllm.max_model_len", "from": 512, "to": 256}
    failure = FailureEvent(boundary="vllm", cause="c", message="out of memory", hint=hint, t=NOW)
    make_run(
        home,
        "b2222-bfcl",
        [*story(1, 4), failure],
        status="failed",
        exit_code=1,
        created=NOW - 200,
        environment="vf_bfcl",
        model="Qwen/Qwen2.5-7B-Instruct",
    )
    make_run(home, "c3333-wordle", story(2, 4), status="cancelled", created=NOW - 300, experiment="other")


Running = AbstractAsyncContextManager[Pilot[None]]


async def listed(app: Home) -> None:
    """Wait until everything was asked and read, and the screen says so."""
    await until(lambda: app.complete, "the list")


async def test_every_run_with_what_its_stream_says(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40)):
        await listed(app)
        assert app.ids == ["a1111-wordle", "b2222-bfcl", "c3333-wordle"]
        done, failed, cancelled = app.table.shown
        assert (done.step, done.total_steps, done.reward, done.rewards) == (4, 4, 1.0, (0.25, 0.5, 0.75, 1.0))
        assert (failed.failure, failed.hint) == ("out of memory", "use less of it")
        assert (cancelled.status, cancelled.cost) == ("cancelled", None)
        await until(lambda: "✓ 1 done" in app.line("summary"), "the counts")
        assert "✗ 1 failed" in app.line("summary")


async def test_the_failure_under_the_cursor_comes_first(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(app)
        await pilot.press("j")
        await until(lambda: app.line("detail").startswith("✗ out of memory"), "the failure")
        assert "→ use less of it" in app.line("detail")
        assert "Qwen/Qwen2.5-7B-Instruct" in app.line("detail")
        await pilot.press("p", "k", "p")
        values = {"vllm.max_model_len": 256}
        assert app.asked == [requests.LaunchRequested(values=values, backend="local", run_id="b2222-bfcl")]


async def test_rows_of_the_session_before_are_there_while_a_backend_hangs(home: Path, home_app: Made) -> None:
    row = RunRow("old11-wordle", backend="modal", outputs="v", status="done", reward=0.5, complete=True)
    RunCache(home / "app" / "runs.json").write([row])
    silent = SilentBackend()
    app = home_app({"modal": silent})
    async with app.run_test(size=(120, 40)):
        await until(lambda: silent.asked == 1 and app.ids == ["old11-wordle"], "the cache's rows")
        assert "asking modal" in app.line("summary")
        silent.let_go.set()
        await until(lambda: app.welcomes, "the backend's own answer: there is none")
    assert [row for part in RunCache(home / "app" / "runs.json").read() for row in part] == []


async def test_the_rows_are_kept_for_the_next_session(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40)):
        await listed(app)
        rows = list(app.table.rows)
    assert [row for part in RunCache(home / "app" / "runs.json").read() for row in part] == rows


async def test_a_backend_that_hangs_holds_up_nothing(
    home: Path, home_app: Made, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "REPORT_AFTER", 0.05)
    three_runs(home)
    app = home_app({"modal": SilentBackend(), "local": client.backends["local"]})
    async with app.run_test(size=(120, 40)):
        await listed(app)
        assert len(app.ids) == 3
        await until(lambda: "modal  no answer for" in app.line("problems"), "what is said of the other one")
        assert "still trying" in app.line("problems")


async def test_a_backend_that_hangs_holds_up_no_action(
    home: Path, settings: Settings, client: Client, locks: Callable[[Path], None]
) -> None:
    locks(make_run(home, "l5555-wordle", status="running", ended=None, exit_code=None))
    both = Client(settings, {"modal": SilentBackend(), "local": client.backends["local"]})
    app = VfmApp(both, settings=settings, clock=lambda: NOW)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: len(app.rows) == 1, "the list")
        await pilot.press("c")
        await until(lambda: isinstance(app.screen, Confirm), "the question whether to stop it")


async def test_a_question_that_is_never_answered_is_asked_anew(
    home: Path, home_app: Made, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "REPORT_AFTER", 0.01)
    monkeypatch.setattr(deadline, "GIVE_UP_AFTER", 0.02)
    monkeypatch.setattr(poller, "LATER", 0.01)
    silent = SilentBackend()
    app = home_app({"modal": silent})
    async with app.run_test(size=(120, 40)):
        await until(lambda: silent.asked > 2, "another question")


async def test_a_signed_out_backend_says_what_to_do(home: Path, home_app: Made, client: Client) -> None:
    three_runs(home)
    app = home_app({"local": client.backends["local"], "modal": SignedOutBackend()})
    async with app.run_test(size=(120, 40)):
        await listed(app)
        await until(lambda: "not signed in to Modal" in app.line("problems"), "its message")
        assert "sign in: modal setup" in app.line("problems")
        assert len(app.ids) == 3


async def test_whatever_a_backend_raises_is_shown(home: Path, home_app: Made, client: Client) -> None:
    class Broken(SilentBackend):
        async def _question(self, *_: Any, **__: Any) -> Any:
            raise OSError("the wire\x1b]0;owned\x07 broke")

    three_runs(home)
    app = home_app({"local": client.backends["local"], "modal": Broken()})
    async with app.run_test(size=(120, 40)):
        await listed(app)
        await until(
            lambda: "OSError: the wire\\x1b]0;owned\\x07 broke" in app.line("problems"), "its message"
        )


async def test_a_live_run_moves_and_its_end_is_told(
    home: Path, home_app: Made, bench: LocalBench, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    backend = bench.backend(f"steps:3 wait:{go} steps:6 end:done")
    run = await backend.launch(request())
    app = home_app({"local": backend})
    async with app.run_test(size=(120, 40), notifications=True):
        await until(lambda: bool(app.ids) and app.table.shown[0].step == 3, "the first steps")
        assert app.table.shown[0].status == "running"
        go.touch()
        await until(lambda: app.complete and app.table.shown[0].status == "done", "its end")
        assert (app.table.shown[0].step, app.table.shown[0].reward) == (6, 0.6)
        await until(lambda: any(run.run_id in toast.message for toast in app._notifications), "a toast")


async def test_fifty_live_runs_at_once(home: Path, home_app: Made, locks: Callable[[Path], None]) -> None:
    class Spied(LocalBackend):
        def follow(self, run: RunRecord, position: int = 0, *, live: bool = True) -> AsyncIterator[Batch]:
            read.setdefault(run.run_id, []).append(position)
            return super().follow(run, position, live=live)

    read: dict[str, list[int]] = {}
    folders = []
    for number in range(50):
        live = {"status": "running", "ended": None, "exit_code": None, "created": NOW - number}
        folders.append(make_run(home, f"r{number:04d}-wordle", story(2, 100), **live))
        locks(folders[-1])
    app = home_app({"local": Spied(home, ROOT)})
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: [row.step for row in app.table.rows] == [2] * 50, "what they have said so far")
        for folder in folders:
            with (folder / "logs" / "stream.log").open("a") as stream:
                for step in range(3, 51):
                    numbers = MetricsEvent(step=step, values={"reward": 0.5}, t=NOW)
                    count = ProgressEvent(done=step, total=100, what="steps", t=NOW)
                    stream.write(f"{encode_line(numbers)}\n{encode_line(count)}\nnoise {step}\n")
        await until(lambda: [row.step for row in app.table.rows] == [50] * 50, "the steps after that")
        for positions in read.values():  # each round goes on where the one before has ended
            assert positions.count(0) == 1
            assert positions == sorted(positions)
        await pilot.press("end")
        assert app.table.row is not None
        assert app.table.row.run_id == "r0049-wordle"


async def test_resizing_while_fifty_runs_move(
    home: Path, home_app: Made, locks: Callable[[Path], None]
) -> None:
    live = {"status": "running", "ended": None, "exit_code": None}
    folders = [
        make_run(home, f"r{number:04d}-wordle", story(1, 100), created=NOW - number, **live)
        for number in range(50)
    ]
    for folder in folders:
        locks(folder)
    app = home_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: [row.step for row in app.table.rows] == [1] * 50, "what they have said so far")
        await pilot.press("end", "up")
        for step, size in enumerate(((80, 24), (200, 60), (30, 8), (80, 24)), start=2):
            for folder in folders:
                with (folder / "logs" / "stream.log").open("a") as stream:
                    stream.write(f"{encode_line(ProgressEvent(done=step, total=100, what='steps', t=NOW))}\n")
            await pilot.resize_terminal(*size)
            await until(lambda step=step: [r.step for r in app.table.rows] == [step] * 50, "the next step")
            await pilot.pause()
            assert app.table.row is not None
            assert app.table.row.run_id == "r0048-wordle"
            lines = app.painted().split("\n")
            assert {len(line) for line in lines} == {app.table.scrollable_content_region.width}
            assert any("r0048" in line for line in lines), "the cursor is in sight"
        assert "5/100" in app.painted()


async def test_ten_thousand_known_runs_are_not_read_again(home: Path, home_app: Made) -> None:
    records = [
        RunRecord(
            run_id=f"r{number:05d}",
            kind="train",
            backend="modal",
            status="done",
            created=NOW - number,
            environment="vf_wordle",
            model="m",
            outputs="v",
        )
        for number in range(10_000)
    ]
    rows = [
        RunRow(r.run_id, backend="modal", status="done", created=r.created, outputs="v", complete=True)
        for r in records
    ]
    RunCache(home / "app" / "runs.json").write(rows)
    backend = SilentBackend(records)
    app = home_app({"modal": backend})
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: len(app.ids) == 10_000, "the cache")
        backend.let_go.set()
        await until(lambda: backend.asked == 1 and "…" not in app.line("summary"), "the answer")
        assert "10,000 runs" in app.line("summary")
        await pilot.press("end")
        assert app.table.row is not None
        assert app.table.row.run_id == "r09999"
        assert "r09999" in app.painted()
        assert backend.asked == 1
        await pilot.press("slash", *"id:r0999 -id:5")
        await until(lambda: app.ids == [f"r0999{n}" for n in range(10) if n != 5], "the filter")
        await pilot.press("enter", "slash", "1", "escape")
        await until(lambda: len(app.ids) == 10_000, "no filter")


async def test_a_runs_own_price_counts_for_the_time_that_it_had_a_machine(home: Path, home_app: Made) -> None:
    class Far(LocalBackend):
        name = "modal"

    attempts = [
        Attempt(started=NOW - 7200, ended=NOW - 5400, why="preempted"),
        Attempt(started=NOW - 3600, ended=NOW - 1800),
    ]
    again = AttemptEvent(number=2, why="preempted", t=NOW - 3600)
    shared = {"backend": "modal", "started": NOW - 7200, "ended": NOW - 1800}
    story_of_two = [*story(2, 4), again, *story(4, 4)]
    make_run(home, "m1111-wordle", story_of_two, attempts=attempts, usd_per_hour=2.0, **shared)
    app = home_app({"modal": Far(home, ROOT)})
    async with app.run_test(size=(200, 40)):
        await listed(app)
        await until(lambda: app.table.shown[0].cost is not None, "the cost")
        assert app.table.shown[0].cost == pytest.approx(2.0)
        assert "attempt 2 (the machine was preempted)  ·  est. $2.00" in app.line("detail")


async def test_the_cursor_stays_on_its_run(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(app)
        await pilot.press("down")
        assert app.table.row is not None
        assert app.table.row.run_id == "b2222-bfcl"
        await pilot.press("S")
        assert app.ids == ["c3333-wordle", "b2222-bfcl", "a1111-wordle"]
        await pilot.press("greater_than_sign", "S")
        assert app.table.row.run_id == "b2222-bfcl"
        make_run(home, "d4444-wordle", story(4, 4), created=NOW - 1)
        await until(lambda: len(app.ids) == 4 and app.complete, "another run")
        assert app.table.row.run_id == "b2222-bfcl"
        await pilot.press("slash", *"-bfcl")
        assert app.table.row.run_id != "b2222-bfcl"
        await pilot.press("escape")
        assert app.table.row.run_id == "b2222-bfcl"


def kept(home: Path, count: int) -> list[RunRecord]:
    """Keeps rows of a session before; returns their runs with a newer one before them."""
    rows = [
        RunRow(f"r{n}", backend="modal", outputs="v", status="done", created=NOW - 10 * n, complete=True)
        for n in range(1, count + 1)
    ]
    RunCache(home / "app" / "runs.json").write(rows)
    names = {"kind": "train", "backend": "modal", "status": "done", "outputs": "v"}
    more = {"environment": "vf_wordle", "model": "m"}
    return [RunRecord(run_id=f"r{n}", created=NOW - 10 * n, **names, **more) for n in range(count + 1)]


async def test_a_cursor_that_nobody_moved_waits_for_the_newest_run(home: Path, home_app: Made) -> None:
    runs = kept(home, 3)
    backend = SilentBackend(runs)
    app = home_app({"modal": backend})
    async with app.run_test(size=(120, 40)):
        await until(lambda: app.ids == ["r1", "r2", "r3"] and backend.asked == 1, "the cache's rows")
        backend.let_go.set()
        await until(lambda: len(app.ids) == 4, "the backend's own")
        assert app.table.row is not None
        assert app.table.row.run_id == "r0"
        await until(lambda: "r0" in app.line("detail"), "what is told of it")
        app.table.show([RunRow("later", backend="modal", outputs="v", created=NOW + 1), *app.table.rows])
        assert app.table.row.run_id == "r0"


@pytest.mark.parametrize(("keys", "there"), [(("down",), "r2"), (("down", "up"), "r1"), (("enter",), "r1")])
async def test_a_cursor_that_was_used_before_anybody_answered_stays_on_its_run(
    home: Path, home_app: Made, keys: tuple[str, ...], there: str
) -> None:
    runs = kept(home, 3)
    backend = SilentBackend(runs)
    app = home_app({"modal": backend})
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: app.ids == ["r1", "r2", "r3"] and backend.asked == 1, "the cache's rows")
        await pilot.press(*keys)
        backend.let_go.set()
        await until(lambda: len(app.ids) == 4, "the backend's own")
        assert app.table.row is not None
        assert app.table.row.run_id == there


async def test_the_order_by_keys_and_by_the_header_is_remembered(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(app)
        assert "age▲" in app.painted().split("\n")[0]
        await pilot.press("less_than_sign")
        assert "reward▼" in app.painted().split("\n")[0]
        assert app.ids == ["a1111-wordle", "c3333-wordle", "b2222-bfcl"]
        x = app.painted().index("run")
        await pilot.click(RunTable, offset=(x, 0))
        assert app.ids == ["a1111-wordle", "b2222-bfcl", "c3333-wordle"]
        await pilot.click(RunTable, offset=(x, 0))
        assert app.ids == ["c3333-wordle", "b2222-bfcl", "a1111-wordle"]
    again = home_app()
    async with again.run_test(size=(120, 40)):
        await listed(again)
        assert (again.table.sort_column, again.table.sort_reverse) == ("id", True)
        assert again.ids == ["c3333-wordle", "b2222-bfcl", "a1111-wordle"]


async def test_a_filter_works_as_it_is_typed_and_survives(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(app)
        await pilot.press("slash", *"env:wordle")
        assert app.ids == ["a1111-wordle", "c3333-wordle"]
        assert "2 of 3" in app.line("summary")
        await pilot.press("space", *"stauts:x")
        assert "did you mean status?" in app.line("problems")
        assert app.ids == ["a1111-wordle", "c3333-wordle"]
        for _ in "stauts:x":
            await pilot.press("backspace")
        await pilot.press(*"reward>0.6", "enter")
        assert app.ids == ["a1111-wordle"]
        assert app.focused is app.table
        await pilot.press("slash", *" -done")
        assert app.ids == []
        assert "Escape clears it" in app.painted()
        await pilot.press("up")
        assert app.ids == ["a1111-wordle"]
        await pilot.press("enter")
    again = home_app()
    async with again.run_test(size=(120, 40)) as pilot:
        await listed(again)
        assert again.ids == ["a1111-wordle"]
        assert again.home.query_one(FilterInput).display
        await pilot.press("escape")
        assert len(again.ids) == 3
        assert not again.home.query_one(FilterInput).display
        await pilot.press("slash", "up")
        assert again.ids == ["a1111-wordle"]


async def test_keys_that_come_in_a_burst_are_words_not_commands(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40)):
        await listed(app)
        for character in "/rex/":
            app.post_message(Key("slash" if character == "/" else character, character))
        await until(lambda: app.home.query_one(FilterInput).text == "rex/", "the words")
        assert app.asked == []


async def test_words_of_the_filter_are_completed(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(app)
        await pilot.press("slash", *"stat")
        assert len(app.ids) == 3
        typed = app.home.query_one(Input)
        await until(lambda: typed._suggestion == "status:", "a suggestion")
        await pilot.press("right", *"fai")
        await until(lambda: typed._suggestion == "status:failed", "another one")
        await pilot.press("right")
        assert app.ids == ["b2222-bfcl"]
        await pilot.press("space", *"-env:vf_b")
        await until(lambda: typed._suggestion == "status:failed -env:vf_bfcl", "a name that runs have")


async def test_what_is_typed_survives_leaving_the_app(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(app)
        await pilot.press("slash", *"done")
    again = home_app()
    async with again.run_test(size=(120, 40)):
        await until(lambda: again.ids == ["a1111-wordle"], "the filter")


async def test_keys_ask_for_what_they_say(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(app)
        await pilot.press("enter", "n", "r", "e", "d", "x", "v", "D", "ctrl+d")
        a = "a1111-wordle"
        assert app.asked == [
            requests.RunRequested(a),
            requests.LaunchRequested(),
            requests.RerunRequested([a]),
            requests.LaunchRequested(kind="train", backend="local", run_id=a),
            requests.DownloadRequested("local", "verifiers-outputs-ann-tests", [f"runs/{a}"]),
            requests.DeleteRequested([a]),
            requests.FilesRequested(),
            requests.DoctorRequested(),
            requests.DoctorRequested(),
        ]


async def test_actions_take_the_marked_runs(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await listed(app)
        await pilot.press("equals_sign")
        assert any("mark two runs" in toast.message for toast in app._notifications)
        await pilot.press("m", "down", "space")
        assert "◆ 2 marked" in app.line("summary")
        assert app.painted().count("◆") == 2
        await pilot.press("equals_sign", "r", "x", "d")
        both = ["a1111-wordle", "b2222-bfcl"]
        volume, (first, second) = "verifiers-outputs-ann-tests", [f"runs/{run_id}" for run_id in both]
        assert app.asked == [
            requests.CompareRequested(both),
            requests.RerunRequested(both),
            requests.DeleteRequested(both),
            requests.DownloadRequested("local", volume, [first, second]),
        ]
        await pilot.press("slash", *"cancelled", "enter", "x")
        assert app.asked[-1] == requests.DeleteRequested(both)
        await pilot.press("escape", "escape")
        assert "marked" not in app.line("summary")
        await pilot.press("M")
        assert "◆ 3 marked" in app.line("summary")


async def test_only_live_runs_are_stopped(home: Path, home_app: Made, locks: Callable[[Path], None]) -> None:
    three_runs(home)
    locks(make_run(home, "l5555-wordle", status="running", ended=None, exit_code=None, created=NOW - 1))
    app = home_app()
    async with app.run_test(size=(120, 40), notifications=True) as pilot:
        await listed(app)
        await pilot.press("down", "c")
        assert any("already over" in toast.message for toast in app._notifications)
        await pilot.press("M", "c")
        assert app.asked == [requests.CancelRequested(["l5555-wordle"])]


async def test_read_only_changes_nothing(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app(readonly=True)
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(app)
        await pilot.press("c", "r", "e", "x", "n")
        assert app.asked == []
        await pilot.press("enter")
        assert app.asked == [requests.RunRequested("a1111-wordle")]


async def test_the_mouse_does_what_keys_do(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await listed(app)
        await pilot.click(RunTable, offset=(20, 2))
        assert app.table.cursor == 1
        await pilot.click(RunTable, offset=(0, 3))
        assert [row.run_id for row in app.table.marked] == ["c3333-wordle"]
        await pilot.double_click(RunTable, offset=(20, 2))
        assert app.asked == [requests.RunRequested("b2222-bfcl")]


async def test_a_newcomer_is_three_keys_from_a_running_demo(home: Path, home_app: Made) -> None:
    app = home_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: app.welcomes and isinstance(app.focused, OptionList), "a welcome")
        await pilot.press("enter")
        assert app.asked == [requests.LaunchRequested(requests.DEMO)]
        assert (ROOT / requests.DEMO).is_file()
        await pilot.press("n", "D", "down", "down", "enter")
        assert app.asked[1:] == [
            requests.LaunchRequested(),
            requests.DoctorRequested(),
            requests.DoctorRequested(),
        ]
        make_run(home, "a1111-wordle", story(4, 4))
        app.home.on_screen_resume()
        await until(lambda: not app.welcomes and app.ids == ["a1111-wordle"], "the first run")
        await until(lambda: app.table.has_focus, "keys for the table")


async def test_columns_come_and_go_with_the_room(home: Path, home_app: Made) -> None:
    three_runs(home)
    app = home_app()
    async with app.run_test(size=(80, 24)) as pilot:
        await listed(app)
        header = app.painted().split("\n")[0].split()
        assert header == ["status", "run", "env", "progress", "reward", "age▲"]
        await pilot.resize_terminal(200, 60)
        await until(lambda: "user" in app.painted().split("\n")[0], "room for more")
        header = app.painted().split("\n")[0].split()
        assert {"experiment", "model", "est.", "backend", "kind"} <= set(header)
        assert "Qwen/Qwen2.5-7B-Instruct" in app.painted()
        assert all(len(line) == len(app.painted().split("\n")[0]) for line in app.painted().split("\n"))


async def test_names_are_shown_and_never_obeyed(home: Path, home_app: Made) -> None:
    make_run(home, "a1111-wordle", model="[red]x[/]\x1b]52;c;QQ==\x07\x1b[2J漢字", environment="e\n\te")
    app = home_app()
    async with app.run_test(size=(200, 40)):
        await listed(app)
        assert "\x1b" not in app.painted()
        assert "[red]x[/]" in app.painted()
        assert "[red]x[/]" in app.line("detail")
        assert "\x1b" not in app.line("detail")


async def test_how_many_records_are_damaged_is_said_at_80_columns(home: Path, home_app: Made) -> None:
    for number in range(3):
        make_run(home, f"torn-{number}", story(1, 3))
    for record in home.glob("volumes/*/runs/torn-*/record.json"):
        record.write_text("{")
    app = home_app()
    async with app.run_test(size=(80, 24)):
        await until(lambda: "! local  3 notices, the first: the record" in app.line("problems"), "the count")
        assert "→ `vfm runs` prints all of it" in app.line("problems")


async def test_damaged_and_hostile_runs_hide_no_other(home: Path, home_app: Made) -> None:
    nasty = "a\x1b[31mred\tb\u202ec\x85漢"
    make_run(home, "good", story(3, 3), created=NOW - 50)
    named = {name: nasty for name in ("environment", "model", "experiment", "config_path")}
    failure = {"message": nasty, "cause": nasty, "boundary": "vllm", "hint": {"text": nasty}}
    make_run(home, "hostile", story(2, 3), status="failed", failure=failure, created=NOW - 60, **named)
    deep = make_run(home, "deep", story(1, 3), created=NOW - 70)
    nested = '\x1e{"v":1,"seq":99,"t":1,"type":"metrics","step":2,"values":' + '{"a":' * 3000 + "\n"
    with (deep / "logs" / "stream.log").open("a") as stream:
        stream.write(nested + "x" * 3_000_000)
    make_run(home, "torn", story(1, 3))
    for record in home.glob("volumes/*/runs/torn/record.json"):
        record.write_text('{"run_id": "torn", "created": 1e300')
    app = home_app()
    async with app.run_test(size=(120, 40)) as pilot:
        await until(lambda: set(app.ids) == {"good", "hostile", "deep"}, "the others")
        await until(lambda: "damaged" in app.line("problems"), "a word on the torn one")
        painted = app.painted()
        assert "\x1b[31m" not in painted
        assert r"a\x1b[31mred" in painted
        await pilot.press("down", "down", "up")
        assert app.crash is None

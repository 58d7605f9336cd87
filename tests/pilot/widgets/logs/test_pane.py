"""The log pane through real keys and the mouse, over real files that grow under it."""

from __future__ import annotations

import re
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.events import Key, MouseScrollDown, MouseScrollUp
from textual.pilot import Pilot
from textual.widgets import Input, Static

from remote.contract.events import MetricsEvent, PhaseEvent, encode_line
from tests.pilot.conftest import NOW
from tests.waiting import until
from tui.store.logs import search
from tui.store.logs.log_file import LogFile
from tui.store.logs.search import LogMatches
from tui.widgets.logs.pane import LogPane
from tui.widgets.logs.view import LogView


class Host(App[None]):
    """An app of log panes over one log."""

    BINDINGS = [Binding("escape", "host_escape", "Back")]  # noqa: RUF012

    def __init__(self, path: Path, panes: int = 1) -> None:
        super().__init__()
        self.log_file = LogFile(path)
        self._panes = panes
        self.escaped = 0
        self.saves: list[LogPane.SaveRequested] = []

    def compose(self) -> ComposeResult:
        for number in range(self._panes):
            yield LogPane(self.log_file, id=f"pane-{number}")

    def on_mount(self) -> None:
        self.pane.view.focus()

    @property
    def pane(self) -> LogPane:
        return self.query_one("#pane-0", LogPane)

    @property
    def view(self) -> LogView:
        return self.pane.view

    def action_host_escape(self) -> None:
        self.escaped += 1

    def on_log_reader_save_requested(self, event: LogPane.SaveRequested) -> None:
        self.saves.append(event)


def shown(view: LogView) -> list[str]:
    """The rows of the screen that hold lines, as text."""
    return [text for y in range(view.size.height) if (text := view.render_line(y).text[1:].rstrip())]


def status(app: Host) -> str:
    """The line below."""
    return str(app.pane.query_one("#log-status", Static).content)


def above(app: Host) -> str:
    """The line above."""
    return str(app.pane.query_one("#log-sources", Static).content)


def said(app: Host) -> str:
    """What the pane complains about."""
    return str(app.pane.query_one("#log-message", Static).content)


def written(count: int, start: int = 0) -> bytes:
    """Lines of two sources; every tenth tells of an error."""
    return b"".join(
        b"[%s] %s line %d\n" % (b"vllm" if i % 2 else b"train", b"ERROR" if i % 10 == 0 else b"INFO", i)
        for i in range(start, start + count)
    )


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The stream of a run directory, empty."""
    path = tmp_path / "run-1" / "logs" / "stream.log"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"")
    return path


@asynccontextmanager
async def opened(
    log: Path, size: tuple[int, int] = (80, 24), panes: int = 1
) -> AsyncIterator[tuple[Host, Pilot[None]]]:
    """A pane over the file, with all of it on the screen's side."""
    app = Host(log, panes)
    async with app.run_test(size=size) as pilot:
        whole = log.read_bytes().count(b"\n") if log.exists() else 0
        await until(lambda: app.log_file.lines == whole and len(app.view.rows) == whole, "the index")
        await pilot.pause()
        yield app, pilot


def grow(app: Host, data: bytes, over: bool = False) -> None:
    """The file grows, and the panes are told."""
    with app.log_file.path.open("ab") as file:
        file.write(data)
    for pane in app.query(LogPane):
        pane.log_grew(over=over)


def ends(app: Host, text: str) -> Callable[[], bool]:
    """Whether the last line on the screen ends like that."""
    return lambda: bool(found := shown(app.view)) and found[-1].endswith(text)


def on_line(app: Host, text: str) -> Callable[[], bool]:
    """Whether the cursor is on a line that ends like that."""
    return lambda: app.view.line is not None and app.view.line.text.endswith(text)


async def typed(pilot: Pilot[None], text: str) -> None:
    """Type, as if by hand."""
    for char in text:
        await pilot.press({" ": "space"}.get(char, char))


async def test_the_tail_is_there_before_anything_is_indexed(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last lines stand on the screen while the index still waits."""
    log.write_bytes(written(50_000))
    gate, refresh = threading.Event(), LogFile.refresh

    def late(log_file: LogFile, *, over: bool = False) -> int:
        gate.wait()
        return refresh(log_file, over=over)

    monkeypatch.setattr(LogFile, "refresh", late)
    app = Host(log)
    async with app.run_test(size=(80, 24)):
        try:
            await until(ends(app, "line 49999"), "the tail")
            assert app.log_file.lines == 0
            assert len(shown(app.view)) == app.view.size.height
        finally:
            gate.set()
        await until(lambda: len(app.view.rows) == 50_000, "the index")
        assert ends(app, "line 49999")()


async def test_following_pausing_and_following_again(log: Path) -> None:
    """New lines come in at the end; a reader who went up is left in peace until they ask for the end."""
    log.write_bytes(written(100))
    async with opened(log) as (app, pilot):
        assert "● following" in status(app)
        grow(app, written(10, 100))
        await until(ends(app, "line 109"), "new lines")
        await pilot.press("up")
        before = shown(app.view)
        assert "‖ paused · line 109 of 110 · 1 below" in status(app)
        grow(app, written(50, 110))
        await until(lambda: "of 160 · 51 below" in status(app), "the count to grow")
        assert shown(app.view) == before
        await pilot.press("G")
        await until(ends(app, "line 159"), "the end")
        assert "● following · 160 lines" in status(app)


async def test_a_filter_survives_toggles_and_is_recalled(log: Path) -> None:
    """Source, off and on, the question again: the filter stays until it is taken away."""
    log.write_bytes(written(200))
    async with opened(log) as (app, pilot):
        await pilot.press("slash")
        await typed(pilot, "line 1[0-9]$")
        await until(lambda: len(app.view.rows) == 10, "what matches, as it is typed")
        await pilot.press("enter")
        assert app.view.has_focus
        assert "filter line 1[0-9]$" in above(app)
        await pilot.press("s", "s", "s", "s")
        await until(
            lambda: [line[-2:] for line in shown(app.view)] == ["11", "13", "15", "17", "19"], "vllm's"
        )
        await pilot.press("up", "up")
        assert app.view.line is not None
        assert app.view.line.text == "[vllm] INFO line 15"
        await pilot.press("F")
        await until(lambda: len(app.view.rows) == 100, "the lines around")
        assert app.view.line is not None
        assert app.view.line.text == "[vllm] INFO line 15"
        assert "filter off line 1[0-9]$" in above(app)
        await pilot.press("F")
        await until(lambda: len(app.view.rows) == 5, "the filter again")
        await pilot.press("slash")
        assert app.query_one(Input).value == "line 1[0-9]$"
        await typed(pilot, "line 7$")
        await until(lambda: len(app.view.rows) == 1, "another filter")
        await pilot.press("escape")
        await until(lambda: len(app.view.rows) == 5, "the filter from before the question")
        await pilot.press("escape")
        await until(lambda: len(app.view.rows) == 100, "no filter")
        await pilot.press("slash")
        assert app.query_one(Input).value == "line 1[0-9]$"
        await pilot.press("escape")
        assert app.escaped == 0
        await pilot.press("escape")
        assert app.escaped == 1


@pytest.mark.parametrize("again", [False, True])
@pytest.mark.parametrize("key", ["slash", "ctrl+f", "ctrl+g", "F", "n", "N", "h"])
async def test_keys_that_come_in_a_burst_are_words_not_commands(log: Path, key: str, again: bool) -> None:
    """Whatever asks, all that is typed right after it is the answer; also when it asks again."""
    log.write_bytes(written(50))
    async with opened(log) as (app, pilot):
        if again:
            await pilot.press("slash", "escape")
        for one in (key, *"wstvfsShnN!/Gg@y"):
            app.post_message(Key({"/": "slash", "!": "exclamation_mark", "@": "at"}.get(one, one), one[-1]))
        await until(lambda: bool(app.query(Input)), "the question")
        await until(lambda: app.query_one(Input).value == "wstvfsShnN!/Gg@y", "the whole answer")
        view = app.view
        assert (view.wrap, view.stamps, view.follow, view.selected_from) == (False, False, True, None)
        assert app.pane.state()["source"] == "all"
        await pilot.press("escape")
        assert (app.pane.controls.filter, app.pane.controls.search) == ("", "")
        assert app.view.has_focus


async def test_no_pattern_is_said_in_words(log: Path) -> None:
    """What is shown stays, the question stays open, and the next good pattern takes the words away."""
    log.write_bytes(written(30))
    async with opened(log) as (app, pilot):
        await pilot.press("slash")
        await typed(pilot, "line (1")
        assert said(app).startswith("not a pattern: missing ): line (1")
        await pilot.press("enter")
        assert app.query_one(Input).has_focus
        assert len(app.view.rows) == 30
        await typed(pilot, ")$")
        await until(lambda: len(app.view.rows) == 1, "what matches")
        assert said(app) == ""


async def test_search_goes_from_hit_to_hit_and_lists_them(log: Path) -> None:
    """The first hit from the cursor on; round the ends; the list moves the log beside it."""
    log.write_bytes(written(100))
    async with opened(log) as (app, pilot):
        await pilot.press("g", "ctrl+f")
        await typed(pilot, "line 5")
        await until(lambda: "search line 5 1 of 11" in above(app), "the first hit")
        await pilot.press("enter")
        assert app.view.line is not None
        assert app.view.line.text.endswith("line 5")
        hit = next(s for s in app.view.render_line(5) if s.text == "line 5")
        assert hit.style is not None
        assert hit.style.reverse
        await pilot.press("n")
        await until(lambda: "2 of 11" in above(app), "the next hit")
        await pilot.press("N", "N")
        await until(lambda: "11 of 11" in above(app), "the last one")
        await pilot.press("h")
        hits = app.query_one("#log-hits", LogView)
        await until(lambda: hits.has_focus and len(hits.rows) == 11, "the list")
        assert [re.sub(r".* ", "", line) for line in shown(hits)][-1] == "59"
        await pilot.press("home", "down")
        await until(lambda: app.view.line is not None and app.view.line.text.endswith("line 50"), "the log")
        await pilot.press("enter")
        assert app.view.has_focus
        await pilot.press("escape", "escape")
        await until(lambda: "search" not in above(app), "no search")


async def test_errors_within_what_is_shown(log: Path) -> None:
    """The next and the previous one, round the ends; none is said."""
    log.write_bytes(written(40) + b"[worker] a quiet line\n")
    async with opened(log) as (app, pilot):
        await pilot.press("home", "exclamation_mark")
        await until(lambda: "2 of 4 errors" in status(app), "the next error")
        assert app.view.line is not None
        assert app.view.line.text == "[train] ERROR line 10"
        await pilot.press("at", "at")
        await until(lambda: "4 of 4 errors" in status(app), "the last error")
        await pilot.press("s", "s")
        await until(lambda: len(app.view.rows) == 1, "the worker's lines")
        await pilot.press("exclamation_mark")
        await until(lambda: "no errors" in status(app), "no error")


async def test_a_new_query_ends_the_old_one(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for a pattern that is no longer asked for."""
    log.write_bytes(written(5000))
    monkeypatch.setattr(search, "CHUNK", 4096)
    find, begun, gate = LogMatches._find, threading.Event(), threading.Event()
    finds: list[str] = []

    def slow(matches: LogMatches, data: bytes, end: int, base: int) -> Any:
        finds.append(matches.query.patterns[0])
        if matches.query.patterns == ("l",):
            begun.set()
            gate.wait(20)
        return find(matches, data, end, base)

    monkeypatch.setattr(LogMatches, "_find", slow)
    async with opened(log) as (app, pilot):
        await pilot.press("slash", "l")
        await until(begun.is_set, "the first scan")
        await pilot.press("i")
        gate.set()
        await until(
            lambda: app.view.rows.query.patterns == ("li",) and len(app.view.rows) == 5000, "the second"
        )
        assert finds.count("l") <= search.THREADS + 1 < finds.count("li")


async def test_sources_by_key_and_by_click(log: Path) -> None:
    """One source's lines, or all; events are the worker's."""
    start = encode_line(PhaseEvent(phase="train", status="started", t=NOW, seq=1)).encode() + b"\n"
    hidden = encode_line(MetricsEvent(step=1, values={"a": 1.0}, t=NOW, seq=2)).encode() + b"\n"
    log.write_bytes(written(4) + start + hidden + b"untagged\n")
    app = Host(log)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: len(app.view.rows) == 6, "the lines")
        await pilot.click("#log-sources", offset=(1 + 5 + 7 + 2, 0))
        await until(lambda: shown(app.view) == ["▶ train", "untagged"], "the worker's lines")
        await pilot.press("S", "S")
        await until(lambda: len(app.view.rows) == 6, "all lines")


async def test_times_of_lines(log: Path) -> None:
    """Each line bears the time of the last event before it."""
    start = encode_line(PhaseEvent(phase="train", status="started", t=NOW, seq=1)).encode() + b"\n"
    log.write_bytes(b"before\n" + start + b"after\n")
    app = Host(log)
    async with app.run_test(size=(80, 24)) as pilot:
        await until(lambda: len(app.view.rows) == 3, "the lines")
        await pilot.press("t")
        await pilot.pause()
        first, *others = shown(app.view)
        assert first == "         before"
        assert all(re.fullmatch(r"\d\d:\d\d:\d\d (▶ train|after)", line) for line in others)
        assert "times" in status(app)


async def test_wrapped_lines_with_wide_signs(log: Path) -> None:
    """Nothing is lost at the edges, every row fills its columns, and the cursor is seen on every line."""
    lines = [f"{number:03} " + "世界" * (number % 40) + "x" * (number % 7) for number in range(60)]
    log.write_text("".join(f"{line}\n" for line in lines))
    async with opened(log, size=(41, 14)) as (app, pilot):
        await pilot.press("w", "home")
        seen: list[str] = []
        for number, line in enumerate(lines):
            view = app.view
            assert all(
                view.render_line(y).cell_length == view.size.width - 1 for y in range(view.size.height)
            )
            rows = [view.render_line(y).text for y in range(view.size.height)]
            own = [row[1:].rstrip() for row in rows if row[0] == "▌"]
            assert "".join(own) == line.rstrip(), number
            seen.append("".join(own))
            await pilot.press("down")
        assert len(seen) == 60
        await pilot.press("end")
        await until(lambda: "".join(shown(app.view)).endswith(lines[-1]), "the end")
        for _ in range(60):
            await pilot.press("pageup")
        assert app.view.cursor == 0


async def test_a_file_cut_short_removed_and_put_in_anew(log: Path) -> None:
    """Each time the pane shows what there is now."""
    log.write_bytes(written(300))
    async with opened(log) as (app, pilot):
        await pilot.press("slash")
        await typed(pilot, "ERROR")
        await pilot.press("enter")
        await until(lambda: len(app.view.rows) == 30, "the errors")
        log.write_bytes(written(25))
        app.pane.log_grew()
        await until(lambda: len(app.view.rows) == 3, "those of the shorter file")
        log.unlink()
        app.pane.log_grew()
        await pilot.pause()
        assert len(app.view.rows) == 3
        log.write_bytes(b"ERROR anew\n")
        app.pane.log_grew()
        await until(lambda: shown(app.view) == ["ERROR anew"], "the new file")


async def test_a_torn_last_line_counts_when_the_run_is_over(log: Path) -> None:
    """Half a line may still grow; of a run that is over it is all there will be."""
    log.write_bytes(written(3))
    async with opened(log) as (app, _):
        grow(app, b"[train] torn \xe4\xb8")
        await until(lambda: app.pane.log_file.size() > app.log_file.end, "a torn line")
        assert len(app.view.rows) == 3
        grow(app, b"", over=True)
        await until(ends(app, "torn \N{REPLACEMENT CHARACTER}"), "the torn line")


async def test_a_file_that_comes_later(tmp_path: Path) -> None:
    """An empty pane says so; the first line takes its place."""
    app = Host(tmp_path / "run" / "logs" / "stream.log")
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert shown(app.view) == ["no output yet"]
        app.log_file.path.parent.mkdir(parents=True)
        grow(app, b"[image] hello\n")
        await until(lambda: shown(app.view) == ["[image] hello"], "the first line")


async def test_panes_over_one_log_while_it_grows_and_the_screen_changes(log: Path) -> None:
    """Each keeps its own source, filter and place; sizes change in mid-stream."""
    async with opened(log, panes=3) as (app, pilot):
        panes = list(app.query(LogPane))
        panes[1].show_source("vllm")
        panes[2].filter("ERROR")
        for round_, size in enumerate([(80, 24), (200, 60), (40, 12), (120, 40)] * 3):
            await pilot.resize_terminal(*size)
            grow(app, written(1000, round_ * 1000))
            await pilot.pause()
        await until(lambda: [len(pane.view.rows) for pane in panes] == [12000, 6000, 1200], "all lines")
        await pilot.pause()
        for pane, last in zip(panes, ("11999", "11999", "11990"), strict=True):
            assert shown(pane.view)[-1].endswith(last)


async def test_wheel_click_drag_and_copy(log: Path) -> None:
    """Wheel up pauses, a click puts the cursor, a drag selects, y copies the lines without colours."""
    log.write_bytes(written(100) + b"\x1b[31mred\x1b[0m and\ttab\n")
    async with opened(log) as (app, pilot):
        view = app.view
        for kind in (MouseScrollUp, MouseScrollUp, MouseScrollDown):
            view.post_message(kind(view, 5, 5, 0, 0, 0, False, False, False, 5, 6))
            await pilot.pause()
        assert not view.follow
        assert "paused" in status(app)
        await pilot.mouse_down(view, offset=(10, 3))
        row = view.cursor
        assert view.render_line(3).text.startswith("▌")
        await pilot.hover(view, offset=(10, 6))
        await pilot.mouse_up(view, offset=(10, 6))
        assert view.selection == (row, row + 3)
        assert "4 selected" in status(app)
        await pilot.press("y")
        assert app.clipboard == written(4, row).decode().rstrip("\n")
        assert view.selected_from is None
        await pilot.press("end", "v", "up", "y")
        assert app.clipboard == "[vllm] INFO line 99\nred and tab"


async def test_what_is_shown_can_be_saved(log: Path, tmp_path: Path) -> None:
    """As text, and only what the filter lets through."""
    log.write_bytes(written(50) + b"[vllm] \x1b[1mERROR\x1b[0m bold\n")
    async with opened(log) as (app, pilot):
        app.pane.filter("ERROR")
        await pilot.press("ctrl+s")
        await until(lambda: bool(app.saves), "the request")
        assert app.saves[0].default == "run-1-all.log"
        count = await app.pane.save(tmp_path / "saved.log")
        found = (tmp_path / "saved.log").read_text().splitlines()
        assert count == len(found) == 6
        assert found[-1] == "[vllm] ERROR bold"


async def test_going_to_a_line_or_a_part_of_the_way(log: Path) -> None:
    """Lines count from 1; what is no place is said."""
    log.write_bytes(written(1000))
    async with opened(log) as (app, pilot):
        for text, line in (("500", "line 499"), ("10%", "line 99"), ("99999", "line 999")):
            await pilot.press("ctrl+g")
            await typed(pilot, text)
            await pilot.press("enter")
            await until(on_line(app, line), line)
        await pilot.press("ctrl+g", "x", "enter")
        await until(lambda: "no place: 'x'" in said(app), "words")
        for text, words in (
            ("9999", "this is the last"),
            ("0", "this is the first"),
            ("400%", "100% is the last"),
        ):
            await pilot.press("ctrl+u", *text, "enter")
            await until(lambda words=words: words in said(app), words)
            await pilot.press("ctrl+g")
        await pilot.press("escape")
        assert said(app) == ""
        assert app.view.has_focus


async def test_what_is_remembered_comes_back(log: Path) -> None:
    """Source, filter, search, wrapping, times; what does not fit is left out."""
    log.write_bytes(written(100))
    async with opened(log) as (app, pilot):
        await pilot.press("s", "s", "s", "s", "w", "t", "slash")
        await typed(pilot, "9")
        await pilot.press("enter")
        kept = app.pane.state()
    async with opened(log) as (app, _):
        app.pane.restore({**kept, "search": "(", "past": "x"})
        await until(lambda: len(app.view.rows) == 14, "vllm's lines with a 9")
        assert (app.view.wrap, app.view.stamps) == (True, True)
        assert "filter 9" in above(app)
        assert "search" not in above(app)


UGLY = [
    b"[train] \x1b]0;owned\x07 title, \x1b]52;c;aGVsbG8=\x07 clipboard",
    b"[vllm] \x1b[2J\x1b[H cleared \x1bc reset \x1b[?1049h other screen \x1b[6n where \x9b2J",
    b"[env] \x1b]8;;http://example.org\x1b\\link\x1b]8;;\x1b\\ [bold]markup[/bold] [@click=app.bell]x[/]",
    b"[train] \xff\xfe\xc3( \x00 NUL \x07 bell \x0c feed \x7f del \xe2\x80\xae turned",
    "[train] 世界 한국어 😀👨\u200d👩\u200d👧 e\u0301 z\u0300\u0301 \u200b| ❤\ufe0f".encode(),
    "\r".join(f" {i}%|{'█' * i}" for i in range(100)).encode(),
    b"[image] " + b"y" * 1_000_000,
    b"\x1b[31m" + "é\x1b[38;2;1;2;3m世".encode() * 20_000,
    b"\x1e{not an event",
    b"\x1e" + b'{"v":1,"seq":1,"t":1.0,"type":"phase","phase":"\\u001b[2Jx","status":"done","detail":null}',
    bytes(range(256)).replace(b"\n", b""),
    b"crlf\r",
    b"",
]


@pytest.mark.parametrize("wrap", [False, True])
@pytest.mark.parametrize("size", [(80, 24), (200, 60)])
async def test_nothing_of_an_ugly_log_is_obeyed(log: Path, wrap: bool, size: tuple[int, int]) -> None:
    """What reaches the terminal holds no control character at all, in every row of every line."""
    log.write_bytes(b"\n".join(UGLY) + b"\n")
    async with opened(log, size=size) as (app, pilot):
        app.view.wrap = wrap
        app.pane.search("[a-z]|世")
        await pilot.press("t", "home")
        for _ in UGLY:
            for y in range(app.view.size.height):
                strip = app.view.render_line(y)
                assert strip.cell_length == app.view.size.width - 1
                for segment in strip:
                    assert not segment.control
                    assert not re.search("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", segment.text)
                    assert not (segment.style and segment.style.link)
            assert "\x1b" not in app.export_screenshot()
            await pilot.press("down")
        await pilot.press("v", "home", "y")
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f]", app.clipboard)

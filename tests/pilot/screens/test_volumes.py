"""Volumes through real keys: browsing, previews, filters, carrying files, and what hangs or is hostile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from textual.events import Key
from textual.pilot import Pilot
from textual.widgets import Input, Static

from remote.contract.errors import BackendError, Hint
from remote.contract.record import RunRecord
from tests.pilot.conftest import NOW, make_run, story
from tests.waiting import until
from tui.app import VfmApp
from tui.backends.base import Entry, VolumeInfo
from tui.client import Client
from tui.screens.dialogs import AskPath, Confirm
from tui.screens.requests import FilesRequested
from tui.screens.volumes import VolumesScreen
from tui.services import deadline
from tui.settings import Settings
from tui.user.ui_state import UiState
from tui.widgets.common.filter_input import FilterInput
from tui.widgets.files.list import FileList
from tui.widgets.files.pane import FilesPane
from tui.widgets.files.preview_view import PreviewView
from tui.widgets.files.transfers import TransfersPanel
from tui.widgets.files.volume_list import VolumeList

VOLUME = "verifiers-outputs-ann-tests"
RUN = "k3f9x-wordle"
HOSTILE = "\x1b]0;owned\x07\x1b[31mred\nline [red]x["


@pytest.fixture
def run(home: Path) -> Path:
    """A run that is over, and a cache volume."""
    run = make_run(home, RUN, story(3, 3))
    (run / "rollouts").mkdir()
    for step in (2, 10):
        (run / "rollouts" / f"step-{step}.jsonl").write_text(f'{{"step": {step}, "reward": 0.5}}\n')
    (run / "weights.bin").write_bytes(bytes(range(256)) * 100)
    (home / "volumes" / "verifiers-cache-ann-tests").mkdir()
    return run


class Shown:
    """The screen, as a person sees it."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot, self.app = pilot, pilot.app
        assert isinstance(pilot.app, VfmApp)
        self.vfm = pilot.app

    @property
    def screen(self) -> VolumesScreen:
        return next(s for s in self.app.screen_stack if isinstance(s, VolumesScreen))

    @property
    def pane(self) -> FilesPane:
        return self.screen.query_one(FilesPane)

    @property
    def rows(self) -> list[str]:
        """Names in the tree, indented as there."""
        lists = self.screen.query(FileList)  # none, for a moment, while another volume is opened
        return [f"{'  ' * row.depth}{row.message or row.name}" for files in lists for row in files.shown]

    @property
    def lines(self) -> str:
        """The preview's text."""
        return "\n".join(self.screen.query_one(PreviewView).lines())

    def text(self, selector: str) -> str:
        return str(self.screen.query_one(selector, Static).render())

    @property
    def picture(self) -> str:
        """Everything on the screen, as text."""
        strips = self.app.screen._compositor.render_strips()
        return "\n".join(strip.text for strip in strips)

    async def until(self, condition: Callable[[], bool] | Callable[[], Awaitable[bool]], what: str) -> None:
        await until(condition, what)
        await self.pilot.pause()

    def asks(self, title: str) -> bool:
        """Whether a question of this title is on the screen."""
        return isinstance(self.app.screen, Confirm) and title in str(
            self.app.screen.query_one("#dialog-title", Static).render()
        )

    async def on(self, path: str) -> None:
        """The cursor on a path."""
        await self.until(
            lambda: self.pane.files.row is not None and self.pane.files.row.entry.path == path, path
        )

    async def asked(self, kind: type[Any]) -> Any:
        await self.until(lambda: isinstance(self.app.screen, kind), kind.__name__)
        return self.app.screen


@asynccontextmanager
async def shown(
    client: Client,
    request: FilesRequested,
    size: tuple[int, int] = (120, 40),
    ui_state: UiState | None = None,
    **options: Any,
) -> AsyncIterator[Shown]:
    """The app with the volumes screen open, once the volumes of `local` are there."""
    app = VfmApp(client=client, ui_state=ui_state or UiState(), clock=lambda: NOW, **options)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        app.post_message(request)
        await until(lambda: bool(app.screen.query(FileList)), "the files")
        view = Shown(pilot)
        if request.path:
            await view.on(request.path)
        yield view


RUN_PATH = f"runs/{RUN}"
IN_RUN = FilesRequested("local", VOLUME, RUN_PATH)


async def test_volumes_with_their_sizes_and_the_only_folder_is_open(client: Client, run: Path) -> None:
    async with shown(client, FilesRequested()) as view:
        volumes = view.screen.query_one(VolumeList)
        await view.until(lambda: view.rows == ["runs", f"  {RUN}"], "the run")
        assert volumes.has_focus
        assert volumes.info == next(info for info in volumes.infos if info.name == VOLUME)
        await view.until(lambda: "kB" in view.picture and "0 B" in view.picture, "sizes")
        await view.pilot.press("up")
        await view.until(lambda: view.rows == ["nothing in here"], "the cache volume")
        assert view.screen.sub_title == "verifiers-cache-ann-tests"


async def test_folders_open_and_close_by_keys_and_mouse(client: Client, run: Path) -> None:
    async with shown(client, IN_RUN) as view:
        await view.pilot.press("right")
        await view.until(lambda: "    rollouts" in view.rows, "what is in the run")
        await view.pilot.press("down", "down")
        await view.on(f"{RUN_PATH}/rollouts")
        await view.pilot.press("enter")
        await view.until(lambda: "      step-10.jsonl" in view.rows, "rollouts")
        assert view.rows.index("      step-2.jsonl") < view.rows.index("      step-10.jsonl")
        await view.pilot.press("right", "left")
        await view.on(f"{RUN_PATH}/rollouts")
        await view.pilot.press("left")
        assert "      step-2.jsonl" not in view.rows
        files = view.pane.files
        at = view.rows.index("    rollouts") + 1
        await view.pilot.click(files, offset=(2 + 2 * 2, at))
        assert "      step-2.jsonl" in view.rows


async def test_a_file_is_previewed_when_the_cursor_rests_on_it(client: Client, run: Path) -> None:
    async with shown(client, FilesRequested("local", VOLUME, f"{RUN_PATH}/rollouts/step-2.jsonl")) as view:
        await view.until(lambda: "1 · step 2 · reward 0.5" in view.lines, "the record")
        assert "JSON lines, 1 record" in view.text("#preview-title")
        await view.pilot.press("down")
        await view.until(lambda: "step 10" in view.lines, "the next file")


async def test_a_damaged_file_says_so_and_one_that_is_gone_too(client: Client, run: Path) -> None:
    (run / "broken.json").write_text('{"a": \x1b[2J')
    async with shown(client, FilesRequested("local", VOLUME, f"{RUN_PATH}/broken.json")) as view:
        await view.until(lambda: "not valid JSON" in view.text("#preview-notes"), "what is wrong")
        assert '{"a": ' in view.lines
        assert "\x1b" not in view.picture
        (run / "events.jsonl").unlink()
        await view.pilot.press("down")
        await view.until(lambda: "there is no" in view.text("#preview-notes"), "that it is gone")


async def test_names_are_shown_and_never_obeyed(client: Client, run: Path) -> None:
    folder = run / "weird"
    folder.mkdir()
    (folder / HOSTILE).write_bytes(b"\0\1\2")
    (folder / ("n" * 255)).write_text("long")
    (folder / "z\x1b[7mz").write_text("")
    (folder / "日本語の名前.txt").write_text("日本語\n")
    for size in ((80, 24), (120, 40)):
        async with shown(
            client, FilesRequested("local", VOLUME, f"{RUN_PATH}/weird/{HOSTILE}"), size
        ) as view:
            await view.until(lambda: "00 01 02" in view.lines, "a hex dump")
            assert "\\x1b]0;owned\\x07" in view.picture
            assert "z\\x1b[7mz" in view.picture
            assert "\x1b" not in view.picture
            assert all(len(line) <= size[0] for line in view.picture.splitlines())
            await view.pilot.press("down")
            await view.until(lambda: view.lines == "long", "the file with a long name")
            await view.pilot.press("down", "down")
            await view.until(lambda: "日本語" in view.lines, "the file with a wide name")
            await view.pilot.press("d")
            await view.asked(AskPath)


async def test_the_filter_looks_through_all_folders_and_survives(client: Client, run: Path) -> None:
    async with shown(client, IN_RUN) as view:
        await view.pilot.press("slash", *"STEP", "space", *"10")
        await view.until(lambda: view.rows == [f"{RUN_PATH}/rollouts/step-10.jsonl"], "the file")
        await view.pilot.press("enter")
        assert view.pane.files.has_focus
        await view.until(lambda: "step 10" in view.lines, "its preview")
        await view.pilot.press("slash", *"xyz")
        await view.until(lambda: "no file has all these words" in view.rows[0], "that there is none")
        await view.pilot.press("escape")
        assert "runs" in view.rows


@pytest.mark.parametrize("reading", [False, True])
async def test_keys_that_come_in_a_burst_are_words_not_commands(
    client: Client, run: Path, reading: bool
) -> None:
    there = FilesRequested("local", VOLUME, f"{RUN_PATH}/rollouts/step-2.jsonl")
    async with shown(client, there, (80, 24)) as view:
        if reading:
            await view.pilot.press("enter")
        assert view.pane.has_class("-reading") is reading
        for character in "/dux/10":
            view.app.post_message(Key("slash" if character == "/" else character, character))
        words = view.pane.query_one(FilterInput)
        await view.until(lambda: words.text == "dux/10", "the words")
        assert isinstance(view.app.screen, VolumesScreen)
        assert "/ dux/10" in view.picture


async def test_order_totals_and_copied_paths(client: Client, run: Path) -> None:
    async with shown(client, IN_RUN) as view:
        await view.pilot.press("right", "t")
        await view.until(lambda: "■" in view.lines, "what the bytes are spent on")
        await view.pilot.press("s")
        files = [row.name for row in view.pane.files.shown if not row.entry.is_dir]
        assert files[0] == "weights.bin"
        await view.pilot.press("S")
        files = [row.name for row in view.pane.files.shown if not row.entry.is_dir]
        assert files[-1] == "weights.bin"
        await view.pilot.press("y")
        assert view.app.clipboard == f"{VOLUME}:{RUN_PATH}"
        await view.until(
            lambda: any("1 path: sent to the clipboard" in note.message for note in view.app._notifications),
            "what is known of it",
        )


async def test_a_copy_claims_only_what_is_known(
    client: Client, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TMUX", "TERM_PROGRAM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("STY", "1.screen")
    async with shown(client, IN_RUN) as view:
        await view.pilot.press("y")
        await view.until(
            lambda: any(
                "sent to the clipboard" in note.message
                and "GNU screen does not pass copied text on" in note.message
                for note in view.app._notifications
            ),
            "what keeps it from getting there",
        )


async def test_narrow_terminals_show_one_thing_at_a_time(client: Client, run: Path) -> None:
    path = f"{RUN_PATH}/rollouts/step-2.jsonl"
    async with shown(client, FilesRequested("local", VOLUME, path), (80, 24)) as view:
        assert "step-2.jsonl" in view.picture
        assert "1 · step 2" not in view.picture
        await view.pilot.press("enter")
        await view.until(lambda: "1 · step 2" in view.picture, "the preview alone")
        assert "name▲" not in view.picture
        await view.pilot.press("escape")
        assert "name▲" in view.picture
        await view.pilot.press("escape")
        assert view.screen.query_one(VolumeList).has_focus
        await view.pilot.press("escape")
        assert not isinstance(view.app.screen, VolumesScreen)


async def test_resizing_leaves_the_keys_where_they_are_and_that_in_sight(client: Client, run: Path) -> None:
    path = f"{RUN_PATH}/rollouts/step-2.jsonl"
    async with shown(client, FilesRequested("local", VOLUME, path)) as view:
        for key, there in (("v", VolumeList), ("tab", FileList), ("tab", PreviewView)):
            await view.pilot.press(key)
            assert isinstance(view.app.focused, there)
            for size in ((80, 24), (200, 60), (30, 8), (120, 40)):
                await view.pilot.resize_terminal(*size)
                await view.pilot.pause()
                assert isinstance(view.app.focused, there), size
                assert view.app.focused.region.area > 0, size
                assert all(len(line) <= size[0] for line in view.picture.splitlines())


async def test_resizing_in_mid_transfer(
    client: Client, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, get = asyncio.Event(), client.get

    async def held(*args: Any, **options: Any) -> Any:
        await gate.wait()
        return await get(*args, **options)

    monkeypatch.setattr(client, "get", held)
    async with shown(client, IN_RUN) as view:
        transfers = await view.vfm.transfers()
        jobs = [transfers.start_download("local", VOLUME, RUN_PATH, tmp_path / str(n)) for n in range(12)]
        panel = view.screen.query_one(TransfersPanel)
        await view.until(lambda: panel.count == 12 and "○ waiting" in view.picture, "the jobs")
        await view.pilot.press("T", "end")
        for size in ((80, 24), (200, 60), (80, 12), (120, 40)):
            await view.pilot.resize_terminal(*size)
            await view.pilot.pause()
            assert panel.has_focus
            assert panel.row_at(panel.size.height - 1) == panel.cursor == 11, size
            gate.set()
        await view.until(lambda: all(job.state == "done" for job in jobs), "the end")


async def test_marked_files_are_downloaded_in_one_go(client: Client, run: Path, tmp_path: Path) -> None:
    async with shown(client, FilesRequested("local", VOLUME, f"{RUN_PATH}/rollouts/step-2.jsonl")) as view:
        await view.pilot.press("space", "space", "d")
        await view.asked(AskPath)
        view.app.screen.query_one(Input).value = str(tmp_path / "out")
        await view.pilot.press("enter")
        await view.until(lambda: (tmp_path / "out" / "step-10.jsonl").exists(), "the second file")
        panel = view.screen.query_one(TransfersPanel)
        await view.until(lambda: [job.state for job in panel.jobs] == ["done", "done"], "both done")
        assert (tmp_path / "out" / "step-2.jsonl").read_bytes() == (
            run / "rollouts/step-2.jsonl"
        ).read_bytes()
        assert "✓ done" in view.picture
        assert view.vfm.ui_state.get("download_dir") == str(tmp_path / "out")
        await view.pilot.press("T", "x")
        await view.until(lambda: view.screen.query_one("#volumes-jobs").has_class("-hidden"), "no jobs")


async def test_a_whole_volume_is_downloaded(client: Client, run: Path, tmp_path: Path) -> None:
    async with shown(client, FilesRequested()) as view:
        await view.pilot.press("d")
        await view.asked(AskPath)
        view.app.screen.query_one(Input).value = str(tmp_path / "out")
        await view.pilot.press("enter")
        there = tmp_path / "out" / VOLUME / RUN_PATH / "weights.bin"
        await view.until(there.exists, "the volume")


async def test_transfers_pause_go_on_and_are_given_up(
    client: Client, run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, get = asyncio.Event(), client.get

    async def held(*args: Any, **options: Any) -> Any:
        await gate.wait()
        return await get(*args, **options)

    monkeypatch.setattr(client, "get", held)
    async with shown(client, IN_RUN) as view:
        transfers = await view.vfm.transfers()
        job = transfers.start_download("local", VOLUME, RUN_PATH, tmp_path)
        await view.until(lambda: "● running" in view.picture, "the job")
        await view.pilot.press("T", "p")
        await view.until(lambda: "‖ paused" in view.picture, "the pause")
        await view.pilot.press("p")
        await view.until(lambda: job.state == "running", "that it goes on")
        await view.pilot.press("c")
        await view.until(lambda: "■ cancelled" in view.picture, "the end")
        gate.set()
        await view.pilot.press("r")
        await view.until(lambda: job.state == "done", "the second attempt")


async def test_deleting_names_what_goes_and_takes_no_for_an_answer(client: Client, run: Path) -> None:
    async with shown(client, FilesRequested("local", VOLUME, f"{RUN_PATH}/rollouts")) as view:
        await view.pilot.press("x")
        asked = await view.asked(Confirm)
        assert "2 files" in str(asked.query_one("#dialog-title", Static).render())
        await view.pilot.press("enter")
        assert (run / "rollouts").exists()
        await view.pilot.press("x")
        await view.asked(Confirm)
        await view.pilot.press("y")
        await view.until(lambda: not (run / "rollouts").exists(), "that it is gone")
        await view.until(lambda: "    rollouts" not in view.rows, "that it is not shown")


async def test_what_a_live_run_writes_is_not_deleted(client: Client, home: Path, bench: Any) -> None:
    from tests.backends.conftest import request

    never = home / "never"
    record: RunRecord = await bench.backend(f"wait:{never}").launch(request())
    async with shown(client, FilesRequested("local", record.outputs, f"runs/{record.run_id}")) as view:
        await view.pilot.press("x")
        await view.until(
            lambda: any("is in use" in note.message for note in view.app._notifications), "why not"
        )


async def test_a_folder_is_uploaded_after_a_question(client: Client, run: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "words.txt").write_text("crane\n")
    async with shown(client, FilesRequested("local", VOLUME, f"{RUN_PATH}/rollouts")) as view:
        await view.pilot.press("right", "u")
        await view.asked(AskPath)
        view.app.screen.query_one(Input).value = str(tmp_path / "data")
        await view.pilot.press("enter")
        asked = await view.asked(Confirm)
        assert "1 file, 6 B" in str(asked.query_one("#what", Static).render())
        await view.pilot.press("y")
        await view.until(lambda: (run / "rollouts/data/words.txt").exists(), "the file")
        await view.until(lambda: "      data" in view.rows, "that it is shown")
        (tmp_path / "data" / "words.txt").write_text("slate\n")
        (tmp_path / "data" / "nowhere").symlink_to("nothing")
        for answer, then in (("n", "crane\n"), ("y", "slate\n")):
            await view.pilot.press("u")
            await view.asked(AskPath)
            view.app.screen.query_one(Input).value = str(tmp_path / "data")
            await view.pilot.press("enter")
            asked = await view.asked(Confirm)
            said = str(asked.query_one("#what", Static).render())
            assert "1 file, 6 B" in said
            assert "data/nowhere, a broken link" in said
            await view.pilot.press("y")
            await view.until(lambda: view.asks("Replace 1 file that differs?"), "the second question")
            await view.pilot.press(answer)
            await view.until(lambda: not isinstance(view.app.screen, Confirm), "no question")
            written = run / "rollouts/data/words.txt"
            await view.until(lambda file=written, text=then: file.read_text() == text, then)


async def test_a_download_asks_before_it_replaces_and_names_what_it_leaves_out(
    client: Client, run: Path, tmp_path: Path
) -> None:
    (run / "rollouts/debug-core.log").symlink_to(tmp_path)
    mine = tmp_path / "out/rollouts/step-2.jsonl"
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")
    async with shown(client, FilesRequested("local", VOLUME, f"{RUN_PATH}/rollouts")) as view:
        await view.pilot.press("d")
        await view.asked(AskPath)
        view.app.screen.query_one(Input).value = str(tmp_path / "out")
        await view.pilot.press("enter")
        for answer in ("n", "y"):
            await view.until(lambda: view.asks("Replace 1 file that differs?"), "the question")
            assert str(mine) in view.picture.replace("\n", "") or "step-2.jsonl" in view.picture
            assert mine.read_text() == "mine"
            await view.pilot.press(answer)
            if answer == "n":
                await view.until(lambda: "✗ failed" in view.picture, "the job")
                await view.pilot.press("T", "r")
        theirs = (run / "rollouts/step-2.jsonl").read_text()
        await view.until(lambda: mine.read_text() == theirs, "the file")
        panel = view.screen.query_one(TransfersPanel)
        await view.until(lambda: "1 left out" in view.picture, "the notice of the job")
        assert panel.jobs[0].state == "done"
        await view.until(
            lambda: any("a link that leaves the volume" in note.message for note in view.app._notifications),
            "the toast",
        )


async def test_read_only_refuses_but_lets_one_download(client: Client, run: Path) -> None:
    async with shown(client, IN_RUN, readonly=True) as view:
        for key, what in (("x", "delete files"), ("u", "upload")):
            await view.pilot.press(key)

            def told(what: str = what) -> bool:
                return any(f"read-only: cannot {what}" in note.message for note in view.app._notifications)

            await view.until(told, what)
        await view.pilot.press("d")
        await view.asked(AskPath)


class FarVolumes:
    """Volumes of a backend that fails, or does not answer before it is let."""

    def __init__(self, error: Exception | None) -> None:
        self._error, self.answers = error, asyncio.Event()

    async def volumes(self) -> list[VolumeInfo]:
        await self._wait()
        return [VolumeInfo("verifiers-outputs-ann-far", "modal")]

    async def list(self, volume: str, path: str = "", *, recursive: bool = False) -> list[Entry]:
        await self._wait()
        return [Entry("far.txt", False, 5)]

    async def _wait(self) -> None:
        if self._error:
            raise self._error
        await self.answers.wait()


class FarBackend:
    """Somewhere else, slow or signed out."""

    name = "modal"

    def __init__(self, error: Exception | None = None) -> None:
        self.volumes = FarVolumes(error)
        self.notices: list[str] = []
        self.damaged: list[str] = []

    async def fetch_prices(self) -> None:
        """See `Backend`: it has none."""

    async def runs(self) -> list[RunRecord]:
        await self.volumes.volumes()
        return []


def with_far(client: Client, far: FarBackend) -> Client:
    backends: dict[str, Any] = {"modal": far, **client.backends}
    return Client(client.settings, backends)


async def test_a_backend_that_is_signed_out_fails_alone(client: Client, run: Path) -> None:
    far = FarBackend(BackendError("not signed in to Modal", hint=Hint("run [b]modal setup[/]")))
    async with shown(with_far(client, far), FilesRequested()) as view:
        await view.until(lambda: "not signed in to Modal" in view.picture, "its message")
        assert "[b]modal" in view.picture
        await view.until(lambda: view.rows == ["runs", f"  {RUN}"], "the local run")


async def test_a_backend_that_hangs_holds_up_nothing(client: Client, run: Path) -> None:
    far = FarBackend()
    async with shown(with_far(client, far), FilesRequested("local", VOLUME, f"{RUN_PATH}/rollouts")) as view:
        assert "asking …" in view.picture
        await view.pilot.press("x")
        await view.asked(Confirm)
        await view.pilot.press("y")
        await view.until(lambda: not (run / "rollouts").exists(), "that it is gone")
        far.volumes.answers.set()
        await view.until(lambda: "verifiers-outputs-ann-far" in view.picture, "its volume")


async def test_a_backend_that_hangs_for_a_minute_is_told_of_given_up_and_asked_again(
    client: Client, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadline, "REPORT_AFTER", 0.3)
    monkeypatch.setattr(deadline, "GIVE_UP_AFTER", 1.2)
    far = FarBackend()
    async with shown(with_far(client, far), FilesRequested("local", VOLUME), (200, 60)) as view:
        await view.until(lambda: "still trying" in view.picture, "that it takes a while")
        await view.until(lambda: "F5 asks again" in view.picture, "that it was given up")
        assert f"  {RUN}" in view.rows
        far.volumes.answers.set()
        await view.pilot.press("f5")
        await view.until(lambda: "verifiers-outputs-ann-far" in view.picture, "its volume")
        assert "no answer" not in view.picture


async def test_a_folder_that_hangs_is_said_to_be_listed_and_can_be_left(client: Client, run: Path) -> None:
    far = FarBackend()
    both = with_far(client, far)
    async with shown(both, FilesRequested("local", VOLUME)) as view:
        far.volumes.answers.set()
        await view.until(lambda: "verifiers-outputs-ann-far" in view.picture, "its volume")
        far.volumes.answers.clear()
        await view.pilot.press("v", "home", "enter")
        await view.until(lambda: view.rows == ["listing …"], "that it is asked")
        await view.pilot.press("v", "end", "enter")
        await view.until(lambda: "runs" in view.rows, "the local files")
        await view.pilot.press("escape")
        assert not isinstance(view.app.screen, VolumesScreen)


async def test_what_was_open_last_is_open_again(client: Client, run: Path) -> None:
    ui_state = UiState()
    async with shown(client, FilesRequested("local", "verifiers-cache-ann-tests"), ui_state=ui_state) as view:
        await view.until(lambda: view.rows == ["nothing in here"], "the cache volume")
        await view.pilot.press("s", "escape")
    async with shown(client, FilesRequested(), ui_state=ui_state) as view:
        assert view.screen.sub_title == "verifiers-cache-ann-tests"
        assert view.pane.listing.sort == "size"


async def test_without_any_volume_one_is_told_how_they_come(settings: Settings, client: Client) -> None:
    app = VfmApp(client=client, ui_state=UiState(), clock=lambda: NOW)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.post_message(FilesRequested())
        view = Shown(pilot)
        await view.until(lambda: "no volume yet" in view.picture, "the advice")
        await pilot.press("d", "enter", "escape")
        assert not isinstance(app.screen, VolumesScreen)


async def test_many_files_are_listed_filtered_and_sorted_quickly(client: Client, run: Path) -> None:
    many = [Entry(f"runs/{RUN}/f/{n:05}.json", False, n, NOW - n) for n in range(20_000)]
    async with shown(client, IN_RUN) as view:
        view.pane.put_everything(many)
        began = time.process_time()
        view.pane.listing.words = ["7777"]
        view.pane.files.changed()
        assert [row.name for row in view.pane.files.shown] == [
            f"{RUN_PATH}/f/07777.json",
            f"{RUN_PATH}/f/17777.json",
        ]
        assert time.process_time() - began < 1

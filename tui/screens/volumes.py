"""The volumes of every backend, the files of one of them, and the transfers.

Each backend is asked by itself, so that a slow one delays nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from textual import on, work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container, Horizontal, Vertical
from textual.content import Content
from textual.events import DescendantFocus
from textual.message import Message
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.backends.base import Entry, VolumeInfo
from tui.screens.file_actions import ask_to_replace
from tui.screens.frame import VfmScreen
from tui.screens.requests import DownloadRequested, FilesRequested
from tui.services.deadline import answer_of
from tui.services.transfers import Transfers
from tui.services.volume_files import VolumeFiles
from tui.text.format import one_line, plain
from tui.widgets.files.pane import FilesPane
from tui.widgets.files.transfers import TransfersPanel
from tui.widgets.files.volume_list import VolumeList

if TYPE_CHECKING:
    from tui.client import Client

_SOON = 0.15
"""Seconds that the cursor stays on a volume before its files are shown."""
_HELP = """\
# Volumes

The files that runs read and write: **outputs** volumes hold run directories with logs, rollouts and
checkpoints, **cache** volumes models and environments. Volumes are at the left, their files in the middle, a
preview at the right.

| key | |
|---|---|
| `Enter` `→` `←` | open and close folders; on a file: read it |
| `/` | find files by words of their paths, in all folders |
| `Space` | mark · `M` remove all marks |
| `d` | download what is marked or under the cursor; an interrupted download goes on |
| `u` | upload a file or folder of this machine into this folder; links are followed |
| `x` | delete, after a question that gives number and size |
| `s` `S` | sort by name, size, age · reverse |
| `t` | show the size of each folder |
| `y` | copy the path, in the form of `vfm get` |
| `w` | wrap long lines of a preview |
| `r` `F5` | list again: the files · the volumes |
| `T` | go to the transfers: `p` pause or go on, `c` cancel, `r` try again, `x` remove finished ones |
| `Tab` | from pane to pane · `Escape` back |

Existing files that differ are replaced only if you confirm it. Links that leave the volume, pipes and other
special files are left out of a copy and named at its end.

Transfers go on in other screens, and stop when the app exits: the same download later goes on from there.
"""


class VolumesScreen(VfmScreen):
    """Volumes, files, transfers."""

    TITLE = "volumes"
    HELP = _HELP
    DEFAULT_CSS = """
    VolumesScreen #volumes-left { width: 32; border-right: solid $panel; }
    VolumesScreen.-wide #volumes-left { width: 38; }
    VolumesScreen #volumes-left:focus-within { border-right: solid $primary; }
    VolumesScreen #volumes-left > Static {
        height: 1; padding: 0 1; background: $surface; color: $text-muted;
    }
    VolumesScreen #volumes-files { width: 1fr; }
    VolumesScreen.-narrow #volumes-left { width: 1fr; border-right: none; }
    VolumesScreen.-narrow #volumes-files { display: none; }
    VolumesScreen.-narrow.-inside #volumes-left { display: none; }
    VolumesScreen.-narrow.-inside #volumes-files { display: block; }
    VolumesScreen #volumes-nothing { padding: 1 2; color: $text-muted; }
    VolumesScreen #volumes-jobs { height: auto; border-top: solid $panel; border-title-color: $text-muted; }
    VolumesScreen #volumes-jobs:focus-within { border-top: solid $primary; border-title-color: $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("d", "download", "Download", show=False, id="volumes.download"),
        Binding("f5", "again", "Look again", show=False, id="volumes.again"),
        Binding("T", "transfers", "Transfers", show=False, id="volumes.transfers"),
        Binding("v", "volumes", "Volumes", show=False, id="volumes.volumes"),
    ]

    @dataclass
    class Listed(Message):
        """A backend listed its volumes, or has a message in their place."""

        backend: str
        infos: Sequence[VolumeInfo] = ()
        message: str = ""

    @dataclass
    class Counted(Message):
        """All files of a volume were listed."""

        info: VolumeInfo
        entries: Sequence[Entry]

    @dataclass
    class TransfersChanged(Message):
        """Transfers changed."""

        transfers: Transfers

        def can_replace(self, message: Message) -> bool:
            """Only the latest state counts."""
            return isinstance(message, VolumesScreen.TransfersChanged)

    def __init__(self, message: FilesRequested) -> None:
        super().__init__()
        self._request: FilesRequested | None = message
        self._client: Client | None = None
        self._open: VolumeInfo | None = None
        self._everything: dict[VolumeInfo, Sequence[Entry]] = {}
        self._transfers: Transfers | None = None

    def body(self) -> ComposeResult:
        """Volumes, files, transfers; the volumes follow once the client is connected."""
        with Horizontal():
            with Vertical(id="volumes-left"):
                yield Static("volumes")
            with Container(id="volumes-files"):
                yield Static("connecting …", id="volumes-nothing")
        with Container(id="volumes-jobs", classes="-hidden") as jobs:
            jobs.border_title = "transfers"
            yield TransfersPanel()

    def on_mount(self) -> None:
        """Ask every backend, and follow the transfers."""
        self._begin()
        self.set_interval(1.0, self._tick)

    # --- asking ----------------------------------------------------------------------------------------

    @work(group="volumes", description="connect", exit_on_error=False)
    async def _begin(self) -> None:
        try:
            self._client = await self.app.connect()
        except VfmError as error:
            self._nothing(f"! {one_line(error)}")
            return
        backends = VolumeList(list(self._client.backends), self.app.now)
        await self.query_one("#volumes-left").mount(backends)
        backends.focus()
        self._nothing("the files of a volume are shown here")
        self._ask_all()
        self._follow()

    def _ask_all(self) -> None:
        for backend in self._client.backends if self._client else ():
            self._ask(backend)

    @work(group="volumes-list", description="list volumes", exit_on_error=False)
    async def _ask(self, backend: str) -> None:
        """List the volumes of one backend, then their sizes."""
        client = await self.app.connect()

        async def volumes() -> Sequence[VolumeInfo]:
            await asyncio.to_thread(client.backend, backend)  # its first import may take a second
            return await client.volumes_of(backend)

        def say(text: str) -> None:
            self.post_message(self.Listed(backend, message=f"! {text}"))

        try:
            infos = await answer_of(volumes(), say, "F5 asks again")
        except (VfmError, OSError) as error:
            say(one_line(error))
            return
        self.post_message(self.Listed(backend, infos))
        for info in infos:
            try:
                entries = await client.ls(info.name, recursive=True, backend=backend)
                self.post_message(self.Counted(info, entries))
            except (VfmError, OSError):
                continue  # it keeps its "…": opening it tells what is wrong

    @work(group="volumes-jobs", description="follow transfers", exit_on_error=False)
    async def _follow(self) -> None:
        transfers = await self.app.transfers()
        async for _ in transfers.updates():
            self.post_message(self.TransfersChanged(transfers))

    @on(Listed)
    async def _listed(self, event: Listed) -> None:
        event.stop()
        listed = self.query_one(VolumeList)
        if event.message:
            listed.say(event.backend, event.message)
        else:
            listed.put(event.backend, event.infos)
        await self._open_requested(listed.infos)

    @on(Counted)
    def _counted(self, event: Counted) -> None:
        event.stop()
        self._everything[event.info] = event.entries
        self.query_one(VolumeList).put_size(event.info, sum(e.size for e in event.entries if not e.is_dir))
        if self._open == event.info:
            self.query_one(FilesPane).put_everything(event.entries)

    # --- opening ---------------------------------------------------------------------------------------

    async def _open_requested(self, infos: Sequence[VolumeInfo]) -> None:
        """Open the requested volume, else the one that was open last, else the first one."""
        request = self._request
        if request is None:
            return
        found = next((info for info in infos if _is(info, request.backend, request.volume)), None)
        if found is not None and request.volume:
            self._request = None
            await self._show(found, request.path, go_in=True)
        elif found is not None:
            self._request = None
            last = self.app.ui_state.get("volumes.last")
            last_open = next((info for info in infos if [info.backend, info.name] == last), None)
            outputs = next((info for info in infos if "-outputs-" in info.name), found)
            await self._show(last_open or outputs)

    async def _show(self, info: VolumeInfo, path: str = "", *, go_in: bool = False) -> None:
        """Show the files of a volume; `go_in`: and focus them."""
        if self._client is None:
            return
        if self._open != info:
            self._open = info
            self.sub_title = plain(info.name)
            self.query_one(VolumeList).go_to(info)
            pane = FilesPane(VolumeFiles(self._client, info.backend, info.name), "", self.app.now)
            pane.restore(self.app.ui_state.get("files", {}))
            place = self.query_one("#volumes-files")
            await place.remove_children()
            await place.mount(pane)
            if info in self._everything:
                pane.put_everything(self._everything[info])
        if path:
            self.query_one(FilesPane).go_to(path)
        if go_in:
            self._request = None
            self.app.ui_state.put("volumes.last", [info.backend, info.name])
            self.query_one(FilesPane).files.focus()

    def _nothing(self, text: str) -> None:
        for line in self.query("#volumes-nothing").results(Static):
            line.update(Content(plain(text)))

    @on(VolumeList.Chosen)
    async def _chosen(self, event: VolumeList.Chosen) -> None:
        event.stop()
        await self._show(event.info, go_in=True)

    @on(VolumeList.Moved)
    def _looked_at(self, event: VolumeList.Moved) -> None:
        event.stop()
        if not self.has_class("-narrow") and self._request is None:
            self._glance(event.info)

    @work(group="volumes-glance", description="show a volume", exclusive=True, exit_on_error=False)
    async def _glance(self, info: VolumeInfo) -> None:
        """Show a volume once the cursor stays on it."""
        await asyncio.sleep(_SOON)
        await self._show(info)

    def on_descendant_focus(self, event: DescendantFocus) -> None:
        """On a narrow terminal, show volumes or files, whichever has the focus."""
        if not isinstance(event.widget, TransfersPanel):
            self.set_class(not isinstance(event.widget, VolumeList), "-inside")

    def action_back(self) -> None:
        """On a narrow terminal, go from the files to the volumes first."""
        for pane in self.query(FilesPane):
            self.app.ui_state.put("files", pane.state())
        if self.has_class("-inside") and self.has_class("-narrow"):
            self.action_volumes()
        else:
            super().action_back()

    def action_volumes(self) -> None:
        """Focus the volumes."""
        for listed in self.query(VolumeList):
            listed.focus()

    def action_download(self) -> None:
        """Download the volume under the cursor."""
        for listed in self.query(VolumeList):
            if listed.has_focus and listed.info is not None:
                self.post_message(DownloadRequested(listed.info.backend, listed.info.name, [""]))

    def action_again(self) -> None:
        """Ask every backend again."""
        for listed in self.query(VolumeList):
            for backend in self._client.backends if self._client else ():
                listed.say(backend, "asking …")
        self._ask_all()

    # --- transfers -------------------------------------------------------------------------------------

    @on(TransfersChanged)
    def _transfers_changed(self, event: TransfersChanged) -> None:
        event.stop()
        self._transfers = event.transfers
        self._show_jobs()

    def _tick(self) -> None:
        """Update the speed of transfers that make no progress."""
        if self._transfers is not None and self._transfers.active:
            self._show_jobs()

    def _show_jobs(self) -> None:
        if self._transfers is None:
            return
        panel, place = self.query_one(TransfersPanel), self.query_one("#volumes-jobs")
        had_focus = panel.has_focus
        panel.show(self._transfers)
        place.set_class(not panel.jobs, "-hidden")
        active = self._transfers.active
        place.border_title = f"transfers · {active} under way" if active else "transfers"
        if had_focus and not panel.jobs:
            self.query_one(VolumeList).focus()

    def action_transfers(self) -> None:
        """Focus the transfers."""
        if not self.query_one("#volumes-jobs").has_class("-hidden"):
            self.query_one(TransfersPanel).focus()

    @on(TransfersPanel.Wanted)
    def _job_wanted(self, event: TransfersPanel.Wanted) -> None:
        event.stop()
        self._change_job(event)

    @work(group="volumes-change", description="change a transfer", exit_on_error=False)
    async def _change_job(self, event: TransfersPanel.Wanted) -> None:
        transfers = await self.app.transfers()
        match event.what:
            case "pause":
                await transfers.pause(event.job)
            case "cancel":
                await transfers.cancel(event.job)
            case "resume":
                transfers.resume(event.job)
                await ask_to_replace(self.app, transfers, [event.job])


def _is(info: VolumeInfo, backend: str | None, volume: str | None) -> bool:
    return backend in (None, info.backend) and volume in (None, info.name)

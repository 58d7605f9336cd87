"""The doctor: checks of the setup, and the command that fixes each problem.

`tui/doctor` runs the checks. What is safe to do, the screen does itself.
"""

from __future__ import annotations

import asyncio
import shutil
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.message import Message
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.doctor import Finding, Surroundings, examine
from tui.screens import requests
from tui.screens.frame import VfmScreen
from tui.text.format import colourless, plain
from tui.widgets.common.clipboard import copy
from tui.widgets.common.findings import FindingList, finding_text

_ACTIONS = {
    "image": "builds the image now, instead of with the first run",
    "env": "copies .env.example to .env",
    "settings": "writes a settings.toml with every key in it",
}
_LAST = 200  # lines of output that are shown


class DoctorScreen(VfmScreen):
    """Findings, and details of the one under the cursor."""

    TITLE = "doctor"
    HELP = """
Checks of the setup of this machine. **Problems** come first: something will not work. A **note** is about
something that works, but could be better.

Below the finding under the cursor is the command that fixes it: **y** copies it. Where **Enter** is offered,
it runs the command, and shows its output.

**d** opens the demo: a small model learns to play Wordle on this machine, without any setup.
"""
    DEFAULT_CSS = """
    DoctorScreen #doctor { layout: horizontal; height: 1fr; }
    DoctorScreen.-narrow #doctor { layout: vertical; }
    DoctorScreen #findings { width: 2fr; min-width: 40; height: 1fr; }
    DoctorScreen.-narrow #findings { width: 1fr; height: 1fr; padding: 0 1; }
    DoctorScreen #about { width: 3fr; height: 1fr; }
    DoctorScreen.-narrow #about { width: 1fr; height: 1fr; padding: 0 1; }
    DoctorScreen #detail { height: auto; }
    DoctorScreen #output { height: auto; margin-top: 1; color: $text-muted; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter,f", "mend", "Fix it", id="doctor.mend"),
        Binding("y", "copy", "Copy command", id="doctor.copy"),
        Binding("r", "again", "Look again", id="doctor.again"),
        Binding("d", "demo", "Run the demo", id="doctor.demo"),
    ]

    @dataclass
    class Found(Message):
        """A check is done."""

        finding: Finding

    @dataclass
    class Printed(Message):
        """A command that fixes something printed a line, or ended."""

        line: str
        over: bool = False

    def __init__(self) -> None:
        super().__init__()
        self._output: list[str] = []
        self._busy = False

    def body(self) -> ComposeResult:
        """The list, and details."""
        with Vertical(id="doctor"):
            yield FindingList(id="findings", classes="panel")
            with VerticalScroll(id="about", classes="panel", can_focus=False):
                yield Static(id="detail", markup=False)
                yield Static(id="output", markup=False)

    def on_mount(self) -> None:
        """Run the checks."""
        self.query_one(FindingList).focus()
        self.action_again()

    def action_again(self) -> None:
        """Run all checks again."""
        self.query_one(FindingList).begin()
        self._retitle()
        self.run_worker(
            self._examine(), group="examine", description="look", exclusive=True, exit_on_error=False
        )

    def on_doctor_screen_found(self, message: Found) -> None:
        """Show a finding."""
        self.query_one(FindingList).put(message.finding)
        self._retitle()

    def on_finding_list_highlighted(self, message: FindingList.Highlighted) -> None:
        """Show the details of the finding under the cursor."""
        finding = message.finding
        about = self.query_one("#about")
        about.border_title = finding.title if finding else ""
        can = _ACTIONS.get(finding.act, "") if finding and not self.app.readonly else ""
        self.query_one("#detail", Static).update(finding_text(finding, can))
        self.refresh_bindings()

    def on_finding_list_chosen(self, message: FindingList.Chosen) -> None:
        """Fix the finding."""
        self.action_mend()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Offer only what the finding under the cursor allows."""
        finding = self._finding if self.is_mounted else None
        if action == "mend":
            return bool(finding and finding.act) and not self._busy and not self.app.readonly
        if action == "copy":
            return bool(finding and finding.command)
        if action == "demo":
            return not self.app.readonly
        return True

    def action_copy(self) -> None:
        """Copy the command."""
        if (finding := self._finding) and finding.command:
            copy(self, finding.command, finding.command)

    def action_demo(self) -> None:
        """Open the launch form with the demo's config."""
        self.post_message(requests.LaunchRequested(config=requests.DEMO))

    def action_mend(self) -> None:
        """Fix the finding under the cursor."""
        finding = self._finding
        if finding is None or not self.check_action("mend", ()):
            return
        self._busy, self._output = True, []
        self.refresh_bindings()
        self.run_worker(
            self._mend(finding.act), group="mend", description=finding.command, exit_on_error=False
        )

    def on_doctor_screen_printed(self, message: Printed) -> None:
        """Show output; after the last line, run the checks again."""
        self._output = [*self._output, message.line][-_LAST:]
        self.query_one("#output", Static).update("\n".join(self._output))
        self.query_one("#about", VerticalScroll).scroll_end(animate=False)
        if message.over:
            self._busy = False
            self.action_again()

    @property
    def _finding(self) -> Finding | None:
        return self.query_one(FindingList).finding

    def _retitle(self) -> None:
        self.sub_title = self.query_one(FindingList).summary

    async def _examine(self) -> None:
        around = await self._around()
        async for finding in examine(around):
            self.post_message(self.Found(finding))

    async def _around(self) -> Surroundings:
        size = (self.app.size.width, self.app.size.height)
        encoding = sys.__stdout__.encoding if sys.__stdout__ else ""
        try:
            client = await self.app.connect()
        except VfmError:
            return await asyncio.to_thread(Surroundings.of_this_machine, size=size, encoding=encoding)
        return await asyncio.to_thread(
            Surroundings.of_this_machine,
            settings=self.app.settings,
            volumes_of=client.volumes_of,
            size=size,
            encoding=encoding,
        )

    async def _mend(self, act: str) -> None:
        doing: dict[str, Callable[[], AsyncIterator[str]]] = {
            "image": self._build_image,
            "env": self._copy_env,
            "settings": self._write_settings,
        }
        try:
            async for line in doing[act]():
                self.post_message(self.Printed(colourless(line)))
            self.post_message(self.Printed("done", over=True))
        except (VfmError, OSError) as error:
            self.post_message(self.Printed(plain(str(error).replace("\n", " ")), over=True))

    async def _copy_env(self) -> AsyncIterator[str]:
        project = self.app.settings.project_dir
        source, target = project / ".env.example", project / ".env"
        if target.exists():
            raise OSError(f"{target} exists by now, and was left unchanged")
        await asyncio.to_thread(_copy, source, target)
        yield f"{target} was written: fill in EXPERIMENTER, and start vfm-tui again"

    async def _write_settings(self) -> AsyncIterator[str]:
        from tui.screens.apply_preferences import AppPreferences

        path = await asyncio.to_thread(AppPreferences(self.app).write)
        yield f"{path} has every key: change it, and start vfm-tui again"

    async def _build_image(self) -> AsyncIterator[str]:
        from tui.backends.programs import remote_command, remote_environment
        from tui.text.stream import StreamText

        settings, stream = self.app.settings, StreamText(colours=False)
        builder = await asyncio.create_subprocess_exec(
            *remote_command("remote.image.local", "--home", str(settings.home)),
            cwd=settings.project_dir,
            env=remote_environment(settings.home, settings.project_dir),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            limit=2**20,
        )
        assert builder.stdout is not None
        try:
            async for raw in builder.stdout:
                for line in stream.lines(raw.decode(errors="replace").removesuffix("\n")):
                    yield line
            if await builder.wait():
                failure = stream.failure
                raise OSError(failure.message if failure else f"the builder ended with {builder.returncode}")
        finally:
            if builder.returncode is None:  # the screen is gone: the builder clears up after itself
                builder.terminate()


def _copy(source: Path, target: Path) -> None:
    shutil.copyfile(source, target)
    target.chmod(0o600)

"""The doctor's screen: what it shows, copies and does, through its keys."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.waiting import until
from tui.app import VfmApp
from tui.backends.local.backend import LocalBackend
from tui.client import Client
from tui.doctor import CHECKS
from tui.screens import requests
from tui.screens.doctor import DoctorScreen
from tui.settings import Settings
from tui.widgets.common.findings import FindingList

BUILDER = """
import sys
if "--where" in sys.argv:
    sys.exit(1)
print("fetching 1 of 2")
print("\\x1b]0;owned\\x07fetching 2 of 2")
sys.exit({code})
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with a builder that builds nothing, and no `.env`."""
    folder = tmp_path / "project"
    monkeypatch.setattr("tui.backends.programs.PACKAGES", folder)  # whose image builder is asked
    (folder / "remote" / "image").mkdir(parents=True)
    (folder / "remote" / "__init__.py").touch()
    (folder / "remote" / "image" / "__init__.py").touch()
    (folder / "remote" / "image" / "local.py").write_text(BUILDER.format(code=0))
    (folder / ".env.example").write_text("EXPERIMENTER=\n")
    return folder


@pytest.fixture
def app(project: Path, tmp_path: Path) -> VfmApp:
    """The app over that checkout."""
    return _app(project, tmp_path / "home")


def _app(project: Path, home: Path, *, readonly: bool = False) -> VfmApp:
    settings = Settings(project_dir=project, home=home, env_file=project / ".env")
    client = Client(settings, {"local": LocalBackend(home, project)})
    return VfmApp(client, settings=settings, readonly=readonly)


async def examined(app: VfmApp) -> FindingList:
    """The list, once every check has its finding."""
    await until(lambda: isinstance(app.screen, DoctorScreen), "the screen")
    await until(lambda: bool(app.screen.query(FindingList)), "the list")
    findings = app.screen.query_one(FindingList)
    await until(lambda: bool(findings.summary) and "to come" not in findings.summary, "every finding")
    return findings


async def go_to(app: VfmApp, findings: FindingList, id: str) -> None:
    """Put the cursor on a finding, as somebody would who looks for it."""
    findings.highlighted = findings.get_option_index(id)
    await until(lambda: bool(findings.finding) and findings.finding.id == id, id)  # type: ignore[union-attr]


def shown(app: VfmApp, id: str) -> str:
    return str(app.screen.query_one(id).render())


async def test_problems_come_first_and_everything_is_there(app: VfmApp) -> None:
    async with app.run_test() as pilot:
        await pilot.press("f9")
        findings = await examined(app)
        ids = [option.id for option in findings.options]
        assert set(ids) == {check.id for check in CHECKS}
        assert ids[0] == "project"  # no config: a problem
        assert findings.finding is not None
        assert findings.finding.id == "project"
        assert "without a config and an environment nothing can be launched" in shown(app, "#detail")
        assert "problem" in (app.screen.sub_title or "")


async def test_a_command_is_copied(app: VfmApp) -> None:
    async with app.run_test() as pilot:
        await pilot.press("f9")
        await go_to(app, await examined(app), "image")
        await pilot.press("y")
        assert app.clipboard == "vfm image build local"


async def test_an_image_is_built_from_here_with_its_output_shown(app: VfmApp, project: Path) -> None:
    async with app.run_test() as pilot:
        await pilot.press("f9")
        await go_to(app, await examined(app), "image")
        await pilot.press("enter")
        await until(lambda: "done" in shown(app, "#output"), "the end of the build")
        assert "fetching 1 of 2" in shown(app, "#output")
        assert "\x1b" not in shown(app, "#output")
        assert "\\x1b]0;owned\\x07fetching 2 of 2" in shown(app, "#output")


async def test_a_build_that_fails_says_so(app: VfmApp, project: Path) -> None:
    (project / "remote" / "image" / "local.py").write_text(BUILDER.format(code=1))
    async with app.run_test() as pilot:
        await pilot.press("f9")
        await go_to(app, await examined(app), "image")
        await pilot.press("f")
        await until(lambda: "the builder ended with 1" in shown(app, "#output"), "the failure")


async def test_the_example_becomes_the_env_file_and_is_looked_at_again(app: VfmApp, project: Path) -> None:
    async with app.run_test() as pilot:
        await pilot.press("f9")
        await go_to(app, await examined(app), "env")
        await pilot.press("enter")
        await until(lambda: (project / ".env").exists(), "the file")
        await until(lambda: "was written: fill in" in shown(app, "#output"), "a word on it")
    assert (project / ".env").read_text() == "EXPERIMENTER=\n"


async def test_settings_are_written_from_here(app: VfmApp) -> None:
    async with app.run_test() as pilot:
        await pilot.press("f9")
        await go_to(app, await examined(app), "settings")
        await pilot.press("enter")
        await until(lambda: "has every key" in shown(app, "#output"), "a word on it")
        assert app.config_dir is not None
        assert (app.config_dir / "settings.toml").exists()


async def test_what_the_app_cannot_do_is_not_offered(project: Path, tmp_path: Path) -> None:
    app = _app(project, tmp_path / "home", readonly=True)
    async with app.run_test() as pilot:
        await pilot.press("f9")
        await go_to(app, await examined(app), "env")
        await pilot.press("enter", "f")
        assert "f" not in app.screen.active_bindings
    assert not (project / ".env").exists()


async def test_the_demo_is_one_key_away(app: VfmApp, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[requests.LaunchRequested] = []
    monkeypatch.setattr(VfmApp, "on_launch_requested", lambda self, message: asked.append(message))
    async with app.run_test() as pilot:
        await pilot.press("f9")
        await until(lambda: isinstance(app.screen, DoctorScreen), "the screen")
        await pilot.press("d")
        await until(lambda: bool(asked), "the request")
    assert asked[0].config == "configs/local_demo.yaml"


async def test_the_cursor_stays_on_its_finding_while_others_come(app: VfmApp) -> None:
    async with app.run_test() as pilot:
        await pilot.press("f9")
        findings = await examined(app)
        await pilot.press("down", "down")
        kept = findings.finding
        await pilot.press("r")
        await examined(app)
        assert kept is not None
        assert findings.finding == kept


async def test_settings_that_cannot_be_read_are_a_finding(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".env").mkdir()
    monkeypatch.setenv("VFM_PROJECT", str(project))
    monkeypatch.setenv("VFM_HOME", str(tmp_path / "home"))
    app = VfmApp()
    async with app.run_test() as pilot:
        await pilot.press("f9")
        findings = await examined(app)
        await go_to(app, findings, "env")
        await until(lambda: "Is a directory" in shown(app, "#detail"), "what is wrong with it")

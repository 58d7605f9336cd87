"""What the doctor finds, check by check, in folders and environments made for it."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remote.contract.errors import BackendError, ConfigError, Hint
from tui.doctor import CHECKS, Check, Result, Surroundings, examine, machine, modal, setup, terminal
from tui.settings import Settings, surroundings

NAMES = "EXPERIMENTER=ann\nEXPERIMENT_NAME=w1\n"
BUILDER = """
import sys
assert sys.argv[1:] == ["--home", {home!r}, "--where"], sys.argv
{body}
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout with one config and one environment."""
    folder = tmp_path / "project"
    monkeypatch.setattr("tui.backends.programs.PACKAGES", folder)  # whose image builder is asked
    (folder / "configs").mkdir(parents=True)
    (folder / "configs" / "a.yaml").write_text("training: {}\n")
    (folder / "environments" / "vf_x").mkdir(parents=True)
    (folder / "environments" / "vf_x" / "pyproject.toml").touch()
    (folder / ".env.example").write_text("EXPERIMENTER=\n")
    return folder


def around_of(project: Path, dotenv: str | None = None, **more: Any) -> Surroundings:
    """The surroundings of a project with such a `.env`."""
    if dotenv is not None:
        (project / ".env").write_text(dotenv)
        (project / ".env").chmod(0o600)
    settings = Settings.load(project, {"VFM_HOME": str(project.parent / "home")})
    around = Surroundings(
        settings=settings,
        error=None,
        home=settings.home,
        config_dir=settings.home / "config",
        project_dir=project,
        size=(80, 24),
    )
    return replace(around, **more)


def look(
    check: Callable[[Surroundings], Result], project: Path, dotenv: str | None = None, **more: Any
) -> Result:
    """A check's result, over a project with such a `.env`."""
    return check(around_of(project, dotenv, **more))


def test_a_missing_env_file_is_a_note_with_a_command(project: Path) -> None:
    found = look(setup.env, project)
    assert (found.state, found.act) == ("note", "env")
    assert found.command == f"install -m 600 {project}/.env.example {project}/.env"


def test_an_empty_env_file_is_a_note_for_whoever_goes_to_modal(project: Path) -> None:
    found = look(setup.env, project, "# nothing yet\n")
    assert (found.state, found.command) == ("note", f"install -m 600 {project}/.env.example {project}/.env")
    assert "a run on Modal is refused until it sets a name" in found.detail
    assert "is empty" not in look(setup.env, project, "EXPERIMENTER=\n").detail


@pytest.mark.parametrize(("mode", "readers"), [(0o644, "every user"), (0o640, "its group")])
def test_an_env_file_that_others_can_read_is_noticed(project: Path, mode: int, readers: str) -> None:
    look(setup.env, project, "HF_TOKEN=hush\n")
    (project / ".env").chmod(mode)
    found = look(setup.env, project)
    assert (found.state, found.command) == ("note", f"chmod 600 {project}/.env")
    assert readers in found.detail


def test_a_home_that_others_can_read_is_noticed(project: Path) -> None:
    home = project.parent / "home"
    home.mkdir()
    home.chmod(0o755)
    found = look(machine.home, project)
    assert (found.state, found.command) == ("note", f"chmod -R go= {home}")
    home.chmod(0o700)
    assert look(machine.home, project).state == "ok"


def test_an_env_file_is_told_by_names_never_values(project: Path) -> None:
    found = look(setup.env, project, f"{NAMES}WANDB_API_KEY=hush\nMY_OWN=hush\n")
    assert found.state == "ok"
    assert "set: WANDB_API_KEY and 1 more" in found.detail
    assert "not set: HF_TOKEN, OPENAI_API_KEY" in found.detail
    assert "hush" not in str(found)


def test_a_line_that_was_skipped_is_a_problem(project: Path) -> None:
    found = look(setup.env, project, "A=1\n'hush\n")
    assert found.state == "problem"
    assert f"{project}/.env:2: not KEY=VALUE, skipped" in found.detail
    assert "hush" not in found.detail


def test_an_env_file_that_cannot_be_read_is_a_problem(project: Path) -> None:
    error = ConfigError("cannot read .env: Is a directory", hint=Hint("mend it"))
    found = look(setup.env, project, settings=None, error=error)
    assert (found.state, found.detail) == ("problem", "cannot read .env: Is a directory\n  mend it")


def test_names_tell_the_volumes(project: Path) -> None:
    found = look(setup.env, project, NAMES)
    assert found.state == "ok"
    assert "verifiers-outputs-ann-w1" in found.detail
    assert "verifiers-cache-ann-w1" in found.detail


def test_names_that_are_not_set_are_a_note(project: Path) -> None:
    found = look(setup.env, project, "EXPERIMENTER=ann\n")
    assert found.state == "note"
    assert "set both" in found.detail


def test_names_that_no_volume_can_hold_are_a_problem(project: Path) -> None:
    found = look(setup.env, project, "EXPERIMENTER='a b'\n")
    assert found.state == "problem"
    assert "EXPERIMENTER='a-b'" in found.detail


def test_what_there_is_to_train_with(project: Path) -> None:
    found = look(setup.project, project)
    assert found.state == "ok"
    assert "1 config in" in found.detail
    assert "vf_x" in found.detail
    (project / "configs" / "a.yaml").unlink()
    found = look(setup.project, project)
    assert found.state == "problem"
    assert "without a config nothing can be launched" in found.detail


def test_the_settings_files_mistakes_are_a_problem(project: Path) -> None:
    found = look(setup.settings, project)
    assert (found.state, found.act) == ("ok", "settings")
    folder = project.parent / "home" / "config"
    folder.mkdir(parents=True)
    (folder / "settings.toml").write_text('theme = "drak"\n[keys]\n"app.quti" = "ctrl+x"\n')
    found = look(setup.settings, project)
    assert found.state == "problem"
    assert "settings.toml:3: there is no key binding 'app.quti' · did you mean app.quit?" in found.detail
    assert "settings.toml:1: there is no theme 'drak'" in found.detail
    (folder / "settings.toml").write_text('theme = "nord"\n')
    assert look(setup.settings, project).state == "ok"


def test_a_home_that_can_be_written(project: Path) -> None:
    assert look(machine.home, project).state == "ok"
    (project / "file").touch()
    found = look(machine.home, project, home=project / "file" / "home")
    assert found.state == "problem"
    assert "cannot be written: Not a directory" in found.detail


def test_disk_space(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for free, state in ((50e9, "ok"), (5e9, "note"), (1e9, "problem")):
        usage = (100e9, 0.0, free)
        monkeypatch.setattr("shutil.disk_usage", lambda path, u=usage: _Usage(*u))
        found = look(machine.home, project)
        assert found.state == state
        assert f"{free / 1e9:.1f} GB free" in found.detail


class _Usage:
    def __init__(self, total: float, used: float, free: float) -> None:
        self.total, self.used, self.free = total, used, free


def builder(project: Path, body: str) -> None:
    """A builder of images that answers as told."""
    (project / "remote" / "image").mkdir(parents=True)
    (project / "remote" / "__init__.py").touch()
    (project / "remote" / "image" / "__init__.py").touch()
    home = str(project.parent / "home")
    (project / "remote" / "image" / "local.py").write_text(BUILDER.format(home=home, body=body))


def test_an_image_that_is_built(project: Path) -> None:
    builder(project, 'print("/images/local-1/bin/python")')
    found = look(machine.image, project)
    assert (found.state, found.detail) == ("ok", "built: /images/local-1")


def test_an_image_that_is_not_built_names_the_command(project: Path) -> None:
    builder(project, "sys.exit(1)")
    found = look(machine.image, project)
    assert (found.state, found.command, found.act) == ("note", "vfm image build local", "image")


def test_an_image_that_cannot_be(project: Path) -> None:
    line = (
        '\\x1e{"v":1,"seq":0,"t":1,"type":"failure","boundary":"image","cause":"","message":"no such Python",'
    )
    builder(project, f'print(\'{line}"hint":{{"text":"take another"}}}}\'); sys.exit(1)')
    found = look(machine.image, project)
    assert (found.state, found.detail) == ("problem", "no such Python\ntake another")


def test_a_builder_that_does_not_run(project: Path) -> None:
    builder(project, "raise RuntimeError('broken checkout')")
    found = look(machine.image, project)
    assert found.state == "problem"
    assert "RuntimeError: broken checkout" in found.detail


MODAL = '[old]\ntoken_id = "x"\ntoken_secret = "hush"\n[work]\ntoken_id = "y"\nactive = true\n'


def signed_in(project: Path, dotenv: str | None = None, **more: Any) -> Result:
    """What is found about Modal; it is asked only where `volumes_of` is given."""
    return asyncio.run(modal.look(around_of(project, dotenv, **more)))


def test_modals_sign_in(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "modal.toml"
    environ = {"MODAL_CONFIG_PATH": str(file)}
    found = signed_in(project, environ=environ)
    assert (found.state, found.command) == ("note", "modal setup")
    file.write_text(MODAL)
    found = signed_in(project, environ=environ)
    assert (found.state, found.detail) == ("ok", f"signed in by {file}, profile work")
    chosen = {**environ, "MODAL_PROFILE": "old", "MODAL_ENVIRONMENT": "dev"}
    found = signed_in(project, environ=surroundings(chosen))
    assert found.detail == f"signed in by {file}, profile old, as MODAL_PROFILE says, environment dev"
    assert signed_in(project, environ=surroundings({**environ, "MODAL_PROFILE": "none"})).state == "note"
    file.write_text("[[[")
    assert signed_in(project, environ=environ).state == "note"
    file.write_text('[work]\noauth_refresh_token = "hush"\n')
    assert signed_in(project, environ=environ).state == "ok"


def test_modals_tokens_count_wherever_they_stand(project: Path) -> None:
    assert signed_in(project, environ=SIGNED_IN).state == "ok"
    assert signed_in(project, "MODAL_TOKEN_ID=a\nMODAL_TOKEN_SECRET=b\n").state == "ok"


SIGNED_IN = {"MODAL_TOKEN_ID": "set", "MODAL_TOKEN_SECRET": "set"}


def asked(project: Path, answer: Any, environ: dict[str, str] = SIGNED_IN) -> Result:
    """What is found about Modal, whose volumes are listed, or refused, or never listed."""

    async def volumes_of(backend: str) -> Any:
        assert backend == "modal"
        if answer is None:
            await asyncio.Event().wait()
        if isinstance(answer, Exception):
            raise answer
        return answer

    return signed_in(project, environ=environ, volumes_of=volumes_of)


@pytest.mark.parametrize(
    ("answer", "state", "words", "command"),
    [
        (["one"], "ok", "Modal answers: 1 volume of runs", ""),
        (
            BackendError("not signed in to Modal", hint=Hint("run `modal setup`")),
            "problem",
            "not",
            "modal setup",
        ),
        (BackendError("cannot reach Modal", hint=Hint("are you online?")), "problem", "are you online?", ""),
        (RuntimeError("of the library"), "problem", "RuntimeError: of the library", ""),
        (None, "problem", "no answer within 0.2 s", ""),
    ],
)
def test_modal_is_asked_whether_it_answers(
    project: Path, answer: Any, state: str, words: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if answer is None:
        monkeypatch.setattr(modal, "ANSWER", 0.2)
    found = asked(project, answer)
    assert (found.state, found.command) == (state, command)
    assert words in found.detail
    assert "MODAL_TOKEN_ID" in found.detail


def test_nobody_is_asked_where_nobody_is_signed_in(project: Path, tmp_path: Path) -> None:
    found = asked(project, AssertionError("asked"), {"MODAL_CONFIG_PATH": str(tmp_path / "none")})
    assert (found.state, found.command) == ("note", "modal setup")


@pytest.mark.parametrize(
    ("environ", "state", "words"),
    [
        ({"TERM": "xterm-256color", "COLORTERM": "truecolor"}, "ok", "16 million"),
        ({"TERM": "xterm-256color"}, "ok", "256"),
        ({"TERM": "screen-256color", "STY": "x"}, "note", "256 colours"),
        ({"TERM": "linux"}, "note", "8 or 16"),
        ({"TERM": "dumb"}, "problem", "TERM is dumb"),
        ({}, "problem", "TERM is not set"),
        ({"TERM": "xterm", "NO_COLOR": "1"}, "ok", "NO_COLOR is set"),
    ],
)
def test_colours(project: Path, environ: dict[str, str], state: str, words: str) -> None:
    found = look(terminal.look, project, environ={"LANG": "C.UTF-8", **environ}, encoding="utf-8")
    assert (found.state, words in found.detail) == (state, True), found


def test_characters(project: Path) -> None:
    environ = {"TERM": "xterm-kitty"}
    assert look(terminal.look, project, environ={**environ, "LANG": "de_DE.UTF-8"}).state == "ok"
    found = look(terminal.look, project, environ={**environ, "LANG": "C"}, encoding="ascii")
    assert (found.state, found.command) == ("note", "export LANG=C.UTF-8")
    assert "16 million colours" in found.detail


def test_without_a_terminal_there_is_nothing_to_say(project: Path) -> None:
    assert look(terminal.look, project, size=None).state == "ok"


def test_the_clipboard(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert look(terminal.clipboard, project).state == "ok"
    assert look(terminal.clipboard, project, environ={"STY": "1"}).state == "note"
    assert look(terminal.clipboard, project, environ={"TERM_PROGRAM": "Apple_Terminal"}).state == "note"
    for said, state in (("on", "ok"), ("external", "note"), ("", "note")):
        tool = tmp_path / "tmux"
        tool.write_text(f"#!/bin/sh\necho {said}\n")
        tool.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
        assert look(terminal.clipboard, project, environ={"TMUX": "x"}).state == state


def test_surroundings_hold_no_secret() -> None:
    around = surroundings(
        {"MODAL_TOKEN_SECRET": "hush", "TERM": "xterm", "WANDB_API_KEY": "hush", "LANG": ""}
    )
    assert around == {"TERM": "xterm", "MODAL_TOKEN_SECRET": "set"}


async def test_each_check_stands_alone(project: Path) -> None:
    release = threading.Event()

    def fine(around: Surroundings) -> Result:
        return Result("ok", "")

    def breaks(around: Surroundings) -> Result:
        raise RuntimeError("a bug")

    def hangs(around: Surroundings) -> Result:
        release.wait()
        return fine(around)

    checks = [
        Check("hangs", "hangs", hangs, 0.2),
        Check("breaks", "breaks", breaks),
        Check("fine", "fine", fine),
    ]
    around = Surroundings(None, None, project, project, project)
    found = {f.id: f async for f in examine(around, checks)}
    assert list(found)[-1] == "hangs"
    assert found["fine"].state == "ok"
    assert (found["breaks"].state, "RuntimeError: a bug" in found["breaks"].detail) == ("problem", True)
    assert (found["hangs"].state, "no answer within" in found["hangs"].detail) == ("problem", True)
    release.set()


def test_a_check_that_hangs_does_not_keep_the_program(project: Path) -> None:
    async def once() -> None:
        check = Check("x", "x", lambda around: time.sleep(60) or Result("ok", ""), 0.1)  # type: ignore[func-returns-value]
        async for _ in examine(Surroundings(None, None, project, project, project), [check]):
            pass

    began = time.monotonic()
    asyncio.run(once())
    assert time.monotonic() - began < 30


async def test_the_whole_examination_on_this_machine(project: Path) -> None:
    builder(project, "sys.exit(1)")
    settings = Settings.load(project, {"VFM_HOME": str(project.parent / "home")})
    around = Surroundings.of_this_machine(settings=settings)
    found = [finding async for finding in examine(around)]
    assert {finding.id for finding in found} == {check.id for check in CHECKS}
    assert not [f for f in found if "could not be checked" in f.detail]

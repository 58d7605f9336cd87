"""Settings: `.env` and the process environment, and which of them wins."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote.contract.errors import ConfigError
from tui.settings import Settings, environment, glance

PROJECT = Path(__file__).parents[2]


def load(folder: Path, dotenv: str | bytes | None = None, **environ: str) -> Settings:
    if dotenv is not None:
        (folder / ".env").write_bytes(dotenv if isinstance(dotenv, bytes) else dotenv.encode())
    return Settings.load(folder, environ)


def test_a_missing_env_file_is_noticed_and_harmless(tmp_path: Path) -> None:
    settings = load(tmp_path)
    assert (settings.experimenter, settings.experiment) == ("default", "default")
    assert not settings.env_file_exists
    assert settings.secrets == {}
    assert str(tmp_path / ".env") in settings.notices[0]


def test_the_env_file_is_read(tmp_path: Path) -> None:
    text = 'EXPERIMENTER="alice"\nexport EXPERIMENT_NAME=wordle-v1 # first\nWANDB_API_KEY=k1\nMY_OWN=x\n'
    text += 'HF_TOKEN=""\n'
    settings = load(tmp_path, text)
    assert (settings.experimenter, settings.experiment) == ("alice", "wordle-v1")
    assert settings.env_file_exists
    assert settings.secrets == {"WANDB_API_KEY": "k1", "MY_OWN": "x"}
    assert settings.notices == ()


def test_the_process_beats_the_file_unless_it_is_empty(tmp_path: Path) -> None:
    text = "EXPERIMENTER=alice\nEXPERIMENT_NAME=a\nMY_OWN=x\n"
    settings = load(
        tmp_path, text, EXPERIMENTER="bob", EXPERIMENT_NAME="", MY_OWN="y", HF_TOKEN="t", PATH="/bin"
    )
    assert (settings.experimenter, settings.experiment) == ("bob", "a")
    assert settings.secrets == {"MY_OWN": "y", "HF_TOKEN": "t"}


def test_a_secret_shows_in_no_representation(tmp_path: Path) -> None:
    settings = load(tmp_path, "WANDB_API_KEY=hush-hush\n")
    assert "hush-hush" not in f"{settings!r} {settings}"


def test_a_line_that_is_no_variable_is_noticed_without_its_text(tmp_path: Path) -> None:
    settings = load(tmp_path, "EXPERIMENTER=alice\n'hush\nEXPERIMENT_NAME=b\n")
    assert settings.notices == (f"{tmp_path / '.env'}:2: not KEY=VALUE, skipped",)
    assert (settings.experimenter, settings.experiment) == ("alice", "b")


def test_the_example_file_is_harmless_as_it_stands(tmp_path: Path) -> None:
    settings = load(tmp_path, (PROJECT / ".env.example").read_bytes())
    assert (settings.experimenter, settings.secrets, settings.notices) == ("default", {}, ())


def test_an_env_file_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(ConfigError, match=r"cannot read .*/\.env: Is a directory"):
        load(tmp_path)


def test_a_dangling_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").symlink_to(tmp_path / "nosuch")
    with pytest.raises(ConfigError, match=r"cannot read .*/\.env: No such file"):
        load(tmp_path)


@pytest.mark.parametrize(("raw", "words"), [(b"A=\xff\n", "not UTF-8"), (b"A=\x00\n", "NUL byte")])
def test_an_env_file_that_is_no_text_is_refused(tmp_path: Path, raw: bytes, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"\.env: .*{words}"):
        load(tmp_path, raw)


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_an_env_file_without_read_permission_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("A=1")
    (tmp_path / ".env").chmod(0)
    with pytest.raises(ConfigError, match=r"\.env: Permission denied"):
        load(tmp_path)


def test_home_comes_from_process_file_or_user_directory(tmp_path: Path) -> None:
    assert load(tmp_path, "VFM_HOME=/from/file\n").home == Path("/from/file")
    assert load(tmp_path, VFM_HOME="/from/process").home == Path("/from/process")
    (tmp_path / ".env").unlink()
    assert load(tmp_path).home.name == "vfm"


def test_the_project_is_named_or_around_the_working_directory_or_this_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inside = tmp_path / "project" / "environments" / "mine"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert Settings.load(environ={}).project_dir == PROJECT  # not a project yet, so the checkout is
    (tmp_path / "project" / "run_modal.py").touch()
    assert Settings.load(environ={}).project_dir == tmp_path / "project"
    assert glance({}).project_dir == tmp_path / "project"
    monkeypatch.setattr("tui.settings.PACKAGES", tmp_path)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"neither .* nor a folder above it") as refused:
        Settings.load(environ={})
    assert refused.value.hint is not None
    assert "vfm init DIR" in refused.value.hint.text
    assert glance({}).project_dir == tmp_path
    assert Settings.load(environ={"VFM_PROJECT": str(tmp_path)}).project_dir == tmp_path
    with pytest.raises(ConfigError, match="VFM_PROJECT is '/nosuch', which is no folder"):
        Settings.load(environ={"VFM_PROJECT": "/nosuch"})


def test_what_users_write_lies_in_their_config_directory_or_where_they_say(tmp_path: Path) -> None:
    assert load(tmp_path, VFM_CONFIG_DIR="/from/process").config_dir == Path("/from/process")
    assert load(tmp_path, "VFM_CONFIG_DIR=/from/file\n").config_dir == Path("/from/file")
    (tmp_path / ".env").unlink()
    assert load(tmp_path).config_dir.name == "vfm"
    assert Settings(project_dir=tmp_path, home=tmp_path / "h").config_dir == tmp_path / "h" / "config"


@pytest.mark.parametrize(
    "dotenv",
    [
        "",
        "EXPERIMENTER=alice\nVFM_HOME=\nVFM_CONFIG_DIR=''\n",
        "# VFM_HOME=/no\nexport VFM_HOME='/from/file'\n",
        "VFM_CONFIG_DIR = /conf # where\n",
        "BASE=/base\nVFM_HOME=${BASE}/vfm\n",
        "VFM_HOME=/a\n'broken\n",
    ],
)
@pytest.mark.parametrize("environ", [{}, {"VFM_HOME": "/from/process"}])
def test_a_glance_sees_the_directories_that_reading_it_all_finds(
    tmp_path: Path, dotenv: str, environ: dict[str, str]
) -> None:
    settings = load(tmp_path, dotenv, **environ)
    folders = glance({"VFM_PROJECT": str(tmp_path), **environ})
    assert (folders.home, folders.config_dir) == (settings.home, settings.config_dir)


def test_a_glance_complains_of_nothing(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"VFM_HOME=\xff\n")
    assert glance({"VFM_PROJECT": str(tmp_path)}).home.name == "vfm"
    assert glance({"VFM_PROJECT": "/nosuch", "VFM_HOME": "/h"}).home == Path("/h")


def test_a_program_inherits_what_a_machine_needs_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    needed = (
        *("PATH", "HOME", "LANG", "LC_ALL", "HTTPS_PROXY", "no_proxy", "SSL_CERT_FILE"),
        *("LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "HF_HOME", "NCCL_DEBUG", "WANDB_MODE"),
        *("UV_INDEX_MINE_PASSWORD", "PIP_INDEX_URL", "VFM_STOP_GRACE", "XDG_CACHE_HOME"),
    )
    others = (
        *("AWS_SECRET_ACCESS_KEY", "AWS_PROFILE", "GITHUB_TOKEN", "HF_TOKEN", "WANDB_API_KEY"),
        *("PYTHONPATH", "SSH_AUTH_SOCK", "MY_SETTING", "VLLM_API_KEY", "DATABASE_URL"),
        "MODAL_TOKEN_SECRET",
    )
    for name in (*needed, *others):
        monkeypatch.setenv(name, "x")
    inherited = environment({"ALSO": "y"})
    assert inherited["ALSO"] == "y"
    assert [name for name in needed if name not in inherited] == []
    assert [name for name in others if name in inherited] == []
    assert "MODAL_TOKEN_SECRET" in environment({}, modal=True)


@pytest.mark.parametrize("name", ["VFM_HOME", "VFM_CONFIG_DIR"])
def test_a_folder_that_can_never_be_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "nowhere").symlink_to("nothing")
    for path, said in (
        ("file", "which is a file"),
        ("file/deep/er", f"but {tmp_path}/file is a file"),
        ("nowhere", "which is a broken link"),
    ):
        with pytest.raises(ConfigError, match=f"{name} is .*{said}") as error:
            Settings.load(tmp_path, {name: str(tmp_path / path)})
        assert error.value.hint is not None
    Settings.load(tmp_path, {name: str(tmp_path / "not/there/yet")})

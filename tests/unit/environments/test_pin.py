"""Environments that are no folder of the project: looked up, installed and found by the real uv, offline.

A folder of wheels stands for the package index; `verifiers` in it has no code and no dependencies.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from remote.contract.errors import EnvironmentMissing
from remote.contract.record import LaunchRequest
from remote.contract.spec import ExperimentSpec
from remote.environments import pin as environment_source
from remote.environments import resolve
from tests.backends.package_index import recording_index, trickling_index
from tests.unit.environments.test_resolve import offline, package, wheel
from tui.backends import environment_pin

__all__ = ["offline"]
VERIFIERS = environment_source.VERIFIERS.partition("==")[2]


def asked(tmp_path: Path, source: str, **given: str) -> LaunchRequest:
    """A run's request, with everything below one folder."""
    usual = {"run_dir": str(tmp_path / "run"), "environment": "some_env"}
    return LaunchRequest(
        run_id="x",
        spec=ExperimentSpec(),
        model="m",
        environment_source=source,
        outputs="o",
        cache="c",
        cache_dir=str(tmp_path / "cache"),
        project_dir=str(tmp_path),
        **{**usual, **given},
    )


@pytest.fixture
def index(tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An index that has verifiers, and an environment of which the newest version wants another one."""
    wheel(offline, "verifiers", VERIFIERS)
    wheel(offline, "verifiers", "9.0")
    wheel(offline, "some_env", "1.0", needs=["verifiers>=0.3"])
    wheel(offline, "some_env", "1.1", needs=[f"verifiers=={VERIFIERS}"])
    wheel(offline, "some_env", "2.0", needs=["verifiers>=9"])
    monkeypatch.setattr(environment_pin, "_known", {})
    return offline


def pinned(tmp_path: Path, source: str, backend: str = "local") -> LaunchRequest:
    request = asked(tmp_path, source, backend=backend)
    return environment_pin.pinned(request, home=tmp_path / "home", project_dir=tmp_path)


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project whose far side is this checkout's; what is imported from stays in the test."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "environments" / "vf_wordle").mkdir(parents=True)
    (tmp_path / "environments" / "vf_wordle" / "pyproject.toml").touch()


@pytest.mark.parametrize(
    ("name", "pin"),
    [("some-env", "some-env==1.1"), ("Some_Env<1.1", "some-env==1.0"), ("some.env==1.0", "some-env==1.0")],
)
def test_a_name_becomes_the_newest_version_that_fits(
    tmp_path: Path, index: Path, name: str, pin: str
) -> None:
    found = pinned(tmp_path, name)
    assert (found.environment, found.environment_source) == ("some_env", pin)


def test_a_package_is_asked_for_once_a_process(tmp_path: Path, index: Path) -> None:
    assert pinned(tmp_path, "some-env").environment_source == "some-env==1.1"
    for path in index.glob("some_env*"):
        path.unlink()
    assert pinned(tmp_path, "some-env").environment_source == "some-env==1.1"


def test_what_cannot_be_had_is_refused_with_the_reason(tmp_path: Path, index: Path) -> None:
    wheel(index, "plain_thing", "1.0")
    reasons = {
        "some-env==2.0": r"some-env==2.0 does not fit the training stack \(verifiers==",
        "some-env==7.0": "the package index has no some-env==7.0",
        "plain-thing": "the package plain-thing==1.0 is no environment: it does not need verifiers",
        "wordles": "the package index has no package 'wordles'",
        "vf-wordle": "vf-wordle is an environment of this project, and is never taken from the package index",
        "Wordle>=1": "Wordle>=1 is an environment of this project",
    }
    for name, reason in reasons.items():
        with pytest.raises(EnvironmentMissing, match=reason) as caught:
            pinned(tmp_path, name)
        assert caught.value.hint is not None
        if name == "wordles":
            assert caught.value.hint.new == "vf-wordle"
            assert "there are: vf-wordle" in caught.value.hint.text


def test_an_index_that_is_out_of_reach_is_said(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    with pytest.raises(EnvironmentMissing, match="the package index could not be reached") as caught:
        pinned(tmp_path, "some-env")
    assert "127.0.0.1:9" in caught.value.cause


def test_a_pinned_package_is_installed_and_imported_by_its_module(tmp_path: Path, index: Path) -> None:
    wheel(index, "vfm_deep", "0.1")
    wheel(index, "some_env", "1.2", needs=["vfm_deep"])
    place, said = resolve.place(asked(tmp_path, "some-env==1.2")), list[str]()
    assert resolve.provide(place, said.append) == "some_env"
    overlay = sys.path[-1]
    program = "import some_env, vfm_deep; print(some_env.VERSION)"
    env = {**os.environ, "PYTHONPATH": overlay}
    done = subprocess.run([sys.executable, "-c", program], env=env, capture_output=True, text=True)
    assert done.stdout == "1.2\n"
    again = resolve.place(asked(tmp_path, "some-env==1.2", run_dir=str(tmp_path / "other-run")))
    assert resolve.provide(again, said.append) == "some_env"
    assert said[-1] == "some-env==1.2 is unchanged since it was installed"
    older = resolve.place(asked(tmp_path, "some-env==1.0", run_dir=str(tmp_path / "third-run")))
    resolve.provide(older, said.append)
    assert sys.path[-1] != overlay


def test_a_wheel_in_the_run_directory_is_installed(tmp_path: Path, index: Path) -> None:
    (tmp_path / "run").mkdir()
    wheel(tmp_path / "run", "some_env", "3.0")
    place = resolve.place(asked(tmp_path, "some_env-3.0-py3-none-any.whl"))
    assert resolve.provide(place, lambda line: None) == "some_env"
    assert Path(sys.path[-1], "some_env.py").is_file()


def test_a_package_whose_module_cannot_be_told_is_refused(tmp_path: Path, index: Path) -> None:
    path = index / "some_env-4.0-py3-none-any.whl"
    wheel(index, "some_env", "4.0")
    with zipfile.ZipFile(path) as file:
        kept = {name: file.read(name) for name in file.namelist() if not name.endswith("some_env.py")}
    with zipfile.ZipFile(path, "w") as file:
        for name, data in {**kept, "one.py": b"", "two.py": b""}.items():
            file.writestr(name, data)
    with pytest.raises(EnvironmentMissing, match="has the modules one, two, and none is called some_env"):
        resolve.provide(resolve.place(asked(tmp_path, "some-env==4.0")), lambda line: None)


def test_for_modal_a_folder_becomes_a_wheel_that_fits(tmp_path: Path, index: Path) -> None:
    source = package(tmp_path / "mine", "vf_mine", needs=["verifiers>=0.4"])
    built = Path(pinned(tmp_path, str(source), "modal").environment_source)
    assert built.name == "vf_mine-1.0-py3-none-any.whl"
    assert "vf_mine/__init__.py" in zipfile.ZipFile(built).namelist()
    package(tmp_path / "mine", "vf_mine", needs=["verifiers>=9"])
    with pytest.raises(EnvironmentMissing, match="does not fit the training stack"):
        pinned(tmp_path, str(source), "modal")
    assert pinned(tmp_path, str(source)).environment_source == str(source)  # the worker reads it there


def test_for_modal_a_folder_that_needs_its_neighbours_is_refused(tmp_path: Path, index: Path) -> None:
    source = package(tmp_path / "mine", "vf_mine", needs=["verifiers>=0.4", "vf-base"])
    package(tmp_path / "mine", "vf_base")
    with pytest.raises(EnvironmentMissing, match="needs vf_base, which lies beside it"):
        pinned(tmp_path, str(source), "modal")


def test_no_name_of_ours_is_asked_of_an_index_for_what_needs_it(
    tmp_path: Path, index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither while a package is looked up nor while it is installed, named by itself or by what it needs."""
    wheel(index, "vfm_deep", "0.1", needs=["vf-gsm8k>=1"])
    wheel(index, "some_env", "5.0", needs=[f"verifiers=={VERIFIERS}", "vf-wordle", "vfm_deep"])
    wheel(index, "some_env", "6.0", needs=["vfm_deep"])
    with recording_index() as (variables, asked_for):
        monkeypatch.setenv("UV_DEFAULT_INDEX", variables["UV_DEFAULT_INDEX"])
        assert pinned(tmp_path, "some-env==5.0").environment_source == "some-env==5.0"
        for version, needed in (("5.0", "vf-wordle, which is not there"), ("6.0", "vf-gsm8k>=1, which is")):
            with pytest.raises(EnvironmentMissing, match=f"needs {needed}"):
                resolve.provide(resolve.place(asked(tmp_path, f"some-env=={version}")), print)
    assert asked_for
    assert not {"vf-wordle", "vf-gsm8k"}.intersection(asked_for)


def test_a_neighbour_at_another_version_is_not_asked_of_an_index(tmp_path: Path, index: Path) -> None:
    folder = tmp_path / "mine"
    wheel(index, "vf_base", "9.0")
    package(folder, "vf_base")
    package(folder, "vf_mine", needs=["vf-base>=2"])
    with pytest.raises(
        EnvironmentMissing, match=r"needs vf-base>=2, the package of that name beside it is 1.0"
    ):
        resolve.install("vf_mine", folder, tmp_path / "overlay", print)


def test_the_lookup_is_a_program_that_answers_in_json(tmp_path: Path, index: Path) -> None:
    question = json.dumps({"source": "some-env", "backend": "modal", "home": str(tmp_path)})
    command = [sys.executable, "-m", "remote.environments.pin"]
    done = subprocess.run(command, input=question, capture_output=True, text=True, cwd=tmp_path)
    assert json.loads(done.stdout) == {"source": "some-env==1.1"}


def test_an_index_that_trickles_holds_nobody_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment_source, "PATIENCE", 1.0)
    with trickling_index() as variables:
        for name, value in {**variables, "UV_CACHE_DIR": str(tmp_path / "cache")}.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(EnvironmentMissing) as refused:
            environment_source.pin("some-env", "local", tmp_path)
    assert "`uv pip compile` had not ended after 1 s" in refused.value.message
    assert refused.value.hint is not None
    assert "UV_DEFAULT_INDEX" in refused.value.hint.text

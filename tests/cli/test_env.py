"""`vfm env`, and runs of environments that are no folder of the project, through the real `vfm`."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from remote.environment_source import VERIFIERS
from tests.cli.conftest import Vfm


def index(folder: Path) -> dict[str, str]:
    """Variables under which an index of one environment is all that uv sees."""
    folder.mkdir()
    needs = {"verifiers": (VERIFIERS.partition("==")[2], []), "some_env": ("1.5", ["verifiers>=0.4"])}
    for name, (version, wants) in needs.items():
        info = f"{name}-{version}.dist-info"
        lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
        with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
            file.writestr(
                f"{info}/METADATA", "\n".join([*lines, *(f"Requires-Dist: {w}" for w in wants), ""])
            )
            file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            file.writestr(f"{info}/RECORD", "")
    nowhere = (folder / "no-index").as_uri()
    return {
        "UV_DEFAULT_INDEX": nowhere,
        "UV_FIND_LINKS": str(folder),
        "UV_CACHE_DIR": str(folder / "cache"),
    }


def test_the_list_says_what_each_environment_is(vfm: Vfm) -> None:
    rows = {row["name"]: row for row in json.loads(vfm("env", "list", "--json").stdout)}
    wordle = rows["vf-wordle"]
    assert (wordle["from"], wordle["model"]) == ("environments/", "Qwen/Qwen2.5-0.5B-Instruct")
    assert wordle["source"] == str(vfm.project / "environments" / "vf_wordle")
    assert "Wordle" in wordle["summary"]
    assert rows["textarena"]["from"] == "verifiers"
    told = vfm("env", "list")
    assert all(name in told.stdout for name in rows)


def test_nothing_can_be_loaded_without_an_image(vfm: Vfm) -> None:
    for command in ("show", "check"):
        done = vfm("env", command, "wordle", VFM_IMAGE_PYTHON="")
        assert done.returncode == 1
        assert "vfm image build local" in done.stderr
    done = vfm("env", "show", "wordel")
    assert done.returncode == 2
    assert "did you mean vf-wordle?" in done.stderr


def test_a_package_of_the_index_is_pinned_when_it_is_launched(vfm: Vfm) -> None:
    about, more = ("--set", "training.environment=some-env"), index(vfm.folder / "index")
    plan = vfm("launch", str(vfm.config), *about, "--dry-run", **more)
    assert "environment: some_env\n" in plan.stdout
    assert "some-env is looked up on the package index when it is launched" in plan.stdout
    done = vfm("launch", str(vfm.config), *about, script="steps:1 end:done", **more)
    assert done.returncode == 0, done.stderr
    [request] = vfm.home.glob("volumes/*/runs/*-some-env/request.json")
    assert json.loads(request.read_text())["environment_source"] == "some-env==1.5"


def test_a_package_that_is_nowhere_starts_nothing(vfm: Vfm) -> None:
    about, more = ("--set", "training.environment=nowhere-env"), index(vfm.folder / "index")
    done = vfm("launch", str(vfm.config), *about, **more)
    assert done.returncode == 2
    assert "there is no environment 'nowhere-env'" in done.stderr
    assert "vf-wordle" in done.stderr
    assert not list(vfm.home.glob("volumes/*/runs/*"))

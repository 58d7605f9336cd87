"""What was planned is what runs: overlays of environments that are edited while runs are under way.

Packages are installed by the real uv, without any network; a run is a process that holds its overlay.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remote.contract import layout
from remote.contract.errors import EnvironmentMissing
from remote.environments import overlays as environment_overlays
from remote.environments import resolve
from tests.unit.environments.test_resolve import ROOT, offline, package, wheel

__all__ = ["offline"]

RUN = """
import importlib, sys
from pathlib import Path
from remote.environments import resolve as environments
project, cache, name, source, note = sys.argv[1:]
where = environments.Place(name, source, Path(project), Path(cache), Path(note) if note else None)
module = environments.provide(where, lambda line: print("said", line, flush=True))
print("began", importlib.import_module(module).VALUE, flush=True)
for line in sys.stdin:
    print("later", importlib.import_module(f"{module}.{line.strip()}").VALUE, flush=True)
"""


class Run:
    """A process that has an environment, as a worker has it until the run ends."""

    def __init__(
        self, tmp_path: Path, name: str, source: Path | str = "", run_dir: Path | None = None
    ) -> None:
        note = str(run_dir / layout.ENVIRONMENT) if run_dir else ""
        places = [str(tmp_path / "environments"), str(tmp_path / "cache"), name, str(source), note]
        self.child = subprocess.Popen(
            [sys.executable, "-c", RUN, *places],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.said: list[str] = []
        self.value = self.read("began")

    def read(self, word: str) -> str:
        """What it prints after a word."""
        assert self.child.stdout is not None
        for line in self.child.stdout:
            if line.startswith(f"{word} "):
                return line.split()[1]
            self.said.append(line.removeprefix("said ").rstrip())
        raise AssertionError(f"it ended with {self.child.wait()}: {self.said}")

    def later(self, submodule: str) -> str:
        """The value of a submodule that it imports now."""
        assert self.child.stdin is not None
        self.child.stdin.write(f"{submodule}\n")
        self.child.stdin.flush()
        return self.read("later")

    def end(self) -> None:
        """Let it end."""
        self.child.communicate(timeout=60)


@pytest.fixture
def begin(tmp_path: Path, offline: Path) -> Iterator[Callable[..., Run]]:
    """Begins runs; they end with the test."""
    runs: list[Run] = []

    def begin(name: str, source: Path | str = "", run_dir: Path | None = None) -> Run:
        runs.append(Run(tmp_path, name, source, run_dir))
        return runs[-1]

    yield begin
    for run in runs:
        run.end()


def overlays(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "cache").iterdir())


def edit(source: Path, value: int, module: str = "") -> None:
    """Give a package and its submodule `extra` another value."""
    folder = source / (module or source.name)
    for name in ("__init__", "extra"):
        (folder / f"{name}.py").write_text(f"VALUE = {value}\n")


@pytest.mark.parametrize("where", ["environments", "elsewhere"])
def test_an_environment_that_is_edited_does_not_change_a_run_under_way(
    tmp_path: Path, begin: Callable[..., Run], where: str
) -> None:
    source = package(tmp_path / where, "vf_lazy")
    named = ("vf_lazy", "" if where == "environments" else source)
    edit(source, 1)
    first = begin(*named)
    edit(source, 2)
    second = begin(*named)
    assert (first.value, second.value) == ("1", "2")
    assert (first.later("extra"), second.later("extra")) == ("1", "2")
    third = begin(*named)
    assert third.value == "2"
    assert third.said == [f"{named[1] or 'vf_lazy'} is unchanged since it was installed"]
    assert len(overlays(tmp_path)) == 2


@pytest.mark.parametrize("where", ["environments", "elsewhere"])
def test_nor_does_one_beside_it_that_it_needs(tmp_path: Path, begin: Callable[..., Run], where: str) -> None:
    base = package(tmp_path / where, "vf_base")
    top = package(tmp_path / where, "vf_top", "from vf_base import VALUE\n", needs=["vf-base"])
    (top / "vf_top" / "extra.py").write_text("from vf_base.extra import VALUE\n")
    named = ("vf_top", "" if where == "environments" else top)
    edit(base, 1)
    first = begin(*named)
    edit(base, 2)
    assert begin(*named).value == "2"
    assert first.later("extra") == "1"


def test_a_later_attempt_has_what_the_run_began_with(tmp_path: Path, begin: Callable[..., Run]) -> None:
    source = package(tmp_path / "environments", "vf_lazy")
    begin("vf_lazy", run_dir=tmp_path / "run").end()
    edit(source, 2)
    assert begin("vf_lazy", run_dir=tmp_path / "run").value == "1"
    shutil.rmtree(source)
    assert begin("vf_lazy", run_dir=tmp_path / "run").value == "1"


def test_a_run_whose_overlay_is_gone_says_what_it_gets(tmp_path: Path, begin: Callable[..., Run]) -> None:
    source = package(tmp_path / "environments", "vf_lazy")
    begin("vf_lazy", run_dir=tmp_path / "run").end()
    began = json.loads((tmp_path / "run" / layout.ENVIRONMENT).read_text())["overlay"]
    shutil.rmtree(tmp_path / "cache" / began)
    edit(source, 2)
    again = begin("vf_lazy", run_dir=tmp_path / "run")
    assert again.value == "2"
    assert again.said[-1].startswith("⚠ the version of vf_lazy that this run began with is gone")


def _remove_module(overlay: Path) -> None:
    shutil.rmtree(overlay / "vf_lazy")


def _empty_file(overlay: Path) -> None:
    (overlay / "vf_lazy" / "extra.py").write_text("")


def _change_dependency(overlay: Path) -> None:
    """As long as before: sizes tell nothing."""
    path = overlay / "vf_base" / "extra.py"
    path.write_text(path.read_text().replace("1", "7"))


@pytest.mark.parametrize("damage", [_remove_module, _empty_file, _change_dependency])
@pytest.mark.parametrize("resumed", [False, True])
def test_what_was_changed_after_it_was_installed_is_installed_anew(
    tmp_path: Path, begin: Callable[..., Run], damage: Callable[[Path], None], resumed: bool
) -> None:
    package(tmp_path / "environments", "vf_base")
    source = package(tmp_path / "environments", "vf_lazy", needs=["vf-base"])
    edit(tmp_path / "environments" / "vf_base", 1)
    edit(source, 1)
    run_dir = tmp_path / "run" if resumed else None
    begin("vf_lazy", run_dir=run_dir).end()
    (name,) = overlays(tmp_path)
    damage(tmp_path / "cache" / name)
    again = begin("vf_lazy", run_dir=run_dir)
    assert again.later("extra") == "1"
    assert any(f"{name} is not as it was installed" in line for line in again.said)
    again.end()
    assert not any("anew" in line for line in begin("vf_lazy", run_dir=run_dir).said)


def test_files_that_change_during_the_install_are_installed_again(
    tmp_path: Path, offline: Path, begin: Callable[..., Run]
) -> None:
    """The first build is overtaken by an edit: what is there is never a mixture under one name."""
    source = package(tmp_path / "environments", "vf_lazy")
    edit(source, 1)
    backend = (source / "backend.py").read_text()
    once = f"    path = pathlib.Path({str(source / 'vf_lazy' / 'extra.py')!r})\n"
    once += "    path.write_text('VALUE = 2') if path.read_text() != 'VALUE = 2' else None\n"
    (source / "backend.py").write_text(backend.replace("    project =", f"{once}    project =", 1))
    run = begin("vf_lazy")
    assert run.later("extra") == "2"
    assert len([line for line in run.said if line.startswith("installing")]) == 2
    assert len(overlays(tmp_path)) == 1


def test_its_tests_are_no_part_of_an_environment(tmp_path: Path, begin: Callable[..., Run]) -> None:
    source = package(tmp_path / "environments", "vf_lazy")
    edit(source, 1)
    begin("vf_lazy").end()
    (source / "tests").mkdir()
    (source / "tests" / "test_it.py").write_text("def test_it() -> None: ...\n")
    begin("vf_lazy").end()
    assert len(overlays(tmp_path)) == 1
    assert not list((tmp_path / "cache").rglob("test_it.py"))


def test_an_install_that_fails_leaves_nothing(tmp_path: Path, offline: Path) -> None:
    package(tmp_path / "environments", "vf_lazy", needs=["vfm_nowhere"])
    where = resolve.Place("vf_lazy", "", tmp_path / "environments", tmp_path / "cache")
    with pytest.raises(EnvironmentMissing):
        resolve.provide(where, lambda line: None)
    assert overlays(tmp_path) == []


def test_those_that_nobody_has_used_for_a_week_are_removed(tmp_path: Path, begin: Callable[..., Run]) -> None:
    """One that a run holds stays, however old it is."""
    source = package(tmp_path / "environments", "vf_lazy")
    names = []
    for value in (1, 2, 3):
        edit(source, value)
        run = begin("vf_lazy")
        names.append(run)
        if value == 2:
            run.end()
    old = time.time() - environment_overlays.UNUSED - 60
    left = tmp_path / "cache" / ".vf_lazy@1.part"
    left.mkdir()
    legacy = tmp_path / "cache" / "vf_lazy"
    legacy.mkdir()
    for folder in (*(tmp_path / "cache").iterdir(),):
        about = folder / ".vfm-overlay.json"
        os.utime(about if about.exists() else folder, (old, old))
    environment_overlays.prune(tmp_path / "cache")
    assert len(overlays(tmp_path)) == 2
    assert [run.later("extra") for run in (names[0], names[2])] == ["1", "3"]


@pytest.mark.parametrize("module", ["json", "random", "torch", "numpy", "remote", "verifiers", "pytest"])
def test_a_package_cannot_take_the_place_of_a_module_that_is_there(
    tmp_path: Path, offline: Path, module: str
) -> None:
    wheel(offline, module, "1.0")
    source = str(offline / f"{module}-1.0-py3-none-any.whl")
    where = resolve.Place(module, source, tmp_path / "environments", tmp_path / "cache")
    with pytest.raises(
        EnvironmentMissing, match=f"is called {module}, as .* would be (imported instead|loaded in its place)"
    ):
        resolve.provide(where, lambda line: None)


def test_what_a_dependency_brings_does_not_either(
    tmp_path: Path, offline: Path, begin: Callable[..., Run]
) -> None:
    wheel(offline, "pydantic_fork", "1.0")
    path = offline / "pydantic_fork-1.0-py3-none-any.whl"
    wheel(tmp_path / "made", "pydantic", "6.6.6")
    _add(path, "pydantic.py", "VERSION = 'forked'\n")
    package(
        tmp_path / "environments",
        "vf_lazy",
        "import pydantic\nVALUE = pydantic.VERSION\n",
        needs=["pydantic-fork"],
    )
    assert begin("vf_lazy").value != "forked"


def _add(archive: Path, name: str, text: str) -> None:
    import zipfile

    with zipfile.ZipFile(archive, "a") as file:
        file.writestr(name, text)


@pytest.mark.parametrize("damage", ["", '{"module": "vf_', "[]", "{}"])
def test_a_damaged_overlay_is_set_aside_and_made_again(tmp_path: Path, damage: str) -> None:
    def make() -> tuple[Path, str]:
        return environment_overlays.make(tmp_path, "vf_x", lambda: ["vf-x"], lambda part: "vf_x")

    overlay, _ = make()
    (overlay / ".vfm-overlay.json").write_text(damage)
    assert environment_overlays.take(overlay) is None
    assert make() == (overlay, "vf_x")

"""The wheel, installed where no checkout is: it finds and writes projects, and knows its own `remote`.

Its dependencies are this environment's, so nothing is downloaded.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tui.services.new_project import FILES

pytest.importorskip("hatchling", reason="hatchling builds the wheel (make dev)")

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Installed:
    """A fresh environment with the wheel in it, and a folder to work in."""

    env: Path
    folder: Path
    variables: tuple[tuple[str, str], ...] = ()

    @property
    def packages(self) -> Path:
        return next((self.env / "lib").glob("python*/site-packages"))

    def run(self, program: str, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL") if name in os.environ}
        home = {"HOME": str(self.folder), "VFM_HOME": str(self.folder / "vfm-home")}
        return subprocess.run(
            [str(self.env / "bin" / program), *arguments],
            cwd=cwd or self.folder,
            env={**kept, **home, **dict(self.variables)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def install(self, wheel: Path) -> None:
        command = [
            "pip",
            "install",
            "--quiet",
            "--no-deps",
            "--offline",
            "--python",
            str(self.env / "bin" / "python"),
        ]
        subprocess.run([sys.executable, "-m", "uv", *command, str(wheel)], check=True)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    command = ["build", "--wheel", "--quiet", "--no-build-isolation", "--python", sys.executable]
    subprocess.run([sys.executable, "-m", "uv", *command, "--out-dir", str(folder), str(ROOT)], check=True)
    return next(folder.glob("*.whl"))


@pytest.fixture
def installed(wheel: Path, tmp_path: Path) -> Installed:
    """The wheel in an environment of its own, which borrows the packages of this one."""
    made = Installed(tmp_path / "env", tmp_path / "work")
    made.folder.mkdir()
    venv.create(made.env, with_pip=False, symlinks=True)
    (made.packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    made.install(wheel)
    return made


def foreign(folder: Path) -> Path:
    """A wheel of another distribution that has a top-level `remote` too."""
    path = folder / "foreign_remote-1.0-py3-none-any.whl"
    info = "foreign_remote-1.0.dist-info"
    files = {
        "remote/__init__.py": "raise RuntimeError('somebody else was imported')\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: foreign-remote\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return path


def tree(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_the_wheel_is_not_for_upload_and_holds_what_git_holds(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        metadata = archive.read(next(n for n in names if n.endswith("/METADATA"))).decode()
    assert "Classifier: Private :: Do Not Upload" in metadata
    assert "Requires-Dist: vllm" not in metadata
    packed = "tui/project_files/"
    listed = subprocess.run(["git", "ls-files", *FILES], cwd=ROOT, capture_output=True, text=True, check=True)
    inside = {name.removeprefix(packed) for name in names if name.startswith(packed)}
    assert set(listed.stdout.splitlines()) <= inside
    assert not [name for name in names if re.search(r"__pycache__|\.pyc$|\.egg-info|/\.venv/", name)]
    assert {"tui/py.typed", "remote/py.typed", "remote/image/locks/cuda.txt"} <= set(names)


def test_without_a_project_it_names_the_command_that_makes_one(installed: Installed) -> None:
    done = installed.run("vfm", "env", "list")
    assert done.returncode == 2
    assert f"neither {installed.folder} nor a folder above it" in done.stderr
    assert "vfm init DIR" in done.stderr
    looked = installed.run("vfm", "doctor", "--json")
    assert looked.returncode == 1
    told = {finding["id"]: finding for finding in json.loads(looked.stdout)}
    assert told["project"]["command"].startswith("vfm init")
    assert "site-packages" not in told["project"]["detail"]


def test_a_project_is_written_and_found_from_inside(installed: Installed) -> None:
    made = installed.run("vfm", "init", "first project")
    assert made.returncode == 0, made.stderr
    project = installed.folder / "first project"
    assert sorted(path.name for path in project.iterdir()) == sorted(FILES)
    assert tree(project / "configs") == sorted(path.name for path in (ROOT / "configs").iterdir())
    inside = project / "environments" / "vf_wordle"
    for cwd in (project, inside):
        listed = installed.run("vfm", "env", "list", "--json", cwd=cwd)
        assert listed.returncode == 0, listed.stderr
        assert "vf-wordle" in listed.stdout
    dry = installed.run("vfm", "launch", "configs/local_demo.yaml", "--dry-run", cwd=inside)
    assert dry.returncode == 0, dry.stderr
    elsewhere = replace(installed, variables=(("VFM_PROJECT", str(project)),))
    assert elsewhere.run("vfm", "config", "check", "configs/local_smoke.yaml").returncode == 0


def test_a_project_is_written_whole_or_not_at_all(installed: Installed) -> None:
    for name in FILES:
        taken = installed.folder / name.strip(".")
        taken.mkdir()
        (taken / name).write_text("mine")
        done = installed.run("vfm", "init", str(taken))
        assert done.returncode == 2
        assert f"has {name} already, and nothing was written" in done.stderr
        assert tree(taken) == [name]
        assert (taken / name).read_text() == "mine"
    file = installed.folder / "a-file"
    file.touch()
    assert installed.run("vfm", "init", str(file)).returncode == 2
    ours = installed.folder / "mine"
    ours.mkdir()
    (ours / "notes.txt").touch()
    assert installed.run("vfm", "init", "mine").returncode == 0
    assert {"notes.txt", *FILES} == {path.name for path in ours.iterdir()}


def test_a_run_has_this_remote_and_none_of_the_clients_packages(installed: Installed) -> None:
    """The worker is a Python with nothing installed, in a project that has a `remote` of its own."""
    assert installed.run("vfm", "init", "project").returncode == 0
    project, out = installed.folder / "project", installed.folder / "found.json"
    (project / "remote").mkdir()
    (project / "remote" / "__init__.py").write_text("raise RuntimeError('not this one')\n")
    bare = installed.folder / "bare"
    venv.create(bare, with_pip=False, symlinks=True)
    probe = installed.folder / "probe.py"
    probe.write_text(
        "import json, os, remote\n"
        "from importlib.util import find_spec\n"
        "found = {'remote': os.path.realpath(remote.__file__), 'click': find_spec('click') is not None}\n"
        f"open({str(out)!r}, 'w').write(json.dumps(found))\n"
    )
    worker = (("VFM_IMAGE_PYTHON", f"{bare}/bin/python"), ("VFM_WORKER", f"{bare}/bin/python {probe}"))
    done = replace(installed, variables=worker).run("vfm", "launch", "configs/local_smoke.yaml", cwd=project)
    assert done.returncode == 1, done.stderr
    found = json.loads(out.read_text())
    assert found == {"remote": str((installed.packages / "remote" / "__init__.py").resolve()), "click": False}


@pytest.mark.parametrize("program", ["vfm", "vfm-tui"])
def test_a_foreign_remote_is_refused_with_its_place(installed: Installed, program: str) -> None:
    elsewhere = installed.folder / "elsewhere"
    with zipfile.ZipFile(foreign(installed.folder)) as archive:
        archive.extractall(elsewhere)
    hidden = replace(installed, variables=(("PYTHONPATH", str(elsewhere)),)).run(program, "--help")
    assert hidden.returncode == 2
    assert (
        f"at {elsewhere / 'remote'}, hides that of vfm-tui, beside {installed.packages / 'tui'}"
        in hidden.stderr
    )
    assert "Traceback" not in hidden.stderr
    assert installed.run(program, "--help").returncode == 0
    installed.install(foreign(installed.folder))
    over = installed.run(program, "--help")
    assert over.returncode == 2
    assert f"at {installed.packages / 'remote'}, was installed over that of vfm-tui" in over.stderr
    assert "environment of its own" in over.stderr

"""The real `vfm` in processes of its own, over the real local backend and a scripted worker."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.waiting import DEADLINE

ROOT = Path(__file__).parents[2]
WORKER = ROOT / "tests" / "backends" / "scripted_worker.py"


def command() -> list[str]:
    """`vfm` as installed beside this Python, or the same thing run as a module."""
    script = Path(sys.executable).with_name("vfm")
    return [str(script)] if script.exists() else [sys.executable, "-m", "tui.cli"]


@dataclass
class Vfm:
    """A user's shell: a project, a home, and `vfm` in it."""

    folder: Path
    program: Path = ROOT
    """The folder that holds `tui/` and `remote/`."""
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.project.mkdir(parents=True)
        (self.project / "environments").symlink_to(ROOT / "environments")
        self.config.write_text(
            "model:\n  base_model: builtin/tiny-random\n  dtype: float32\n"
            "training:\n  environment: wordle\n  steps: 3\nwandb:\n  enabled: false\n"
        )

    @property
    def project(self) -> Path:
        return self.folder / "project"

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def config(self) -> Path:
        return self.folder / "small.yaml"

    def replace_image_builder(self, code: str) -> None:
        """From now on `python -m remote.image.local` is this program."""
        self.program = self.folder / "program"
        image = self.program / "remote" / "image"
        image.mkdir(parents=True)
        (self.program / "tui").symlink_to(ROOT / "tui")
        for name in ("__init__.py", "contract", "output"):
            (image.parent / name).symlink_to(ROOT / "remote" / name)
        (image / "__init__.py").touch()
        (image / "local.py").write_text(code)

    def env(self, script: str, more: Mapping[str, str]) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        ours = {
            "PYTHONPATH": str(self.program),
            "VFM_HOME": str(self.home),
            "VFM_PROJECT": str(self.project),
            "VFM_IMAGE_PYTHON": sys.executable,
            "VFM_WORKER": shlex.join([sys.executable, str(WORKER)]),
            "VFM_SCRIPT": script,
            "EXPERIMENTER": "ada",
            "EXPERIMENT_NAME": "cli",
        }
        return {**kept, **ours, **more}

    def start(self, *args: str, script: str = "", **env: str) -> subprocess.Popen[str]:
        """A `vfm` that goes on by itself, its three streams ours."""
        child = subprocess.Popen(
            [*command(), *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.folder,
            env=self.env(script, env),
        )
        self.started.append(child)
        return child

    def __call__(self, *args: str, script: str = "", **env: str) -> subprocess.CompletedProcess[str]:
        """A `vfm` run to its end."""
        child = self.start(*args, script=script, **env)
        out, err = child.communicate(timeout=DEADLINE)
        assert "Traceback" not in err, err
        return subprocess.CompletedProcess(args, child.returncode, out, err)

    def launch(self, *args: str, script: str) -> subprocess.CompletedProcess[str]:
        """Launch the small config."""
        return self("launch", str(self.config), *args, script=script)


@pytest.fixture
def vfm(tmp_path: Path) -> Iterator[Vfm]:
    """A shell in a home where nothing has run yet."""
    yield from _shell(tmp_path / "shell")


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vfm]:
    """A shell in a home where one run is done; for commands that only look."""
    for shell in _shell(tmp_path_factory.mktemp("used") / "shell"):
        raw = r"raw:[vllm]\x20\x1b]0;owned\x07\x1b[31mred\n"
        done = shell.launch(script=f"lines:2 {raw} steps:3 end:done")
        assert done.returncode == 0, done.stderr
        yield shell


def _shell(folder: Path) -> Iterator[Vfm]:
    shell = Vfm(folder)
    yield shell
    for child in shell.started:
        if child.poll() is None:
            child.send_signal(signal.SIGKILL)
        child.communicate()


def wait_for(child: subprocess.Popen[str], text: str) -> str:
    """Read a process's stdout up to a line that holds the text; returns what was read."""
    assert child.stdout is not None
    read = ""
    for line in child.stdout:
        read += line
        if text in line:
            return read
    raise AssertionError(f"{text!r} never came; there was:\n{read}\n{child.stderr and child.stderr.read()}")

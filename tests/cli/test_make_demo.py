"""`make demo`: the app where there is a terminal, the run's stream and exit code where there is none."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT
from tests.cli.terminal import Terminal
from tests.waiting import DEADLINE

pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")


@pytest.fixture
def make(tmp_path: Path) -> list[str]:
    """`make demo` with programs that only say how they were called."""
    stand_ins = {
        "vfm": 'echo "vfm $*" >&2; [ "$3" = --detach ] && echo run-1 || exit 7',
        "vfm-tui": 'echo "APP $*"',
    }
    for name, script in stand_ins.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    return ["make", "-f", str(ROOT / "Makefile"), "-o", "install", "demo", f"BIN={tmp_path}"]


def test_in_a_terminal_the_app_opens_on_the_run(make: list[str], tmp_path: Path) -> None:
    terminal = Terminal(make, tmp_path, {"PATH": "/usr/bin:/bin"})
    assert terminal.wait_end() == 0
    assert b"vfm launch configs/local_demo.yaml --detach" in terminal.written
    assert b"APP run-1" in terminal.written
    terminal.close()


def test_without_one_the_exit_code_is_the_runs(make: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        make,
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        check=False,
    )
    assert "vfm launch configs/local_demo.yaml\n" in done.stderr
    assert "Error 7" in done.stderr
    assert "APP" not in done.stdout

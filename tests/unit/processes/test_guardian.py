"""Whatever dies, nothing of a guarded command is left behind: real processes, real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from remote.processes import guardian
from tests.waiting import block_until

GUARDIAN = guardian.__file__
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="process trees are read from /proc")

# A tree: the command, a child in the same group, and a grandchild that left the group and its parent.
TREE = """
import os, signal, subprocess, sys, time
here = sys.argv[1]
if sys.argv[2] == "deaf":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen(["sleep", "600"])
runaway = "import subprocess as s; print(s.Popen(['sleep', '601'], stdout=-3, start_new_session=True).pid)"
far = int(subprocess.check_output([sys.executable, "-c", runaway]))
with open(here + ".tmp", "w") as file:
    print(os.getpid(), child.pid, far, file=file)
os.rename(here + ".tmp", here)
time.sleep(600)
"""

# The guardian's parent, which is killed: it holds the pipe, and sleeps.
PARENT = """
import subprocess, sys, time
guardian = subprocess.Popen(sys.argv[2:], stdin=subprocess.PIPE)
with open(sys.argv[1], "w") as file:
    file.write(str(guardian.pid))
guardian.wait()
"""


def living(pids: list[int]) -> list[int]:
    return [pid for pid in pids if pid in guardian.processes()]


@pytest.fixture
def pids_file(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "pids"
    yield path
    for pid in pids_of(path) if path.exists() else []:
        if pid in guardian.processes():
            os.kill(pid, signal.SIGKILL)


def pids_of(path: Path) -> list[int]:
    block_until(path.exists, "the command")
    return [int(word) for word in path.read_text().split()]


def guarded(*command: str, grace: float = 5.0) -> list[str]:
    return [sys.executable, "-I", "-S", GUARDIAN, "--grace", str(grace), "--", *command]


def tree(path: Path, ears: str = "hears") -> list[str]:
    return [sys.executable, "-c", TREE, str(path), ears]


def test_the_commands_exit_code_is_passed_on() -> None:
    command = [sys.executable, "-c", "import sys; sys.exit(int(sys.argv[-1]))", "--", "7"]
    with subprocess.Popen(guarded(*command), stdin=subprocess.PIPE) as process:
        assert process.wait(20) == 7


def test_a_death_by_signal_is_128_and_its_number() -> None:
    with subprocess.Popen(guarded("sh", "-c", "kill -KILL $$"), stdin=subprocess.PIPE) as process:
        assert process.wait(20) == 137


def test_a_command_that_is_not_there_is_said_and_is_127() -> None:
    with subprocess.Popen(
        guarded("/no/such/program"), stdin=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stderr is not None
        assert process.stderr.read() == b"cannot start /no/such/program: No such file or directory\n"
        assert process.wait(20) == 127


def test_sigterm_ends_the_whole_tree(pids_file: Path) -> None:
    with subprocess.Popen(guarded(*tree(pids_file)), stdin=subprocess.PIPE) as process:
        pids = pids_of(pids_file)
        assert living(pids) == pids
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGTERM
        assert living(pids) == []


def test_a_parent_that_is_killed_takes_the_whole_tree_along(pids_file: Path, tmp_path: Path) -> None:
    note = tmp_path / "guardian"
    with subprocess.Popen([sys.executable, "-c", PARENT, str(note), *guarded(*tree(pids_file))]) as parent:
        try:
            pids = pids_of(pids_file)
        finally:
            parent.kill()
    block_until(lambda: not living([*pids, int(note.read_text())]), "the end of all")


def test_the_end_of_standard_input_ends_the_tree(pids_file: Path) -> None:
    with subprocess.Popen(guarded(*tree(pids_file)), stdin=subprocess.PIPE) as process:
        pids = pids_of(pids_file)
        assert process.stdin is not None
        process.stdin.close()
        process.wait(20)
        assert living(pids) == []


def test_who_does_not_hear_sigterm_is_killed_after_the_grace(pids_file: Path) -> None:
    with subprocess.Popen(guarded(*tree(pids_file, "deaf"), grace=0.2), stdin=subprocess.PIPE) as process:
        pids = pids_of(pids_file)
        process.terminate()
        assert process.wait(20) == 128 + signal.SIGKILL
        assert living(pids) == []


def test_a_command_that_dies_leaves_no_orphans(pids_file: Path) -> None:
    with subprocess.Popen(guarded(*tree(pids_file)), stdin=subprocess.PIPE) as process:
        pids = pids_of(pids_file)
        os.kill(pids[0], signal.SIGKILL)
        assert process.wait(20) == 128 + signal.SIGKILL
        assert living(pids) == []


def test_a_guardian_that_is_killed_takes_the_command_along(pids_file: Path) -> None:
    with subprocess.Popen(guarded(*tree(pids_file)), stdin=subprocess.PIPE) as process:
        command = pids_of(pids_file)[0]
        process.kill()
        process.wait()
        block_until(lambda: not living([command]), "the command's end")

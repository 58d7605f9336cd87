"""Ctrl-C once and twice, a reader that leaves, a full disk, a fault of our own: never a traceback."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.conftest import ROOT, Vfm, wait_for
from tests.waiting import DEADLINE


def test_ctrl_c_leaves_the_run_going_and_says_how_to_join_it(vfm: Vfm) -> None:
    go = vfm.folder / "go"
    child = vfm.start("launch", str(vfm.config), script=f"lines:1 wait:{go} raw:last\\n end:done")
    wait_for(child, "line 0")
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 130
    assert "Traceback" not in err
    found = re.search(r"vfm logs (\S+) --follow +Stop", err)
    assert found, err
    go.touch()
    rest = vfm("logs", found[1], "--follow")
    assert rest.returncode == 0
    assert rest.stdout.count("line 0") == rest.stdout.count("last\n") == 1


@pytest.mark.parametrize("command", ["launch", "logs"])
def test_ctrl_c_twice_ends_at_once_without_a_traceback(vfm: Vfm, command: str) -> None:
    go = vfm.folder / "go"
    args = ["launch", str(vfm.config)]
    script = f"lines:1 wait:{go} end:done"
    if command == "logs":
        vfm(*args, "--detach", script=script)
        args = ["logs", "last", "--follow"]
    child = vfm.start(*args, script=script)
    wait_for(child, "line 0")
    child.send_signal(signal.SIGINT)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == 130
    assert "Traceback" not in err
    go.touch()
    assert vfm("logs", "last", "--follow").returncode == 0


def _program(text: str) -> subprocess.Popen[str]:
    head = "import asyncio, os, signal, sys\nfrom tui.cli import interrupt\ninterrupt.install()\n"
    return subprocess.Popen(
        [sys.executable, "-c", head + text],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )


def test_a_second_ctrl_c_ends_what_will_not_unwind() -> None:
    child = _program(
        "async def stubborn():\n"
        "    while True:\n"
        "        try:\n"
        "            print('on', flush=True)\n"
        "            await asyncio.sleep(600)\n"
        "        except asyncio.CancelledError:\n"
        "            pass\n"
        "interrupt.announce('it goes on')\n"
        "interrupt.run(stubborn())\n"
    )
    wait_for(child, "on")
    child.send_signal(signal.SIGINT)
    wait_for(child, "on")  # the first one was swallowed
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=DEADLINE)
    assert (child.returncode, err) == (130, "\nit goes on\n")


def test_ctrl_c_while_a_run_is_being_started_waits_until_its_name_is_known() -> None:
    child = _program(
        "async def launch():\n"
        "    with interrupt.held():\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n"
        "        await asyncio.sleep(0)\n"
        "        interrupt.announce('run k3f9x goes on')\n"
        "    print('followed')\n"
        "try:\n"
        "    interrupt.run(launch())\n"
        "except KeyboardInterrupt:\n"
        "    sys.exit(interrupt.EXIT_CODE)\n"
    )
    out, err = child.communicate(timeout=DEADLINE)
    assert (child.returncode, out, err) == (130, "", "\nrun k3f9x goes on\n")


def test_a_reader_that_leaves_is_no_error(vfm: Vfm) -> None:
    assert vfm.launch(script="lines:20000 end:done").returncode == 0
    child = vfm.start("logs", "last")
    wait_for(child, "line 0")
    assert child.stdout is not None
    child.stdout.close()
    assert child.stderr is not None
    assert child.stderr.read() == ""
    assert child.wait(DEADLINE) == 0


def test_a_launch_whose_reader_leaves_goes_on(vfm: Vfm) -> None:
    script = f"lines:1 wait:{vfm.folder}/go lines:20000 end:done"
    child = vfm.start("launch", str(vfm.config), script=script)
    wait_for(child, "line 0")
    assert child.stdout is not None
    child.stdout.close()
    (vfm.folder / "go").touch()
    assert child.stderr is not None
    err = child.stderr.read()
    assert "goes on" in err
    assert "Traceback" not in err
    assert child.wait(DEADLINE) == 130
    assert vfm("logs", "last", "--follow").returncode == 0


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="this system has no /dev/full")
def test_a_full_disk_behind_stdout_is_said_plainly(vfm: Vfm) -> None:
    from tests.cli.conftest import command

    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [*command(), "config", "schema"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=vfm.folder,
            env=vfm.env("", {}),
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "error: No space left on device\n")


def test_a_fault_of_our_own_is_one_line_and_a_report_on_file(tmp_path: Path) -> None:
    program = (
        "import sys, tui.client\n"
        "def boom(settings): raise ZeroDivisionError('made up')\n"
        "tui.client.Client.default = boom\n"
        "sys.argv = ['vfm', 'runs']\n"
        "from tui.cli import main\n"
        "main()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, "VFM_HOME": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 1
    report = tmp_path / "app" / "crash.txt"
    assert done.stderr.count("\n") == 1
    assert "ZeroDivisionError: made up" in done.stderr
    assert str(report) in done.stderr
    assert "Traceback" in report.read_text()

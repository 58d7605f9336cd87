"""`vfm-tui` in a real terminal: what it refuses before it draws, and how it gives the terminal back."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Vfm
from tests.cli.terminal import Terminal
from tests.waiting import DEADLINE

TUI = [sys.executable, "-m", "tui"]
DRAWN = b"\x1b[?1049h"  # the alternate screen: the app is up
GIVEN_BACK = (b"\x1b[?1049l", b"\x1b[?25h", b"\x1b[?1003l", b"\x1b[?2004l")
Open = Callable[..., Terminal]


@pytest.fixture
def opened(vfm: Vfm) -> Iterator[Open]:
    """Starts `vfm-tui` in a terminal; ends it after the test."""
    made: list[Terminal] = []

    def start(*args: str, program: list[str] | None = None, **env: str) -> Terminal:
        made.append(Terminal([*(program or TUI), *args], vfm.folder, vfm.env("", env)))
        return made[-1]

    yield start
    for terminal in made:
        terminal.close()


def run(vfm: Vfm, *args: str, **env: str) -> subprocess.CompletedProcess[str]:
    """`vfm-tui` without any terminal."""
    return subprocess.run(
        [*TUI, *args],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd=vfm.folder,
        env=vfm.env("", env),
        timeout=DEADLINE,
        check=False,
    )


def test_without_a_terminal_it_says_so(vfm: Vfm) -> None:
    done = run(vfm)
    assert (done.returncode, done.stdout) == (2, "")
    assert "needs a terminal" in done.stderr
    assert "--web" in done.stderr


def test_a_redirected_stdout_is_no_terminal(vfm: Vfm) -> None:
    with open(os.devnull, "wb") as nowhere:
        terminal = Terminal(TUI, vfm.folder, vfm.env("", {}), stdout=nowhere)
        assert terminal.wait_end() == 2
        assert b"stdout is not one" in terminal.written
        terminal.close()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--port", "3"], "--web"),
        (["--web", "--theme", "vfm-drak"], "vfm-dark"),
        (["--web", "--port", "70000"], "65535"),
        (["--redonly"], "--readonly"),
        (["one", "two"], "two"),
    ],
)
def test_what_cannot_be_meant_is_told(vfm: Vfm, args: list[str], said: str) -> None:
    done = run(vfm, *args)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_a_bad_env_file_is_told_before_the_screen_is_taken(vfm: Vfm, opened: Open) -> None:
    (vfm.project / ".env").write_bytes(b"EXPERIMENTER=\xff\n")
    terminal = opened()
    assert terminal.wait_end() == 2
    assert b"not UTF-8" in terminal.written
    assert DRAWN not in terminal.written


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was(opened: Open, number: signal.Signals) -> None:
    terminal = opened()
    terminal.wait_for(b"runs")
    assert terminal.attributes() != terminal.before
    terminal.process.send_signal(number)
    assert terminal.wait_end() == 128 + number
    assert terminal.attributes() == terminal.before
    assert all(sequence in terminal.written for sequence in GIVEN_BACK)
    assert b"Traceback" not in terminal.written


HUNG = """
import os, sys, tui.app, tui.signals
tui.signals.PATIENCE = 0.2
def hang(self):
    os.write(2, b"HANGING")
    while True: pass
tui.app.VfmApp.on_ready = hang
sys.argv = ["vfm-tui"]
from tui.__main__ import main
main()
"""


def test_a_hung_app_is_ended_and_the_terminal_given_back(opened: Open) -> None:
    terminal = opened(program=[sys.executable, "-c", HUNG])
    terminal.wait_for(b"HANGING")
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.wait_end() == 128 + signal.SIGTERM
    assert terminal.attributes() == terminal.before
    assert all(sequence in terminal.written for sequence in GIVEN_BACK)


STUCK = """
import asyncio, os, sys, threading, tui.app
from textual.drivers.linux_driver import LinuxDriver
from tui.backends.copy_files import off_loop
fifo, in_mid_air = sys.argv.pop(), sys.argv.pop() == "in mid-air"
async def stuck(self):
    read = lambda *_: open(fifo).read()  # nobody ever writes
    await asyncio.sleep(0)
    threading.Thread(target=read).start()
    waiting = [asyncio.create_task(off_loop(read)), asyncio.create_task(asyncio.to_thread(read))]
    self.waiting = waiting if in_mid_air else waiting[1:]
    os.write(2, b"STUCK")
tui.app.VfmApp.on_ready = stuck
sys.argv = ["vfm-tui"]
from tui.__main__ import main
main()
"""
LEAVES = 4.0  # seconds: three are promised, one is for a machine under load


@pytest.mark.parametrize("manner", ["ctrl+q", signal.SIGTERM, signal.SIGHUP, "window"])
def test_it_leaves_whatever_a_thread_waits_for(opened: Open, tmp_path: Path, manner: object) -> None:
    os.mkfifo(tmp_path / "fifo")
    terminal = opened("in mid-air", str(tmp_path / "fifo"), program=[sys.executable, "-c", STUCK])
    terminal.wait_for(b"STUCK")
    began = time.monotonic()
    if manner == "ctrl+q":
        terminal.type(b"\x11")
        expected = 0
    elif manner == "window":
        terminal.hang_up()
        assert terminal.process.wait(DEADLINE) == 128 + signal.SIGHUP
        assert time.monotonic() - began < LEAVES
        return
    else:
        assert isinstance(manner, signal.Signals)
        terminal.process.send_signal(manner)
        expected = 128 + manner
    assert terminal.wait_end() == expected
    assert time.monotonic() - began < LEAVES
    assert terminal.attributes() == terminal.before
    assert all(sequence in terminal.written for sequence in GIVEN_BACK)


def test_a_terminal_that_takes_nothing_holds_up_nobody(opened: Open, tmp_path: Path) -> None:
    """Its window is frozen (ctrl+s, a suspended ssh): what is written waits for ever."""
    os.mkfifo(tmp_path / "fifo")
    terminal = opened("done", str(tmp_path / "fifo"), program=[sys.executable, "-c", STUCK])
    terminal.wait_for(b"STUCK")
    for _ in range(200):  # nobody reads what this draws
        terminal.type(b"?\x1b")
    began = time.monotonic()
    terminal.process.send_signal(signal.SIGTERM)
    assert terminal.process.wait(DEADLINE) == 128 + signal.SIGTERM
    assert time.monotonic() - began < LEAVES


BROKEN = """
import sys, tui.app
def broken(self):
    token = "a-secret-value"
    raise ValueError("out of order")
tui.app.VfmApp.on_ready = broken
tui.app.VfmApp.survives = lambda self, error: False  # most errors are; this one is not
sys.argv = ["vfm-tui"]
from tui.__main__ import main
main()
"""


def test_a_crash_is_a_sentence_and_a_report_without_values(vfm: Vfm, opened: Open) -> None:
    terminal = opened(program=[sys.executable, "-c", BROKEN])
    assert terminal.wait_end() == 1
    assert terminal.attributes() == terminal.before
    after = terminal.written.rpartition(b"\x1b[?1049l")[2]
    assert b"unexpected ValueError: out of order" in after
    assert b"Traceback" not in after
    assert b"a-secret-value" not in after
    report = vfm.home / "app" / "crash.txt"
    assert "a-secret-value" not in report.read_text()
    assert "ValueError: out of order" in report.read_text()


def test_a_closed_window_ends_it(opened: Open) -> None:
    terminal = opened()
    terminal.wait_for(b"runs")
    terminal.hang_up()
    assert terminal.process.wait(DEADLINE) == 128 + signal.SIGHUP


FIRST_FRAME = """
import json, sys
from textual.drivers.linux_driver import LinuxDriver
report, write = sys.argv.pop(), LinuxDriver.write
def watched(self, data):
    if "runs" in data:
        LinuxDriver.write = write
        json.dump(sorted(sys.modules), open(report, "w"))
    write(self, data)
LinuxDriver.write = watched
sys.argv = ["vfm-tui"]
from tui.__main__ import main
main()
"""
HEAVY = {"pydantic", "yaml", "modal", "verifiers", "pyarrow", "aiohttp", "torch", "re2"}


def test_nothing_heavy_is_loaded_when_the_first_frame_is_drawn(opened: Open, tmp_path: Path) -> None:
    report = tmp_path / "modules.json"
    terminal = opened(str(report), program=[sys.executable, "-c", FIRST_FRAME])
    terminal.wait_for(b"runs")
    terminal.type(b"\x11")  # ctrl+q
    assert terminal.wait_end() == 0
    loaded = {name.partition(".")[0] for name in json.loads(report.read_text())}
    assert "textual" in loaded
    assert not loaded & HEAVY


def test_quitting_is_no_failure(opened: Open) -> None:
    terminal = opened("--readonly", "--theme", "vfm-light")
    terminal.wait_for(b"runs")
    terminal.type(b"\x11")  # ctrl+q
    assert terminal.wait_end() == 0
    assert terminal.attributes() == terminal.before


def test_an_unknown_run_is_told_with_the_nearest(vfm: Vfm, opened: Open) -> None:
    assert vfm.launch(script="steps:1 end:done").returncode == 0
    known = vfm("runs", "--json").stdout
    run_id = known.split('"run_id": "')[1].split('"')[0]
    terminal = opened(run_id[:-1] + "~")
    terminal.wait_for(b"there is no run")
    terminal.wait_for(run_id[:20].encode())


def test_help_is_there_before_anything_that_draws(vfm: Vfm) -> None:
    began = time.monotonic()
    done = run(vfm, "--help")
    assert done.returncode == 0
    assert "--readonly" in done.stdout
    assert time.monotonic() - began < DEADLINE
    program = (
        "import sys; sys.argv = ['vfm-tui', '--help']\nfrom tui.__main__ import main\n"
        "try:\n    main()\nfinally:\n    print('LOADED', 'textual' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert told.stdout.endswith("LOADED False\n")


def test_tab_completes_options_and_runs(vfm: Vfm) -> None:
    assert vfm.launch(script="steps:1 end:done").returncode == 0
    env = {"_VFM_TUI_COMPLETE": "bash_complete", "COMP_CWORD": "1"}
    assert "--readonly" in run(vfm, COMP_WORDS="vfm-tui --re", **env).stdout
    assert "last" in run(vfm, COMP_WORDS="vfm-tui la", **env).stdout


def test_completion_scripts_name_the_program(vfm: Vfm) -> None:
    done = vfm("completion", "bash", "vfm-tui")
    assert done.returncode == 0
    assert "_VFM_TUI_COMPLETE" in done.stdout


def test_ctrl_z_gives_the_shell_its_terminal_and_fg_goes_on(opened: Open) -> None:
    """A shell with job control, since nothing may stop a program whose parent could not wake it."""
    script = f"{' '.join(TUI)}; echo stopped $?; fg; echo over $?"
    shell = opened(program=["bash", "-mc", script])
    shell.wait_for(DRAWN)
    shell.type(b"\x1a")
    shell.wait_for(b"stopped 14")
    assert shell.written.rindex(b"\x1b[?1049l") < shell.written.index(b"stopped 14")
    shell.written = shell.written.partition(b"stopped 14")[2]
    shell.wait_for(DRAWN)
    shell.wait_for(b"Commands")  # only then does it read keys
    shell.type(b"\x11")
    shell.wait_for(b"over 0")

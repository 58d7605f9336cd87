"""The whole story in a real terminal: pick, change, launch, watch, find, quit, come back, fetch.

Nothing stands in for anything: tmux, the real `vfm-tui`, the local backend, vLLM, a tiny model. Keys are
pressed once what they answer is on the screen, as a person would.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.local.conftest import ROOT, VFM, Shell
from tests.local.tmux import PROMPT, TMUX, Tmux

VFM_TUI = VFM.with_name("vfm-tui")
WHOLE_RUN = 400.0
"""Seconds for a run of the tiny model on a machine that does other things too."""

pytestmark = [
    pytest.mark.local,
    pytest.mark.skipif(TMUX is None, reason="there is no tmux (Debian, Ubuntu: apt install tmux)"),
]


@pytest.fixture
def terminal(shell: Shell, tmp_path: Path) -> Iterator[Tmux]:
    """A terminal where nothing has run yet."""
    made = Tmux(tmp_path, shell.env(), ROOT, (150, 45))
    yield made
    made.close()


def test_a_newcomers_first_run(terminal: Tmux, shell: Shell, tmp_path: Path) -> None:
    start(terminal)
    terminal.until("No run yet")
    pick_and_change(terminal)
    run_id = launch(terminal)
    watch_it_begin(terminal)
    quit_and_return(terminal, run_id)
    watch_it_end(terminal, shell, run_id)
    find_a_line(terminal)
    fetch_the_checkpoint(terminal, shell, run_id, tmp_path / "fetched")


def start(terminal: Tmux) -> None:
    terminal.until(PROMPT.strip())
    terminal.run(f"clear; {VFM_TUI}")
    terminal.until(r"vfm › runs")


def pick_and_change(terminal: Tmux) -> None:
    """The smoke config, with five steps for three."""
    terminal.press("n")
    terminal.until(r"vfm › launch")
    terminal.until(r"configs/local_demo\.yaml")
    terminal.press("F2")
    terminal.press_until("Down", r"─ configs/local_smoke\.yaml ─")
    terminal.press("Enter")
    terminal.until(r"⏎ Edit")
    terminal.press("/")
    terminal.until(r"search keys")
    terminal.type("training.steps")
    terminal.until_gone(r"warmup")  # what does not match is not shown
    terminal.until(r"steps +3 +≡ file")
    terminal.press("Enter")
    terminal.until(r"⏎ Edit")
    terminal.press("5", "Enter")
    terminal.until(r"training\.steps 3 → 5")
    terminal.until(r"1 changed")


def launch(terminal: Tmux) -> str:
    """Launch; the run's screen comes by itself. Returns the run's id."""
    terminal.press("C-l")
    screen = terminal.until(r"vfm › run › \S+")
    found = re.search(r"vfm › run › (\S+)", screen)
    assert found
    return found[1]


def watch_it_begin(terminal: Tmux) -> None:
    """Phases come one by one, and lines of the log with them."""
    terminal.until(r"✓ image")
    terminal.until(r"● running")
    terminal.until(r"✓ prepare", WHOLE_RUN)
    terminal.until(r"Starting vLLM server", WHOLE_RUN)
    terminal.until(r"● vllm +\d", WHOLE_RUN)


def quit_and_return(terminal: Tmux, run_id: str) -> None:
    """The app says that the run goes on; started again, it shows it live."""
    terminal.press("C-q")
    terminal.until(rf"1 run goes on: {run_id}")
    terminal.until(rf"^{PROMPT.strip()}$")
    start(terminal)
    terminal.until(rf"● running +{run_id}")
    terminal.press("Enter")
    terminal.until(rf"vfm › run › {run_id}")
    terminal.until(r"● running")


def watch_it_end(terminal: Tmux, shell: Shell, run_id: str) -> None:
    """Charts fill as steps are made; in the end the run is done, on the screen and on record."""
    terminal.until(r"✓ vllm", WHOLE_RUN)
    terminal.press("2")
    terminal.until(r"\b[1-9]\d* charts\b", WHOLE_RUN)
    terminal.until(r"[⠁-⣿]", WHOLE_RUN)  # dots of a curve
    terminal.until(r"✓ done", WHOLE_RUN)
    terminal.until(r"5/5")
    assert shell.record(run_id)["status"] == "done"


def find_a_line(terminal: Tmux) -> None:
    """A line of the log, by a word in it."""
    terminal.press("1")
    terminal.until(r"f Follow")
    terminal.press("/")
    terminal.until_gone(r"f Follow")  # keys go to the filter now
    terminal.type("is ready after")
    terminal.until(r"builtin/tiny-random is ready after")
    terminal.until(r" 1 of \d+ lines")
    terminal.press("Enter")
    terminal.until(r"f Follow")


def fetch_the_checkpoint(terminal: Tmux, shell: Shell, run_id: str, folder: Path) -> None:
    """From the files of the run, into a folder; what arrives is what was there."""
    terminal.press("6")
    terminal.until(r"▸ checkpoints/")
    terminal.until(r"d Download")
    terminal.press("d")
    terminal.until(r"runs/\S+/checkpoints into")
    terminal.press("C-u")
    terminal.until(r"type a path")
    terminal.type(str(folder))
    terminal.until(r"does not exist yet")
    terminal.press("Enter")
    terminal.until(r"✓ downloaded")
    there = shell.run_dir(run_id) / "checkpoints"
    assert tree(folder / "checkpoints") == tree(there)
    assert any(name.endswith(".safetensors") for name in tree(there))


def tree(folder: Path) -> dict[str, str]:
    """Every file below a folder and its SHA-256."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

"""What a name contains is shown, never obeyed, and takes the cells that it is said to take."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from remote.contract.events import CheckpointEvent, FailureEvent, MetricsEvent, PhaseEvent
from tests.cli.conftest import Vfm, command
from tests.cli.terminal import Terminal
from tests.pilot.conftest import make_run, story

NASTY = "a\x1b[31mred\x1b]0;owned\x07\tb\x9b2J\u202ec\x85\u2028\udcff漢"
SHOWN = r"a\x1b[31mred\x1b]0;owned\x07\tb\x9b2J\u202ec\x85\u2028\udcff漢"
_OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
OUTPUTS = "verifiers-outputs-ann-tests"
EVERYWHERE: dict[str, Any] = {
    "environment": NASTY,
    "model": NASTY,
    "experimenter": NASTY,
    "experiment": NASTY,
    "config_path": NASTY,
    "git": {"revision": NASTY},
    "versions": {NASTY: NASTY},
    "status": "failed",
    "exit_code": 1,
    "failure": {
        "message": NASTY,
        "cause": NASTY,
        "boundary": NASTY,
        "hint": {"text": NASTY, "key": NASTY, "to": 1},
    },
}
EVENTS = [
    PhaseEvent(phase=NASTY, status="started", detail=None),
    MetricsEvent(step=1, values={NASTY: 1.0, "": 2.0}),
    CheckpointEvent(step=1, path=NASTY),
    FailureEvent(boundary=NASTY, cause=NASTY, message=NASTY, hint={"text": NASTY}),
]


def _is_shown(text: str) -> bool:
    """Records hold no halves of surrogates: a `?` stands for each."""
    return SHOWN in text or SHOWN.replace(r"\udcff", "?") in text


@pytest.fixture
def hostile(vfm: Vfm) -> Vfm:
    """A shell whose home holds a run with the same name for everything that has one."""
    make_run(vfm.home, "hostile-1", EVENTS, **EVERYWHERE)
    folder = vfm.home / "volumes" / OUTPUTS / "odd"
    folder.mkdir()
    (folder / NASTY.replace("/", "_")).write_text("x")
    return vfm


LOOKING = [
    ("runs",),
    ("show", "last"),
    ("logs", "last"),
    ("logs", "last", "--follow"),
    ("logs", "last", "--events"),
    ("metrics", "last"),
    ("metrics", "last", "--csv"),
    ("ls", f"{OUTPUTS}:odd"),
    ("compare", "last"),
    ("rm", "--yes", f"{OUTPUTS}:odd"),
]
JSON = [
    (*words, "--json")
    for words in LOOKING
    if words[0] in ("runs", "show", "metrics", "ls") and len(words) < 3
]


@pytest.mark.parametrize("words", [*LOOKING, *JSON], ids=" ".join)
def test_nothing_of_a_name_is_obeyed(hostile: Vfm, words: tuple[str, ...]) -> None:
    done = hostile(*words, FORCE_COLOR="1")
    assert "error: unexpected" not in done.stderr
    text = done.stdout + done.stderr
    assert not _OBEYED.search(text)
    if words in JSON:
        json.loads(done.stdout)
    elif words[0] not in ("rm", "compare") and "--events" not in words:
        assert _is_shown(text)


def test_a_terminal_gets_no_more_than_a_pipe(hostile: Vfm) -> None:
    for words in (("runs",), ("show", "last"), ("ls", f"{OUTPUTS}:odd"), ("metrics", "last")):
        terminal = Terminal([*command(), *words], hostile.folder, hostile.env("", {}), size=(400, 30))
        try:
            terminal.wait_end()
        finally:
            terminal.close()
        written = terminal.written.decode().replace("\r\n", "\n")
        assert not _OBEYED.search(written)
        assert _is_shown(written)


def test_an_empty_metric_name_is_shown_as_none(hostile: Vfm) -> None:
    assert "(no name) 2\n" in hostile("show", "last").stdout
    assert "(no name)" in hostile("metrics", "last").stdout


def test_columns_are_counted_in_cells(vfm: Vfm) -> None:
    make_run(vfm.home, "wide-1", environment="漢字環境", model="模型" * 12)
    make_run(vfm.home, "plain-1", environment="plain", model="m")
    head, *rows = vfm("runs").stdout.splitlines()
    starts = {cell_len(row[: row.index("20")]) for row in rows}
    assert starts == {cell_len(head[: head.index("CREATED")])}


def test_a_table_is_no_wider_than_its_terminal(vfm: Vfm) -> None:
    make_run(vfm.home, "wide-1", story(1, 2), environment="漢字環境" * 9, model="org/模型" * 30)
    for columns in (80, 120):
        terminal = Terminal([*command(), "runs"], vfm.folder, vfm.env("", {}), size=(columns, 30))
        try:
            assert terminal.wait_end() == 0
        finally:
            terminal.close()
        rows = terminal.written.decode().split("\r\n")
        assert max(map(cell_len, rows)) <= columns
        assert any("…" in row for row in rows)
    assert "org/模型" * 30 in vfm("runs").stdout  # a pipe gets it whole


@pytest.mark.parametrize(
    ("asked", "coloured"),
    [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)],
)
def test_colours_go_to_who_wants_them(
    used: Vfm, asked: dict[str, str], coloured: bool, tmp_path: Path
) -> None:
    assert ("\x1b[31mred" in used("logs", "last", **asked).stdout) == coloured


@pytest.mark.parametrize(("asked", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_a_terminal_gets_the_colours_of_log_lines(used: Vfm, asked: dict[str, str], coloured: bool) -> None:
    terminal = Terminal([*command(), "logs", "last"], used.folder, used.env("", asked))
    try:
        assert terminal.wait_end() == 0
    finally:
        terminal.close()
    assert (b"\x1b[31mred" in terminal.written) == coloured

"""A damaged or hostile run is told of, its output shown as far as it is there, and it hides no other run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click import ClickException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from remote.contract import events as ev
from remote.contract import layout
from tests.cli.conftest import ROOT, Vfm
from tests.pilot.conftest import make_run, story
from tui.cli import exit_codes
from tui.cli.commands import vfm as command

_OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_DEEP = '{"a":' * 3000 + "1" + "}" * 3000
EVENTS: list[ev.Event] = [
    *story(3, 5),
    ev.CheckpointEvent(step=3, path="checkpoints/c", score=0.5, best=True),
    ev.SystemEvent(values={"cpu_percent": 3.0}),
    ev.RolloutEvent(
        step=1, task="t", messages=[{"role": "user", "content": "x"}], rewards={"a": 1.0}, reward=0.5
    ),
    ev.MetricsEvent(step=4, values={"eval/total": 0.3, "eval/standard_error": 0.1, "eval/episodes": 10.0}),
    ev.ProgressEvent(done=3, total=9, what="episodes"),
    ev.AttemptEvent(number=2, why="lost"),
    ev.FailureEvent(
        boundary="vllm", cause="c", message="m", hint={"text": "t", "key": "a.b", "from": 1, "to": 2}
    ),
]
FAILED: dict[str, Any] = {
    "status": "failed",
    "failure": {"boundary": "b", "message": "m", "cause": "c", "hint": {"text": "t", "key": "a.b", "to": 2}},
    "attempts": [{"started": 1.0, "ended": 2.0, "why": "lost"}],
    "usd_per_hour": 1.0,
}


# --- one run that is damaged, in processes ----------------------------------------------------------


DAMAGES: dict[str, Callable[[str], str]] = {
    "torn": lambda text: text[: len(text) // 2],
    "empty": lambda text: "",
    "deep": lambda text: _DEEP,
    "an unknown status": lambda text: text.replace('"done"', '"dreaming"'),
    "huge": lambda text: text + " " * (8 << 20),
    "no time": lambda text: re.sub(r'"created": [^,]+', '"created": "yesterday"', text),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_record_is_told_of_and_its_output_shown(vfm: Vfm, damage: Callable[[str], str]) -> None:
    run_dir = make_run(vfm.home, "bad-1", [*story(3, 3)])
    make_run(vfm.home, "good-1", story(1, 1))
    with (run_dir / layout.STREAM).open("a") as stream:
        stream.write("[train] its last words\n")
    record = run_dir / layout.RECORD
    record.write_text(damage(record.read_text()))
    listed = vfm("runs")
    assert "good-1" in listed.stdout
    assert f"{record} is damaged" in listed.stderr
    for text in ("bad-1", "bad"):
        shown = vfm("show", text)
        assert shown.returncode == 1
        assert f"{record} is damaged" in shown.stderr
        assert "vfm logs bad-1" in shown.stderr
    logs = vfm("logs", "bad-1")
    assert (logs.returncode, "is damaged" in logs.stderr) == (0, True)
    assert "[train] its last words" in logs.stdout
    assert len(json.loads(vfm("metrics", "bad-1", "--json").stdout)) == 3
    assert vfm("show", "last").stdout.startswith("run:         good-1")


def test_a_run_without_a_record_is_told_of(vfm: Vfm) -> None:
    run_dir = make_run(vfm.home, "bad-1", [*story(3, 3)])
    (run_dir / layout.RECORD).unlink()
    (run_dir.parent / "a-folder-of-mine").mkdir()
    listed = vfm("runs").stderr
    assert f"there is no record at {run_dir / layout.RECORD}" in listed
    assert "a-folder-of-mine" not in listed
    shown = vfm("show", "bad-1")
    assert shown.returncode == 1
    assert "vfm logs bad-1" in shown.stderr
    assert len(json.loads(vfm("metrics", "bad-1", "--json").stdout)) == 3


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo], ids=["a folder", "a pipe"])
def test_a_run_without_its_output_is_shown_as_far_as_it_is_known(
    vfm: Vfm, make: Callable[[Path], None]
) -> None:
    run_dir = make_run(vfm.home, "bad-1", [*story(3, 3)])
    (run_dir / layout.STREAM).unlink()
    make(run_dir / layout.STREAM)
    shown = vfm("show", "bad-1")
    assert (shown.returncode, "step:        3 of 3" in shown.stdout) == (0, True)
    assert len(json.loads(vfm("metrics", "bad-1", "--json").stdout)) == 3
    assert f"cannot read {run_dir / layout.STREAM}: it is no plain file" in vfm("logs", "bad-1").stderr


@pytest.mark.parametrize("name", [layout.STREAM, layout.REQUEST, layout.CHECKPOINTS, layout.ROLLOUTS])
def test_a_run_with_something_else_in_its_way_is_not_resumed(vfm: Vfm, name: str) -> None:
    """It is said before anything is changed or started."""
    assert vfm.launch(script="saved:1/3 exit:1").returncode == 1
    run_id = json.loads(vfm("runs", "--json").stdout)[0]["run_id"]
    path = next(vfm.home.glob(f"volumes/*/runs/{run_id}")) / name
    is_file = path.is_file()
    path.rename(vfm.folder / "aside") if path.exists() else None
    path.mkdir() if is_file else path.write_text("mine")
    refused = vfm("resume", run_id)
    assert refused.returncode in (1, 2)
    assert f"runs/{run_id}/{name}" in refused.stderr
    assert "unexpected" not in refused.stderr
    assert [run["status"] for run in json.loads(vfm("runs", "--json").stdout)] == ["failed"]


@pytest.mark.parametrize("name", [layout.RECORD, layout.SPEC, layout.EVENTS, layout.STREAM])
def test_a_pipe_in_a_files_place_is_not_waited_for(vfm: Vfm, name: str) -> None:
    run_dir = make_run(vfm.home, "bad-1", story(3, 3))
    make_run(vfm.home, "good-1", story(1, 1))
    (run_dir / name).unlink()
    os.mkfifo(run_dir / name)
    assert "good-1" in vfm("runs").stdout
    for words in (
        ("show", "bad-1"),
        ("logs", "bad-1"),
        ("metrics", "bad-1"),
        ("rerun", "bad-1", "--dry-run"),
    ):
        vfm(*words)  # each ends
    assert vfm("show", "good-1").returncode == 0


@pytest.mark.parametrize("spec", ["[1]", _DEEP, '{"spec": {"new": 1}}', "{"])
def test_a_spec_that_cannot_be_read_is_told_of(vfm: Vfm, spec: str) -> None:
    run_dir = make_run(vfm.home, "bad-1", story(3, 3))
    (run_dir / layout.SPEC).write_text(spec)
    assert vfm("show", "bad-1").returncode == 0
    again = vfm("rerun", "bad-1", "--detach")
    assert again.returncode == 2
    assert "spec.json is damaged" in again.stderr
    compared = vfm("compare", "bad-1", "bad-1")
    assert compared.returncode == 2


# --- whatever a run holds, in this process ----------------------------------------------------------

_ODD: list[Any] = [
    *(None, True, 0, -1, 1e300, -1e300, float("nan"), float("inf"), 10**400, 2**63, 0.5, "", "x", "\x1b[31m"),
    *(
        "\udcff",
        "\u202e",
        "a" * 5000,
        "1e5",
        "\n",
        "é漢",
        "running",
        "failed",
        "evaluate",
        "../..",
        [],
        {},
        [1],
    ),
    *({"": 1}, {"a": {"b": [None]}}, {"text": 1}, {"text": {}, "key": [], "to": {}}, {"key": "a", "to": [1]}),
]


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """A JSON document of which one part is another."""
    document = deepcopy(document)
    parent = document
    while True:
        key = draw(st.sampled_from(sorted(parent) if isinstance(parent, dict) else range(len(parent))))
        if isinstance(parent[key], dict | list) and parent[key] and draw(st.booleans()):
            parent = parent[key]
            continue
        if draw(st.integers(0, 9)) == 0:
            del parent[key]
        else:
            parent[key] = draw(st.sampled_from(_ODD))
        return document


def _commands(name: str) -> list[tuple[str, ...]]:
    more = [("show", name, "--json"), ("logs", name), ("logs", name, "--events"), ("metrics", name)]
    csv = ("metrics", name, "--csv")
    return [
        ("runs",),
        ("runs", "--json"),
        ("show", name),
        *more,
        csv,
        ("metrics", name, "--json"),
        ("compare", name),
    ]


def _looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    for words in _commands("bad-1"):
        try:
            code = command.main(list(words), prog_name="vfm", standalone_mode=False)
        except ClickException:
            code = 2
        except Exception as error:
            code = exit_codes.report(error)
            said = capsys.readouterr()
            assert "error: unexpected" not in said.err, (words, said.err)
            assert not _OBEYED.search(said.err)
            continue
        said = capsys.readouterr()
        assert not _OBEYED.search(said.out + said.err), words
        if "--json" in words:
            json.loads(said.out, parse_constant=_refused)
        if words[0] == "runs":
            assert "good-1" in said.out
        assert code in (0, 1, 2), words


def _refused(word: str) -> None:
    raise AssertionError(f"{word} is no JSON")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with a good run, that commands of this process look at."""
    monkeypatch.setenv("VFM_HOME", str(tmp_path))
    monkeypatch.setenv("VFM_PROJECT", str(ROOT))
    make_run(tmp_path, "good-1", story(2, 2))
    make_run(tmp_path, "bad-1", EVENTS, **FAILED)
    return tmp_path


def _bad(home: Path) -> Path:
    return next(home.glob("volumes/*/runs/bad-1"))


_SLOW = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@_SLOW
@given(data=st.data())
def test_no_record_ends_a_command(
    home: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject
) -> None:
    path = _bad(home) / layout.RECORD
    whole = path.read_text()
    try:
        document = data.draw(changed(json.loads(whole)))
        # Where it says that it is another backend's, it is asked there: Modal's is not to be asked here.
        path.write_text(json.dumps({**document, "backend": "local"}))
        _looked_at(capsys)
    finally:
        path.write_text(whole)


@_SLOW
@given(data=st.data())
def test_no_event_ends_a_command(home: Path, capsys: pytest.CaptureFixture[str], data: st.DataObject) -> None:
    path = _bad(home) / layout.STREAM
    whole = path.read_text()
    lines = whole.removesuffix("\n").split("\n")
    try:
        for at in data.draw(st.lists(st.integers(0, len(lines) - 1), min_size=1, max_size=4, unique=True)):
            lines[at] = "\x1e" + json.dumps(
                data.draw(changed(json.loads(lines[at][1:]))), separators=(",", ":")
            )
        path.write_text("".join(f"{line}\n" for line in lines))
        _looked_at(capsys)
    finally:
        path.write_text(whole)


@_SLOW
@given(
    junk=st.binary() | st.sampled_from([_DEEP.encode(), b"\x1e" + _DEEP.encode(), b"\x1e{", b"\r" * 9]),
    at=st.integers(0),
)
def test_no_bytes_in_a_stream_end_a_command(
    home: Path, capsys: pytest.CaptureFixture[str], junk: bytes, at: int
) -> None:
    path = _bad(home) / layout.STREAM
    whole = path.read_bytes()
    at %= len(whole)
    try:
        path.write_bytes(whole[:at] + junk + whole[at:])
        _looked_at(capsys)
    finally:
        path.write_bytes(whole)

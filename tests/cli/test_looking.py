"""Commands that look at what has run: their shapes, and their words."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Vfm

OUTPUTS = "verifiers-outputs-ada-cli"


def _run_id(vfm: Vfm) -> str:
    return str(json.loads(vfm("runs", "--json").stdout)[0]["run_id"])


def test_runs_lists_records(used: Vfm) -> None:
    [record] = json.loads(used("runs", "--json").stdout)
    assert (record["status"], record["exit_code"], record["backend"]) == ("done", 0, "local")
    table = used("runs").stdout.splitlines()
    assert len(table) == 2
    assert table[1].split()[:3] == [record["run_id"], "done", "train"]


def test_a_run_is_meant_by_id_prefix_and_last(used: Vfm) -> None:
    run_id = _run_id(used)
    shown = [json.loads(used("show", name, "--json").stdout) for name in (run_id, run_id[:3], "last")]
    assert [show["run_id"] for show in shown] == [run_id] * 3
    state = shown[0]["state"]
    assert (state["step"], state["total_steps"], state["metrics"]) == (3, 3, {"reward": 0.3})
    assert [phase["phase"] for phase in state["phases"]] == ["image", "train"]
    saved = {"step": 3, "path": "checkpoints/final", "score": None, "best": False}
    assert (state["checkpoints"], state["scores"]) == ([saved], [])


def test_show_tells_people_the_same(used: Vfm) -> None:
    text = used("show", "last").stdout
    for part in ("status:      done", "step:        3 of 3", "reward 0.3", f"vfm get {OUTPUTS}:runs/"):
        assert part in text


def test_logs_hold_each_line_once_and_are_never_obeyed(used: Vfm) -> None:
    text = used("logs", "last", FORCE_COLOR="1").stdout
    assert text.count("[train] line 0\n") == text.count("[train] line 1\n") == 1
    assert "[vllm] \\x1b]0;owned\\x07\x1b[31mred\x1b[0m\n" in text


def test_logs_of_one_source(used: Vfm) -> None:
    assert used("logs", "last", "--source", "train").stdout == "[train] line 0\n[train] line 1\n"
    assert used("logs", "last", "--source", "env").stdout == ""


def test_logs_as_events(used: Vfm) -> None:
    lines = used("logs", "last", "--events").stdout.splitlines()
    [on_file] = used.home.glob("volumes/*/runs/*/events.jsonl")
    assert [json.loads(line) for line in lines] == [
        json.loads(line) for line in on_file.read_text().splitlines()
    ]


def test_metrics_in_three_forms(used: Vfm) -> None:
    steps = json.loads(used("metrics", "last", "--json").stdout)
    assert steps == [{"step": n, "values": {"reward": n / 10}} for n in (1, 2, 3)]
    rows = list(csv.DictReader(io.StringIO(used("metrics", "last", "--csv").stdout)))
    assert [(row["step"], row["reward"]) for row in rows] == [("1", "0.1"), ("2", "0.2"), ("3", "0.3")]
    assert used("metrics", "last").stdout.split() == ["STEP", "reward", "1", "0.1", "2", "0.2", "3", "0.3"]


def test_volumes_and_what_is_in_them(used: Vfm) -> None:
    names = [volume["name"] for volume in json.loads(used("volumes", "--json").stdout)]
    assert names == ["verifiers-cache-ada-cli", OUTPUTS]
    run_id = _run_id(used)
    entries = json.loads(used("ls", f"{OUTPUTS}:runs/{run_id}", "--json").stdout)
    assert {"record.json", "events.jsonl", "logs"} <= {Path(entry["path"]).name for entry in entries}
    assert f"runs/{run_id}/\n" in used("ls", f"{OUTPUTS}:runs").stdout


def test_get_copies_a_run_and_skips_what_is_there(used: Vfm, tmp_path: Path) -> None:
    run_id = _run_id(used)
    where, dest = f"{OUTPUTS}:runs/{run_id}", tmp_path / "copy"
    assert used("get", where, str(dest)).returncode == 0
    [original] = used.home.glob("volumes/*/runs/*/events.jsonl")
    assert (dest / run_id / "events.jsonl").read_bytes() == original.read_bytes()
    again = used("get", where, str(dest))
    assert again.returncode == 0
    assert "were there already" in again.stderr


def test_cancelling_a_run_that_is_over_says_so(used: Vfm) -> None:
    done = used("cancel", "last")
    assert (done.returncode, done.stdout) == (0, "")
    assert "is over already: done" in done.stderr


def test_cancel_stops_a_run(vfm: Vfm) -> None:
    vfm.launch("--detach", script=f"polite touch:{vfm.folder}/ready lines:1 wait:{vfm.folder}/never")
    follower = vfm.start("logs", "last", "--follow")
    from tests.cli.conftest import wait_for

    wait_for(follower, "line 0")
    assert vfm("cancel", "last").returncode == 0
    out, err = follower.communicate(timeout=60)
    assert follower.returncode == 1
    assert "cancelled" in err
    assert "saved" in out
    assert json.loads(vfm("show", "last", "--json").stdout)["status"] == "cancelled"


def test_a_run_that_hangs_is_ended_at_once(vfm: Vfm) -> None:
    vfm.launch("--detach", script=f"stubborn touch:{vfm.folder}/ready lines:1 wait:{vfm.folder}/never")
    follower = vfm.start("logs", "last", "--follow")
    from tests.cli.conftest import wait_for

    wait_for(follower, "line 0")
    done = vfm("cancel", "last", "--now")
    assert done.returncode == 0
    assert done.stderr.strip().endswith(": cancelled.")
    follower.communicate(timeout=60)
    assert follower.returncode == 1
    assert json.loads(vfm("show", "last", "--json").stdout)["status"] == "cancelled"


def test_the_page_of_a_run_is_shown(used: Vfm) -> None:
    [path] = used.home.glob("volumes/*/runs/*/record.json")
    record = json.loads(path.read_text())
    page = "https://modal.com/id/ap-x"
    path.write_text(json.dumps({**record, "identifiers": {**record["identifiers"], "page": page}}))
    assert f"page:        {page}\n" in used("show", "last").stdout


@pytest.mark.parametrize(
    "args",
    [("show", "nosuch"), ("logs", "nosuch"), ("metrics", "nosuch"), ("cancel", "nosuch"), ("ls", "nosuch:x")],
)
def test_an_unknown_name_is_bad_usage_and_names_the_nearest(used: Vfm, args: tuple[str, ...]) -> None:
    done = used(*args)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nosuch" in done.stderr
    assert "hint:" in done.stderr


def test_a_missing_path_is_bad_usage(used: Vfm, tmp_path: Path) -> None:
    done = used("get", f"{OUTPUTS}:runs/nosuch", str(tmp_path / "x"))
    assert done.returncode == 2
    assert "nosuch" in done.stderr


def test_nothing_has_run_yet(vfm: Vfm) -> None:
    assert json.loads(vfm("runs", "--json").stdout) == []
    done = vfm("show", "last")
    assert done.returncode == 2
    assert "vfm launch CONFIG" in done.stderr


VALUES = '{"loss":NaN,"kl":-Infinity,"a":0.5}'
DIVERGED = rf'raw:\x1e{{"v":1,"seq":900,"t":1,"type":"metrics","step":1,"values":{VALUES}}}\n'


def test_numbers_that_are_none_are_null_in_json(vfm: Vfm) -> None:
    def refused(word: str) -> object:
        raise AssertionError(f"{word} is no JSON")

    assert vfm.launch(script=f"{DIVERGED} end:done").returncode == 0
    [step] = json.loads(vfm("metrics", "last", "--json").stdout, parse_constant=refused)
    assert step == {"step": 1, "values": {"loss": None, "kl": None, "a": 0.5}}
    state = json.loads(vfm("show", "last", "--json").stdout, parse_constant=refused)["state"]
    assert state["metrics"] == step["values"]
    events = [
        json.loads(line, parse_constant=refused)
        for line in vfm("logs", "last", "--events").stdout.splitlines()
    ]
    assert [event["values"] for event in events if event["type"] == "metrics"] == [step["values"]]

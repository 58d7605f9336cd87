"""`vfm launch`: what it prints, for whom, and the code that it exits with."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import Vfm


def test_a_run_is_told_to_people_without_any_json(vfm: Vfm) -> None:
    done = vfm.launch(script="lines:2 steps:3 end:done")
    assert done.returncode == 0
    assert "[train] line 0\n[train] line 1\n" in done.stdout
    assert "▶ train\nstep 1/3 reward 0.1\n" in done.stdout.replace("step 1 ", "step 1/3 ")
    assert "{" not in done.stdout
    assert "\x1e" not in done.stdout
    run_id = _only_run(vfm)
    assert f"vfm get verifiers-outputs-ada-cli:runs/{run_id} ." in done.stderr


def test_json_prints_the_events_of_the_run_and_nothing_else(vfm: Vfm) -> None:
    done = vfm.launch("--json", script="lines:2 steps:2 end:done")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    [on_file] = vfm.home.glob("volumes/*/runs/*/events.jsonl")
    assert events == [json.loads(line) for line in on_file.read_text().splitlines()]
    assert [event["seq"] for event in events] == list(range(len(events)))
    assert events[-1] == {**events[-1], "v": 1, "type": "end", "status": "done", "exit_code": 0}


def test_a_failed_run_exits_with_1_and_says_what_mends_it_first(vfm: Vfm) -> None:
    script = f"polite lines:1 wait:{vfm.folder}/never"
    done = vfm("launch", str(vfm.config), "--set", "training.steps=5", script=script, VFM_TIMEOUT="0.3")
    assert done.returncode == 1
    message, hint, command = (done.stderr.index(part) for part in ("error: ", "  hint:", "  try:"))
    assert message < hint < command < done.stderr.index("Its outputs are in")
    again = f"vfm launch {vfm.config} --backend local --set training.steps=5 --set modal.timeout="
    assert f"  try:   {again}" in done.stderr
    assert "modal.timeout" in vfm("show", "last").stdout
    assert vfm("logs", "last", "--follow").returncode == 1


def test_a_failure_of_the_worker_is_told_after_its_log(vfm: Vfm) -> None:
    done = vfm.launch(script="failure:boom exit:1")
    assert done.returncode == 1
    assert done.stderr.index("error: boom") < done.stderr.index("Its outputs are in")


def test_detach_prints_the_run_id_alone(vfm: Vfm) -> None:
    done = vfm.launch("--detach", script="steps:1 end:done")
    assert done.returncode == 0
    assert done.stdout == _only_run(vfm) + "\n"
    assert vfm("logs", done.stdout.strip(), "--follow").returncode == 0


def test_detach_json_is_the_record(vfm: Vfm) -> None:
    done = vfm.launch("--detach", "--json", script="end:done")
    record = json.loads(done.stdout)
    assert (record["run_id"], record["environment"]) == (_only_run(vfm), "vf_wordle")
    vfm("logs", "last", "--follow")


def test_a_dry_run_shows_the_plan_and_runs_nothing(vfm: Vfm) -> None:
    done = vfm.launch("--dry-run", "--set", "training.steps=9", script="")
    assert done.returncode == 0
    assert "training.steps: 3 → 9" in done.stdout
    assert "small.yaml:2" in done.stdout
    assert "verifiers-outputs-ada-cli" in done.stdout
    assert "--set training.steps=9" in done.stdout
    assert not list(vfm.home.glob("volumes/*"))


def test_without_a_config_there_are_the_defaults(vfm: Vfm) -> None:
    done = vfm("launch", "--set", "training.steps=5", "--dry-run", "--json")
    plan = json.loads(done.stdout)
    assert (plan["config_path"], plan["spec"]["training"]["steps"]) == (None, 5)
    assert plan["command"] == "vfm launch --backend local --set training.steps=5"


def test_a_dry_run_as_json(vfm: Vfm) -> None:
    plan = json.loads(vfm.launch("--dry-run", "--json", "--set", "training.steps=9", script="").stdout)
    assert plan["spec"]["training"]["steps"] == 9
    assert plan["provenance"]["training.steps"] == {"layer": "set", "where": "--set training.steps=9"}
    assert plan["difference"] == [{"key": "training.steps", "from": 3, "to": 9}]
    assert plan["volumes"] == ["verifiers-outputs-ada-cli", "verifiers-cache-ada-cli"]


def test_a_dry_run_on_modal_says_its_price(vfm: Vfm) -> None:
    words = ("--backend", "modal", "--dry-run", "--set", "modal.gpu.type=H100", "--set", "budget.max_usd=2.5")
    refused = vfm.launch(*words, script="")
    assert refused.returncode == 2
    assert f"there is no {vfm.project / '.env'}" in refused.stderr
    assert "cp .env.example .env" in refused.stderr
    (vfm.project / ".env").write_text("HF_TOKEN=\n")
    told = vfm.launch(*words, script="").stdout
    assert "1 × H100, 8 cores, 32 GiB" in told
    assert "$4.58 an hour, at most $2.50, by its budget" in told
    plan = json.loads(vfm.launch(*words, "--json", script="").stdout)
    price = plan["price"]
    assert (price["usd_at_most"], price["budget_usd"], price["attempts"]) == (2.5, 2.5, 4)
    assert plan["usd_per_hour"] == pytest.approx(price["usd_per_hour"], abs=0.0001)
    assert price["usd_without_budget"] == pytest.approx(4 * 4 * plan["usd_per_hour"], abs=0.01)


def test_a_secret_reaches_the_worker_and_no_output(vfm: Vfm) -> None:
    (vfm.project / ".env").write_text("WANDB_API_KEY=hush-hush\n")
    seen = vfm.folder / "seen"
    done = vfm.launch(script=f"env:WANDB_API_KEY={seen} end:done")
    assert seen.read_text() == "hush-hush"
    assert "hush-hush" not in done.stdout + done.stderr
    files = [path for path in vfm.home.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"hush-hush" in path.read_bytes()]


def _only_run(vfm: Vfm) -> str:
    [record] = vfm.home.glob("volumes/*/runs/*/record.json")
    return record.parent.name

"""The whole story on Modal but for its machines: real training, real vLLM, Modal's own container entry point.

The run is launched by the real `vfm` through the real client, and served by the cloud of `tests/modal/cloud`;
its container is a process here, whose worker runs with the local image's Python, on this machine's CPU.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.local.conftest import DEADLINE, ROOT, SMOKE_RUN, Shell, layout_of
from tests.modal.cloud import Cloud
from tests.waiting import block_until

pytestmark = pytest.mark.local

LAUNCH = ("launch", "configs/local_smoke.yaml", "--backend", "modal")
BANNERS = (
    "🚀 Starting Verifiers RL training",
    "📦 Installing verifiers...",
    "🌐 Starting vLLM server",
    "🏃 Starting GRPO",
)


@pytest.fixture
def cloud(tmp_path: Path, shell: Shell) -> Iterator[Cloud]:
    """A cloud whose containers have the training stack, and a project with a `.env` for it."""
    project = tmp_path / "project"
    project.mkdir()
    for name in ("remote", "configs", "environments", "examples", "run_modal.py"):
        (project / name).symlink_to(ROOT / name)
    (project / ".env").write_text("EXPERIMENTER=ada\nEXPERIMENT_NAME=story\n")
    shell.project = project
    with Cloud(tmp_path / "cloud") as made:
        made.container_env["VFM_IMAGE_PYTHON"] = (ROOT / ".venv" / ".image").read_text().strip()
        yield made


def test_a_run_on_modal_from_launch_to_download(shell: Shell, cloud: Cloud, tmp_path: Path) -> None:
    elsewhere = Shell(tmp_path / "another machine", shell.project)
    launcher = shell.start(*LAUNCH, **cloud.env)
    block_until(
        lambda: has_said(cloud, "🌐 Starting vLLM server") or launcher.poll() is not None,
        "the server",
        seconds=DEADLINE,
    )
    assert launcher.poll() is None, launcher.communicate()
    run_id = next(cloud.volumes_dir.glob("*/runs/*")).name
    joined = elsewhere("logs", run_id, "--follow", **cloud.env)
    followed, told = launcher.communicate(timeout=60)
    assert launcher.returncode == joined.returncode == 0, told + joined.stderr
    run = cloud.volumes_dir / "verifiers-outputs-ada-story" / "runs" / run_id
    check_lines(run, followed, joined.stdout)
    check_run(run)
    assert elsewhere("cancel", run_id, **cloud.env).stderr == f"Run {run_id} is over already: done.\n"
    fetched = elsewhere(
        "get", f"verifiers-outputs-ada-story:runs/{run_id}", str(tmp_path / "out"), **cloud.env
    )
    assert fetched.returncode == 0, fetched.stderr
    assert contents(tmp_path / "out" / run_id) == contents(run)
    assert layout_of(run) == SMOKE_RUN
    check_evaluation(elsewhere, cloud, run)
    assert all(app.done for app in cloud.apps.values())
    assert all(one.ended for one in cloud.containers.values())


def check_evaluation(shell: Shell, cloud: Cloud, trained: Path) -> None:
    """What the training saved is scored where it lies, asked for with the run's name alone."""
    sets = ("--set", "evaluation.num_examples=2")
    done = shell("launch", "--checkpoint", trained.name, *sets, **cloud.env)
    assert done.returncode == 0, done.stderr
    (run,) = set(trained.parent.iterdir()) - {trained}
    record = json.loads((run / "record.json").read_text())
    assert (record["kind"], record["backend"], record["status"]) == ("evaluate", "modal", "done")
    assert json.loads((run / "evaluation" / "summary.json").read_text())["eval/episodes"] == 2
    assert f"{trained.name}/checkpoints/" in (run / "request.json").read_text()
    assert "merging the adapter of " in done.stdout


def has_said(cloud: Cloud, words: str) -> bool:
    """Whether a container has printed that."""
    return any(words in app.log.text for app in list(cloud.apps.values()))


def check_lines(run: Path, *watched: str) -> None:
    """Both watchers saw every line of the stream once, whenever they came."""
    said = (run / "logs/stream.log").read_text().split("\n")
    lines = [line.rstrip() for line in said if line.startswith("[")]
    for out in watched:
        assert [line.rstrip() for line in out.split("\n") if line.startswith("[")] == lines
    for banner in BANNERS:
        assert any(line.startswith(banner) for line in said), banner


def check_run(run: Path) -> None:
    """One attempt, every phase, every step, and the weights in step with the server's."""
    record: dict[str, Any] = json.loads((run / "record.json").read_text())
    assert (record["status"], record["exit_code"], record["backend"]) == ("done", 0, "modal")
    assert [attempt["why"] for attempt in record["attempts"]] == ["done"]
    assert record["versions"]["trl"]
    events = [json.loads(line) for line in (run / "events.jsonl").read_text().splitlines()]
    assert [event["seq"] for event in events] == list(range(len(events)))
    done = {e["phase"] for e in events if e["type"] == "phase" and e["status"] == "done"}
    assert done == {"image", "prepare", "vllm", "train", "save", "finish"}
    steps = [e for e in events if e["type"] == "metrics" and e["step"] > 0]
    assert {e["step"] for e in steps} == {1, 2, 3}
    gaps = [e["values"]["sync/logp_difference"] for e in steps if "sync/logp_difference" in e["values"]]
    assert gaps
    assert max(gaps) < 1e-3


def contents(folder: Path) -> dict[str, str]:
    """Every file below a folder and its SHA-256."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}

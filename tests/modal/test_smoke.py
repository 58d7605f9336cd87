"""`make smoke-modal` on the tests' cloud: it asks first, its checks hold, and one that does not is named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from grpclib import Status

from tests.modal.cloud import Cloud

ROOT = Path(__file__).parents[2]
DEADLINE = 200.0
# Two steps for the first run; a run of many steps goes on until it is told to stop.
WORKER = """
import os, sys
from pathlib import Path
from remote.contract.record import LaunchRequest
steps = LaunchRequest.model_validate_json(Path(sys.argv[1]).read_bytes()).spec.training.steps
os.environ["VFM_SCRIPT"] = {script!r} if steps == 2 else "polite steps:2 lines:1 wait:/never"
os.execv(sys.executable, [sys.executable, {scripted!r}, *sys.argv[1:]])
"""


def smoke(
    cloud: Cloud, folder: Path, script: str, *words: str, answer: str = ""
) -> subprocess.CompletedProcess[str]:
    """The program, in a project whose workers are scripted."""
    project = folder / "project"
    project.mkdir(parents=True)
    for name in ("remote", "configs", "environments", "examples", "run_modal.py"):
        (project / name).symlink_to(ROOT / name)
    scripted = str(ROOT / "tests/backends/scripted_worker.py")
    (project / "worker.py").write_text(WORKER.format(script=script, scripted=scripted))
    lines = {"EXPERIMENTER": "ann", "VFM_WORKER": f"{sys.executable} {project}/worker.py"}
    (project / ".env").write_text("".join(f"{name}='{value}'\n" for name, value in lines.items()))
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    cloud.container_env["VFM_IMAGE_PYTHON"] = sys.executable
    return subprocess.run(
        [sys.executable, "-m", "tests.modal.smoke", *words],
        input=answer,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**kept, **cloud.env, "VFM_HOME": str(folder / "home"), "VFM_PROJECT": str(project)},
        timeout=DEADLINE,
        check=False,
    )


def test_the_smallest_job_is_launched_rejoined_fetched_and_another_stopped(
    cloud: Cloud, tmp_path: Path
) -> None:
    done = smoke(cloud, tmp_path, "lines:3 steps:2 lines:2 end:done", "--yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Two runs on a T4 at about $0." in done.stdout
    assert done.stdout.count("✓") == 5
    assert "Modal works from launch to download." in done.stdout
    assert [call.function.gpu for call in cloud.calls.values()] == ["T4:1", "T4:1"]
    assert all(call.inputs[0].output is not None for call in cloud.calls.values())


def test_nothing_starts_without_a_yes(cloud: Cloud, tmp_path: Path) -> None:
    done = smoke(cloud, tmp_path, "end:done", answer="\n")
    assert done.returncode == 1
    assert "Nothing was started." in done.stdout
    assert not cloud.apps


def test_a_check_that_does_not_hold_is_told(cloud: Cloud, tmp_path: Path) -> None:
    cloud.faults.errors["FunctionMap"] = Status.UNAVAILABLE
    done = smoke(cloud, tmp_path, "end:done", "--yes")
    assert done.returncode == 1
    assert "✗ run" in done.stdout
    assert "ended before it trained" in done.stdout

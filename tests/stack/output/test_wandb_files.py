"""What Weights & Biases leaves in a run's directory can be downloaded, whatever links it plants there."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tui.backends.local.volumes import LocalVolumes

pytestmark = pytest.mark.stack

VOLUME = "verifiers-outputs-ada-wandb"
REPORT = """
import sys, wandb
run = wandb.init(mode="offline", dir=sys.argv[1], project="p")
run.log({"loss": 1.0})
run.finish()
"""


async def test_a_report_that_was_written_offline_is_downloaded(tmp_path: Path) -> None:
    run = tmp_path / "home/volumes" / VOLUME / "runs/r1"
    run.mkdir(parents=True)
    (run / "record.json").write_text("{}")
    subprocess.run([sys.executable, "-c", REPORT, str(run)], check=True, capture_output=True)
    planted = [path for path in run.rglob("*") if path.is_symlink()]
    assert planted, "wandb plants links that leave the run"
    done = await LocalVolumes(tmp_path / "home").download(VOLUME, "runs/r1", tmp_path / "out")
    arrived = tmp_path / "out/r1"
    files = [path.relative_to(run) for path in run.rglob("*") if path.is_file() and not path.is_symlink()]
    assert [path for path in files if (arrived / path).read_bytes() != (run / path).read_bytes()] == []
    assert any(path.suffix == ".wandb" for path in files)
    assert any(one.path.endswith("debug-core.log") for one in done.left_out)

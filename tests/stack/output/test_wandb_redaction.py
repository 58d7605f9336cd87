"""What the real client of Weights & Biases writes of a run holds no secret."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.stack.conftest import PROJECT

pytestmark = pytest.mark.stack

SECRET = "canary0123456789abcdefABCDEF"
REPORT = f"""
import os, sys, wandb
from remote.output.wandb_redaction import keep_secrets_out_of_wandb
keep_secrets_out_of_wandb()
keep_secrets_out_of_wandb()
with wandb.init(config={{"first": "key={SECRET}"}}) as run:
    run.config.update({{"second": ["{SECRET}"], "{SECRET}": 1}})
    wandb.config.third = "{SECRET}"
    print("plain words and {SECRET}")
    print("plain {SECRET[:14]}", end="", flush=True)
    print("{SECRET[14:]}", file=sys.stderr)
    wandb.log({{"reward": 0.5, "of {SECRET}": 1.0, "text": "{SECRET}"}})
    run.summary["best"] = 1.0
"""


@pytest.mark.parametrize("console", ["wrap", "redirect"])
def test_nothing_that_is_reported_holds_a_secret(tmp_path: Path, console: str) -> None:
    told = {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_CONSOLE": console}
    told |= {"MY_KEY": SECRET, "PYTHONPATH": str(PROJECT), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", REPORT],
        env={**os.environ, **told},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    reported = b"".join(path.read_bytes() for path in files)
    assert b"plain words and [redacted: MY_KEY]" in reported
    assert b"reward" in reported
    for part in (SECRET, SECRET[:14], SECRET[14:]):
        assert [path for path in files if part.encode() in path.read_bytes()] == []

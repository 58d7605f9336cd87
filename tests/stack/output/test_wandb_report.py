"""Weights & Biases can be absent, refuse, be silent or break: the training goes on, and the log says how to
upload the report later. Servers are real ones on loopback."""

from __future__ import annotations

import http.server
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from remote.output.wandb_report import mode
from tests.stack.conftest import PROJECT, tiny_spec

pytestmark = pytest.mark.stack

TIMEOUT = 3  # wandb.timeout, seconds
PROGRAM = """
import json, os, sys, time
from pathlib import Path
from remote.contract.spec import ExperimentSpec
from remote.output.wandb_report import Report

spec = ExperimentSpec.model_validate(json.loads(sys.argv[1]))
report = Report(spec, Path(sys.argv[2]), os.environ, lambda line: print("SAID", line, flush=True))
report.start()
began = time.monotonic()

def number():
    import wandb
    wandb.log({"loss": 0.5})

def broken():
    raise LookupError("a job that fails")

for job in (number, broken, broken, number):
    report.submit(job)
print("SUBMITTED", time.monotonic() - began, flush=True)
report.finish()
print("FINISHED", time.monotonic() - began, flush=True)
os._exit(0)
"""


class Graph(http.server.BaseHTTPRequestHandler):
    """W&B's address, which answers every request with one status."""

    status = 401

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = json.dumps({"errors": [{"message": "invalid key"}]}).encode()
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, format: str, *args: Any) -> None:
        pass


@contextmanager
def server(kind: str) -> Iterator[str]:
    """The address of one that refuses keys, of one that accepts and is silent, or of none."""
    if kind == "refuses":
        httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Graph)
        threading.Thread(target=httpd.serve_forever, args=[0.02], daemon=True).start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        httpd.server_close()
        return
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        if kind == "silent":
            yield f"http://127.0.0.1:{port}"
    if kind == "absent":
        yield f"http://127.0.0.1:{port}"


def report(run_dir: Path, **environ: str) -> tuple[str, dict[str, float]]:
    """What a report of its own process says, and when it had taken its jobs and was finished, in seconds."""
    spec = tiny_spec(wandb={"enabled": True, "timeout": TIMEOUT}).model_dump_json()
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WANDB")}
    env = {**kept, "PYTHONPATH": str(PROJECT), "HOME": str(run_dir.parent), **environ}
    command = [sys.executable, "-c", PROGRAM, spec, str(run_dir)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False, timeout=120)
    print(done.stdout, done.stderr)
    assert done.returncode == 0
    lines = [line.split(" ", 1) for line in done.stdout.splitlines()]
    times = {word: float(rest) for word, rest in lines if word in ("SUBMITTED", "FINISHED")}
    return "\n".join(rest for word, rest in lines if word == "SAID"), times


@pytest.fixture
def run_dir(tmp_path: Path) -> Path:
    path = tmp_path / "k3f9x-wordle"
    path.mkdir()
    return path


def folders(run_dir: Path) -> list[str]:
    return sorted(path.name.split("run-")[0] for path in (run_dir / "wandb").glob("*run-*"))


@pytest.mark.parametrize("kind", ["absent", "refuses", "silent"])
def test_without_an_answer_the_report_is_written_offline_and_nothing_waits(kind: str, run_dir: Path) -> None:
    with server(kind) as address:
        said, times = report(run_dir, WANDB_BASE_URL=address, WANDB_API_KEY="0" * 40)
    assert said.count("the report is written offline") == 1
    assert "vfm wandb sync k3f9x-wordle" in said
    assert said.count("a job that fails") == 1
    assert times["SUBMITTED"] < 1
    assert times["FINISHED"] < 3 * TIMEOUT + 25
    assert folders(run_dir) == ["offline-"]
    [data] = (run_dir / "wandb").glob("offline-run-*/*.wandb")
    assert data.stat().st_size > 100
    links = [path for path in (run_dir / "wandb").rglob("*") if path.is_symlink()]
    assert links == []


def test_without_a_key_and_as_asked_it_is_written_offline(run_dir: Path) -> None:
    said, _ = report(run_dir)
    assert "no WANDB_API_KEY: the Weights & Biases report is written offline" in said
    said, _ = report(run_dir, WANDB_API_KEY="0" * 40, WANDB_MODE="offline")
    assert "no WANDB_API_KEY" not in said
    assert "⚠ Weights & Biases cannot" not in said
    assert folders(run_dir) == ["offline-", "offline-"]


def test_a_folder_that_cannot_be_written_costs_the_report_alone(run_dir: Path) -> None:
    (run_dir / "wandb").write_text("in the way")
    said, _ = report(run_dir)
    assert "there will be no Weights & Biases report" in said


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "offline"),
        ({"WANDB_API_KEY": "x"}, "online"),
        ({"WANDB_API_KEY": "x", "WANDB_MODE": "offline"}, "offline"),
        ({"WANDB_API_KEY": "x", "WANDB_MODE": "dryrun"}, "offline"),
        ({"WANDB_MODE": "disabled"}, None),
        ({"WANDB_API_KEY": "x", "WANDB_MODE": "disabled"}, None),
        ({"WANDB_API_KEY": "x", "WANDB_DISABLED": "true"}, None),
    ],
)
def test_what_env_says_of_the_mode_holds(environ: dict[str, str], expected: str | None) -> None:
    assert mode(tiny_spec(wandb={"enabled": True}), environ) == expected
    assert mode(tiny_spec(wandb={"enabled": False}), environ) is None


def test_a_report_that_does_not_end_is_left(run_dir: Path) -> None:
    from remote.output.wandb_report import Report

    said: list[str] = []
    made = Report(tiny_spec(wandb={"enabled": True, "timeout": TIMEOUT}), run_dir, {}, said.append)
    released = threading.Event()
    made.start()
    made.submit(lambda: print(released.wait(60)))
    made.limit = 0.3
    began = time.monotonic()
    made.finish()
    assert time.monotonic() - began < 5
    assert "did not end the report within 0 s; to upload it later: vfm wandb sync" in said[-1]
    released.set()


def test_a_project_name_that_wandb_refuses_is_a_problem_of_the_config() -> None:
    """By wandb's own rule, character for character."""
    import wandb
    from pydantic import ValidationError

    for name in [*(f"a{char}b" for char in map(chr, range(32, 127))), "x" * 128, "x" * 129]:
        try:
            wandb.Settings(project=name)
            refuses = False
        except Exception:
            refuses = True
        try:
            tiny_spec(wandb={"project": name})
            refused = False
        except ValidationError:
            refused = True
        assert refused is refuses, name

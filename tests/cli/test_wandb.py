"""`vfm wandb sync`: what is uploaded, with which key, and what is said where nothing can be."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Vfm
from tests.pilot.conftest import make_run

KEY = "k" * 40


@pytest.fixture
def address() -> Iterator[str]:
    """A server that answers: W&B's, as far as `vfm` asks by itself."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert "Authorization" not in self.headers
            self.send_error(404)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def image(folder: Path, marks: str = "*") -> str:
    """A program in place of the image's Python: notes how it is called, and marks folders as wandb does."""
    path = folder / "python"
    path.write_text(
        f'#!/bin/sh\necho "$@" >> {folder}/called\necho "$WANDB_API_KEY" >> {folder}/keys\n'
        'echo "wandb: Syncing"; echo "wandb: ERROR the server said no" >&2\n'
        f'for part in "$@"; do case $part in */{marks}run-*) touch "$part/run-x.wandb.synced";; esac; done\n'
    )
    path.chmod(0o755)
    return str(path)


def parts(vfm: Vfm, *names: str, run_id: str = "k3f9x-wordle") -> list[Path]:
    run = make_run(vfm.home, run_id)
    made = []
    for name in names:
        made.append(run / "wandb" / name)
        made[-1].mkdir(parents=True)
        (made[-1] / "run-x.wandb").write_bytes(b"data")
    return made


def test_parts_that_are_not_uploaded_are_oldest_first_with_the_key_in_the_environment_alone(
    vfm: Vfm, address: str
) -> None:
    later, first, done = parts(vfm, "offline-run-20260202_1-x", "run-20260101_1-x", "run-20260101_0-x")
    (done / "run-x.wandb.synced").touch()
    env = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": address, "VFM_IMAGE_PYTHON": image(vfm.folder)}
    synced = vfm("wandb", "sync", "k3f", **env)
    assert synced.returncode == 0, synced.stderr
    called = (vfm.folder / "called").read_text().strip()
    assert called == f"-m wandb sync --include-online --id k3f9x-wordle {first} {later}"
    assert (vfm.folder / "keys").read_text().strip() == KEY
    assert KEY not in synced.stdout + synced.stderr
    assert "wandb: Syncing" in synced.stderr
    again = vfm("wandb", "sync", "last", **env)
    assert again.returncode == 0
    assert "is at Weights & Biases already" in again.stderr
    assert (vfm.folder / "called").read_text().strip() == called


def test_what_was_not_uploaded_is_said_with_what_wandb_says(vfm: Vfm, address: str) -> None:
    parts(vfm, "offline-run-20260202_1-x", "run-20260101_1-x")
    env = {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": address}
    failed = vfm("wandb", "sync", "k3f", **env, VFM_IMAGE_PYTHON=image(vfm.folder, marks="offline-"))
    assert failed.returncode == 3
    assert "1 of 2 parts of the report of k3f9x-wordle were uploaded" in failed.stderr
    assert "the server said no" in failed.stderr


def test_what_keeps_a_report_from_being_uploaded_is_said(vfm: Vfm, address: str) -> None:
    parts(vfm, "offline-run-20260202_1-x")
    make_run(vfm.home, "bare-wordle")
    python = image(vfm.folder)
    for run, env, code, said in (
        ("k3f", {}, 2, "there is no WANDB_API_KEY"),
        ("k3f", {"WANDB_API_KEY": KEY, "WANDB_BASE_URL": "http://127.0.0.1:9"}, 3, "cannot be reached"),
        ("k3f", {"WANDB_API_KEY": KEY, "VFM_IMAGE_PYTHON": ""}, 1, "wandb is in the local image"),
        ("bare", {"WANDB_API_KEY": KEY}, 2, "bare-wordle has no Weights & Biases report"),
        ("nothere", {"WANDB_API_KEY": KEY}, 2, "nothere"),
    ):
        failed = vfm("wandb", "sync", run, **{"VFM_IMAGE_PYTHON": python, **env})
        assert failed.returncode == code, failed.stderr
        assert said in failed.stderr
    assert not (vfm.folder / "called").exists()

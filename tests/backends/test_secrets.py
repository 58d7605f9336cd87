"""Secrets that a run was handed are in none of its files, on any backend."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.backends.conftest import Bench, LocalBench, lines, request
from tests.waiting import until

CANARIES = {
    "HF_TOKEN": "hf_canary0123456789abcdefABCDEF",
    "WANDB_API_KEY": "canary9876543210fedcba9876543210fedcba98",
    "MY_SERVICE_KEY": 'canary "quoted" \\ back & é',
    "DATABASE_URL": "postgres://bob:c4n4ry-horse@db.example.com/prod",
    "MULTILINE": "-----BEGIN KEY-----\nMIIEcanary0123456789\nQmfcanary9876543210\n-----END KEY-----",
}
PARTS = (*CANARIES.values(), "c4n4ry-horse", "MIIEcanary0123456789", "Qmfcanary9876543210")
PLAIN = {"MY_PROJECT": "a-project-of-mine", "MY_DATA": "/data/of/mine", "FLAG": "true"}


def spellings(value: str) -> Iterator[str]:
    yield from (value, json.dumps(value)[1:-1], repr(value)[1:-1], quote(value, safe=""))
    yield base64.b64encode(value.encode()).decode()[:-4]


def canaries_in(data: bytes, parts: Iterable[str] = PARTS) -> list[str]:
    text = data.decode(errors="replace")
    return [spelt for part in parts for spelt in spellings(part) if spelt in text]


def files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]


async def test_a_run_that_says_everything_gives_no_secret_away(bench: Bench, tmp_path: Path) -> None:
    backend = bench.backend("spill exit:1", **CANARIES, **PLAIN)
    run = await backend.launch(request())
    said = "\n".join(await lines(backend, run))
    record = await backend.status(run)
    assert record.status == "failed"
    for name in CANARIES:
        assert f"[redacted: {name}]" in said
        # A failure shows no password of any address, known or not.
        shown = "postgres://***@db" if name == "DATABASE_URL" else f"[redacted: {name}]"
        assert shown in json.dumps(record.failure)
    for value in PLAIN.values():
        assert value in said
    assert "[redacted: VFM_SECRETS]" not in said  # the names of secrets are none
    left = {path: found for path in files(tmp_path) if (found := canaries_in(path.read_bytes()))}
    assert left == {}
    assert canaries_in(said.encode()) == []


async def test_a_run_is_handed_the_secrets_that_it_names_and_nothing_else_of_the_shell(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "canary-of-the-shell-0123")
    monkeypatch.setenv("SEARCH_KEY", "canary-that-is-named-4567")
    names = {"AWS_SECRET_ACCESS_KEY": tmp_path / "aws", "SEARCH_KEY": tmp_path / "search"}
    told = " ".join(f"env:{name}={path}" for name, path in names.items())
    environ, go = tmp_path / "environ", tmp_path / "go"
    backend = bench.backend(f"{told} environ:{environ} spill wait:{go} end:done")
    run = await backend.launch(request(training={"environment_secrets": ["SEARCH_KEY"]}))
    await until(environ.exists, "the worker")
    assert names["SEARCH_KEY"].read_text() == "canary-that-is-named-4567"
    if bench.name == "local":  # the tests' containers are processes of this machine, and have all of it
        assert names["AWS_SECRET_ACCESS_KEY"].read_text() == ""
        assert "canary-of-the-shell-0123" not in environ.read_text()
        record = await backend.status(run)
        own = Path(f"/proc/{record.identifiers['pid']}/environ").read_text()
        assert "canary" not in own
    go.touch()
    said = "\n".join(await lines(backend, run))
    assert "canary-" not in said
    assert "[redacted: SEARCH_KEY]" in said
    for path in files(tmp_path):
        if path not in (*names.values(), environ):
            assert b"canary-that" not in path.read_bytes(), path


async def test_what_a_run_writes_is_for_its_user_alone(local: LocalBench) -> None:
    before = os.umask(0o022)
    try:
        backend = local.backend("lines:5 steps:2 end:done")
        run = await backend.launch(request())
        await lines(backend, run)
    finally:
        os.umask(before)
    open_to_others = [path for path in (local.home, *local.home.rglob("*")) if path.stat().st_mode & 0o077]
    assert open_to_others == []

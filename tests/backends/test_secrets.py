"""Secrets that a run was handed are in none of its files, on any backend."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from tests.backends.conftest import Bench, lines, request

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


def canaries_in(data: bytes) -> list[str]:
    text = data.decode(errors="replace")
    return [spelt for part in PARTS for spelt in spellings(part) if spelt in text]


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
        assert f"[redacted: {name}]" in json.dumps(record.failure)
    for value in PLAIN.values():
        assert value in said
    left = {path: found for path in files(tmp_path) if (found := canaries_in(path.read_bytes()))}
    assert left == {}
    assert canaries_in(said.encode()) == []

"""Planted secrets: runs that say all that they know, and every file and line that comes of it."""

from __future__ import annotations

import random
import string
import time
from collections.abc import Mapping
from pathlib import Path

from remote.contract.errors import VfmError
from tests.backends.conftest import BENCHES, request
from tests.backends.test_secrets import canaries_in, files
from tests.cli.conftest import Vfm
from tests.storm.report import Report

COMMANDS = (
    *(("runs", "--json"), ("show", "last", "--json"), ("show", "last"), ("logs", "last")),
    *(("logs", "last", "--events"), ("metrics", "last", "--json"), ("doctor",)),
)


async def storm(rng: random.Random, deadline: float, home: Path, report: Report) -> None:
    """At least once on each backend, and until the deadline (`time.monotonic`)."""
    number = 0
    while not number or time.monotonic() < deadline:
        number += 1
        planted = _planted(rng)
        for name, make in BENCHES.items():
            folder = home / f"{name}-{number}"
            folder.mkdir(parents=True)
            bench = make(folder)
            try:
                backend = bench.backend("lines:5 spill exit:1", **planted)
                run = await backend.launch(request())
                said = [line async for batch in backend.follow(run) for line in batch.lines]
                _search(folder, "\n".join(said).encode(), planted, report)
                report.add("runs")
            except (VfmError, OSError) as error:
                report.violate("unforeseen errors", f"{name}: {type(error).__name__}: {error}")
            finally:
                bench.close()
        _by_command_line(home / f"shell-{number}", planted, report)


def _planted(rng: random.Random) -> dict[str, str]:
    def token(length: int) -> str:
        return "".join(rng.choices(string.ascii_letters + string.digits, k=length))

    return {
        "HF_TOKEN": f"hf_{token(34)}",
        "WANDB_API_KEY": token(40).lower(),
        "DATABASE_URL": f"postgres://bob:{token(16)}@db.example.com/prod",
        "MY_SERVICE_KEY": f'{token(8)} "{token(8)}" \\ {token(8)} é',
        "PEM": "\n".join(["-----BEGIN KEY-----", *(token(64) for _ in range(4)), "-----END KEY-----"]),
    }


def _parts(planted: Mapping[str, str]) -> list[str]:
    address = planted["DATABASE_URL"]
    return [*planted.values(), address[15 : address.index("@")], *planted["PEM"].split("\n")[1:-1]]


def _search(folder: Path, said: bytes, planted: Mapping[str, str], report: Report) -> None:
    parts = _parts(planted)
    for path in files(folder):
        report.add("files searched")
        if found := canaries_in(path.read_bytes(), parts):
            report.violate("canaries found", f"{path}: {len(found)}", len(found))
    if found := canaries_in(said, parts):
        report.violate("canaries found", f"the output under {folder}: {len(found)}", len(found))


def _by_command_line(folder: Path, planted: Mapping[str, str], report: Report) -> None:
    """The same through `vfm`, with the secrets in `.env` and another one in the shell alone."""
    shell = Vfm(folder)
    lines = [f"{name}={_quoted(value)}\n" for name, value in planted.items()]
    dotenv = shell.project / ".env"
    dotenv.write_text("".join(lines))
    dotenv.chmod(0o600)
    only_here = {"AWS_SECRET_ACCESS_KEY": planted["WANDB_API_KEY"][::-1]}
    everything = {**planted, **only_here}
    outputs = [shell.launch(script="lines:5 spill exit:1")]
    outputs += [shell(*command, **only_here) for command in COMMANDS]
    said = "".join(done.stdout + done.stderr for done in outputs).encode()
    report.add("runs")
    dotenv.unlink()
    _search(shell.home, said, everything, report)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'

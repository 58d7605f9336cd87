"""What tests of the training stack share: a tiny model, and real servers of it.

These tests run with the image's Python. A server takes most of a minute to start, so there is one for
each way that needs flags of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from remote.contract.spec import ExperimentSpec
from remote.output.emitter import Emitter
from remote.processes import guardian

PROJECT = Path(__file__).parents[2]


def tiny_spec(**sections: dict[str, Any]) -> ExperimentSpec:
    """A spec of the tiny model in float32, with sections of one's own on top."""
    data: dict[str, dict[str, Any]] = {
        "model": {"base_model": "builtin/tiny-random", "dtype": "float32"},
        "training": {
            "environment": "vf-wordle",
            "environment_args": {"turns": 3, "reply": "plain"},
            "batch_size": 8,
            "gradient_accumulation_steps": 1,
            "num_generations": 4,
            "max_completion_length": 6,
            "learning_rate": 5e-3,
            "steps": 3,
        },
        "vllm": {"max_model_len": 1024},
        "wandb": {"enabled": False},
    }
    for name, keys in sections.items():
        data[name] = {**data.get(name, {}), **keys}
    return ExperimentSpec.model_validate(data)


def engines(process: int) -> set[int]:
    """vLLM's engines below a process, by the title that vLLM gives them (`VLLM::EngineCore`).

    Below this one are also those of servers that live as long as the session.
    """
    found = set()
    for pid in guardian.descendants(process):
        with suppress(OSError):  # it is gone
            if "VLLM::" in Path(f"/proc/{pid}/cmdline").read_text():
                found.add(pid)
    return found


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from remote.models.load import prepare_model

    return Path(prepare_model("builtin/tiny-random", tmp_path_factory.mktemp("cache"), print))


@pytest.fixture(scope="session")
def wordle() -> None:
    """The environment, importable from its folder."""
    from remote.environments.resolve import activate

    activate(PROJECT / "environments" / "vf_wordle")
    os.environ.setdefault("OPENAI_API_KEY", "unused")
    os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")


@pytest.fixture
def emitter(tmp_path: Path) -> Iterator[Emitter]:
    fd = os.open(tmp_path / "stream.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    yield Emitter(tmp_path, fd)
    os.close(fd)


def _serve(folder: Path, model: Path, way: str) -> Iterator[Any]:
    from remote.inference.server import VllmServer

    fd = os.open(folder / f"{way}.log", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    spec = tiny_spec(vllm={"weight_sync": way})
    with VllmServer(spec, str(model), Emitter(None, fd)) as server:
        server.wait_ready()
        yield server
    os.close(fd)


@pytest.fixture(scope="session")
def reload_server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Any]:
    """A server that takes whole weights (merged, full)."""
    yield from _serve(tmp_path_factory.mktemp("reload"), tiny_model, "merged")


@pytest.fixture(scope="session")
def adapter_server(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Any]:
    """A server that takes adapters."""
    yield from _serve(tmp_path_factory.mktemp("adapter"), tiny_model, "adapter")

"""How GPUs are divided between server and trainers, and episodes among trainers."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote.contract.errors import ConfigError
from remote.contract.gpu_split import Share, Split, share, split
from remote.contract.spec import ExperimentSpec
from remote.training.gpu_placement import Placement, described, place, trainer_environment, visible


def spec(server: int | None = None, **training: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate({"vllm": {"gpus": server}, "training": training})


@pytest.mark.parametrize(
    ("gpus", "server", "expected"),
    [
        (0, None, Split(0, 1, shared=True)),
        (1, None, Split(1, 1, shared=True)),
        (1, 2, Split(1, 1, shared=True)),
        (2, None, Split(1, 1, shared=False)),
        (4, None, Split(1, 3, shared=False)),
        (8, 4, Split(4, 4, shared=False)),
    ],
)
def test_the_server_has_the_first_gpus_and_each_trainer_another(
    gpus: int, server: int | None, expected: Split
) -> None:
    assert split(spec(server), gpus) == expected


def test_a_split_that_leaves_the_trainers_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"vllm.gpus = 2 leaves the trainers none of 2 GPUs") as caught:
        split(spec(2), 2)
    assert caught.value.hint is not None
    assert (caught.value.hint.key, caught.value.hint.new) == ("vllm.gpus", 1)


def test_passes_are_divided_before_batches() -> None:
    of = spec(batch_size=8, gradient_accumulation_steps=8)
    assert share(of, 1) == Share(8, 8)
    assert share(of, 4) == Share(8, 2)
    assert share(spec(batch_size=8, gradient_accumulation_steps=1), 2) == Share(4, 1)
    assert share(spec(batch_size=8, gradient_accumulation_steps=3, num_generations=4), 6) == Share(4, 1)


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 7))
def test_a_step_trains_on_as_many_episodes_whatever_the_trainers(
    batch: int, passes: int, trainers: int
) -> None:
    of = spec(batch_size=2 * batch, gradient_accumulation_steps=passes, num_generations=2)
    if of.episodes_per_step % trainers:
        with pytest.raises(ConfigError):
            share(of, trainers)
        return
    mine = share(of, trainers)
    assert mine.batch_size * mine.passes * trainers == of.episodes_per_step
    assert mine.batch_size <= of.training.batch_size, "more memory than on one GPU"


def test_what_does_not_come_out_even_is_refused_by_its_keys_with_a_way_out() -> None:
    with pytest.raises(ConfigError) as caught:
        place(spec(), "train", "cuda", {"CUDA_VISIBLE_DEVICES": "0,1,2,3"})
    message, hint = caught.value.message, caught.value.hint
    assert "training.batch_size × training.gradient_accumulation_steps = 64" in message
    assert "3 trainers" in message
    assert hint is not None
    assert (hint.key, hint.old, hint.new) == ("vllm.gpus", 1, 2)
    place(spec(hint.new), "train", "cuda", {"CUDA_VISIBLE_DEVICES": "0,1,2,3"})


def test_gpus_keep_the_names_that_they_have_here() -> None:
    found = place(spec(), "train", "cuda", {"CUDA_VISIBLE_DEVICES": "GPU-1f, 5,7"})
    assert found == Placement(("GPU-1f",), ("5", "7"), 2)
    assert described(found) == "vLLM on GPU GPU-1f; trainers on GPU 5, 7"
    assert visible({"CUDA_VISIBLE_DEVICES": "3,-1,4"}) == ["3"]
    assert visible({"CUDA_VISIBLE_DEVICES": ""}) == []


def test_nvidia_smi_counts_where_nothing_is_hidden(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "nvidia-smi"
    listed = "GPU 0: NVIDIA A100 (UUID: GPU-1)\\n  MIG 1g.5gb Device 0: (UUID: MIG-1)\\nGPU 1: NVIDIA A100"
    program.write_text(f"#!/bin/sh\nprintf '{listed}\\n'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert visible({}) == ["0", "1"]
    monkeypatch.setenv("PATH", "")
    assert visible({}) == []


def test_one_gpu_is_shared_and_an_evaluation_trains_nowhere() -> None:
    assert place(spec(), "train", "cuda", {"CUDA_VISIBLE_DEVICES": "6"}) == Placement()
    four = {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    assert place(spec(2), "evaluate", "cuda", four) == Placement(server=("0", "1"))


def test_without_a_gpu_a_variable_says_how_many_train() -> None:
    assert place(spec(), "train", "cpu", {}) == Placement()
    assert place(spec(), "train", "cpu", {"VFM_TRAINERS": "2"}) == Placement(trainers=2)
    assert place(spec(), "evaluate", "cpu", {"VFM_TRAINERS": "2"}) == Placement()


def test_a_trainer_is_told_what_accelerate_reads() -> None:
    told = trainer_environment(Placement(("0",), ("1", "2"), 2), rank=1, port=29501)
    assert told["CUDA_VISIBLE_DEVICES"] == "1,2"
    assert (told["RANK"], told["LOCAL_RANK"], told["WORLD_SIZE"]) == ("1", "1", "2")
    assert (told["MASTER_ADDR"], told["MASTER_PORT"]) == ("127.0.0.1", "29501")
    assert "CUDA_VISIBLE_DEVICES" not in trainer_environment(Placement(trainers=2), 0, 1)

"""Whether a launch fits the GPU, against numbers that were worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import pytest

from remote.contract.model_choice import DEFAULT_MODELS, GENERAL_MODEL
from remote.contract.spec import ExperimentSpec, GpuType
from tui.planning.gpu_memory import GIB, GPU_GIB, Device, Fit, Machine, fit, this_machine
from tui.planning.model_sizes import SHAPES, shape_of, size_in_name

SMALL = "Qwen/Qwen2.5-0.5B-Instruct"


def estimate(name: str = SMALL, /, backend: str = "modal", kind: Any = "train", **sections: Any) -> Fit:
    """The estimate for a spec that differs from the defaults."""
    spec = ExperimentSpec.model_validate(sections)
    return fit(spec, name, kind=kind, backend=backend, machine=Machine(64.0))


def parts(device: Device) -> dict[str, float]:
    """Name → GiB."""
    return {part.name: part.gib for part in device.parts}


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        (SMALL, 494_032_768),
        ("Qwen/Qwen2.5-1.5B-Instruct", 1_543_714_304),
        ("Qwen/Qwen2.5-3B-Instruct", 3_085_938_688),
        ("Qwen/Qwen2.5-7B-Instruct", 7_615_616_512),
        ("builtin/smollm2-135m", 134_515_008),
    ],
)
def test_a_shape_counts_what_the_model_card_says(model: str, parameters: int) -> None:
    assert SHAPES[model].parameters == parameters


def test_an_adapter_has_rank_times_in_and_out_of_every_linear_layer() -> None:
    # Qwen2.5-0.5B: q and o 896→896, k and v 896→128, gate and up 896→4864, down 4864→896; 24 layers.
    by_hand = 24 * 16 * (2 * (896 + 896) + 2 * (896 + 128) + 3 * (896 + 4864))
    assert SHAPES[SMALL].adapter(16) == by_hand == 8_798_208


def test_every_model_that_an_environment_takes_by_default_is_known() -> None:
    assert {GENERAL_MODEL, *DEFAULT_MODELS.values()} <= SHAPES.keys()


def test_every_gpu_of_the_spec_has_its_memory() -> None:
    assert set(get_args(GpuType)) == GPU_GIB.keys()


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("meta-llama/Llama-3.2-1B-Instruct", 1e9),
        ("Qwen/Qwen3-0.6B", 0.6e9),
        ("x/y-135M-chat", 135e6),
        ("Salesforce/xLAM-2-8b-fc-r", 8e9),
        ("mistralai/Mixtral", None),
        ("a/v2-beta", None),
    ],
)
def test_a_size_is_read_from_a_name(name: str, size: float | None) -> None:
    assert size_in_name(name) == size


def test_a_model_with_a_size_in_its_name_gets_a_shape_of_that_size() -> None:
    shape = shape_of("meta-llama/Llama-3.2-1B-Instruct")
    assert shape is not None
    assert not shape.exact
    assert shape.parameters == pytest.approx(1e9, rel=0.05)
    assert "from its name" in estimate("meta-llama/Llama-3.2-1B-Instruct").model


def test_a_model_without_a_size_is_unknown() -> None:
    found = estimate("acme/mystery")
    assert (found.verdict, found.devices) == ("unknown", ())
    assert "acme/mystery" in found.why


def test_the_parts_on_one_gpu() -> None:
    found = estimate(
        training={"batch_size": 8, "gradient_checkpointing": True, "max_completion_length": 384},
        model={"max_token_length": 2048},
    )
    (device,) = found.devices
    by_name = parts(device)
    assert device.capacity == 40.0
    assert by_name["trainer weights"] == pytest.approx(494_032_768 * 2 / GIB)
    assert by_name["vLLM weights"] == by_name["trainer weights"]
    assert by_name["LoRA adapter, optimiser"] == pytest.approx(8_798_208 * 16 / GIB)
    # vLLM's half of the GPU, whatever it does not need for weights and overhead.
    assert by_name["KV cache"] == pytest.approx(20 - 494_032_768 * 2 / GIB - 1.0)
    # Checkpoints of 24 layers of 896 numbers, and one layer whole: 2 × (6 × 896 + 2 × 128 + 4 × 4864).
    a_token = 24 * 896 * 2 + 2 * (6 * 896 + 2 * 128 + 4 * 4864)
    assert by_name["activations, at most"] == pytest.approx(8 * 2048 * a_token / GIB)
    assert found.verdict == "fits"
    assert device.total == pytest.approx(sum(by_name.values()))


def test_the_kv_cache_holds_so_many_episodes() -> None:
    # A token: keys and values of 24 layers × 2 heads × 64 numbers × 2 bytes = 12,288 bytes.
    # 20 − 0.92 − 1 = 18.08 GiB hold 385 episodes of 4,096 tokens (48 MiB each).
    found = estimate(training={"concurrency": 400})
    assert "holds 385 episodes of 4,096 tokens at once, of up to 400" in found.kv


def test_every_weight_in_training_costs_gradients_and_two_moments() -> None:
    found = estimate(model={"lora": {"enabled": False}})
    by_name = parts(found.devices[0])
    assert by_name["gradients, optimiser"] == pytest.approx(494_032_768 * 6 / GIB)
    assert by_name["output layer's gradient"] == pytest.approx(151_936 * 896 * 4 / GIB)


def test_long_episodes_without_recomputation_are_tight_and_say_how_long_they_may_be() -> None:
    found = estimate("Qwen/Qwen2.5-1.5B-Instruct")
    assert found.verdict == "tight"
    assert "longer than about 850 tokens" in found.why
    assert "gradient_checkpointing" in found.why


def test_training_that_has_no_room_at_all_does_not_fit() -> None:
    found = estimate(
        "Qwen/Qwen2.5-3B-Instruct",
        modal={"gpu": {"type": "T4"}},
        model={"lora": {"enabled": False}},
        vllm={"gpu_memory_utilization": 0.6},
    )
    assert found.verdict == "does not fit"
    assert "training alone needs" in found.why


def test_a_server_without_room_for_one_episode_does_not_fit() -> None:
    found = estimate("Qwen/Qwen2.5-7B-Instruct", modal={"gpu": {"type": "A10G"}})
    assert found.verdict == "does not fit"
    assert "lacks room for one episode of 4,096 tokens" in found.why


def test_with_two_gpus_the_server_has_the_first_and_training_the_second() -> None:
    found = estimate("Qwen/Qwen2.5-3B-Instruct", modal={"gpu": {"type": "A100-40GB", "count": 2}})
    server, trainer = found.devices
    assert "vLLM weights" in parts(server)
    assert "trainer weights" not in parts(server)
    assert "trainer weights" in parts(trainer)
    assert "KV cache" not in parts(trainer)


def test_each_side_divides_its_part_among_its_gpus() -> None:
    two = estimate("Qwen/Qwen2.5-3B-Instruct", modal={"gpu": {"type": "A100-40GB", "count": 2}})
    six = estimate(
        "Qwen/Qwen2.5-3B-Instruct", modal={"gpu": {"type": "A100-40GB", "count": 6}}, vllm={"gpus": 2}
    )
    assert [device.name for device in six.devices] == ["A100-40GB 1–2: vLLM", "A100-40GB 3–6: trainer, each"]
    (server, trainer), (half, each) = ([parts(device) for device in found.devices] for found in (two, six))
    assert half["vLLM weights"] == pytest.approx(server["vLLM weights"] / 2)
    assert each["activations, at most"] == trainer["activations, at most"], "batches stay, passes are divided"
    assert set(each) - set(trainer) == {"gradient buckets"}


def test_gpus_that_episodes_cannot_be_divided_among_are_not_estimated() -> None:
    found = estimate("Qwen/Qwen2.5-3B-Instruct", modal={"gpu": {"type": "A100-40GB", "count": 4}})
    assert found.verdict == "unknown"
    assert "cannot be divided among 3 trainers" in found.why


def test_an_evaluation_on_several_gpus_says_which_are_idle() -> None:
    found = estimate(kind="evaluate", modal={"gpu": {"type": "A100-40GB", "count": 4}})
    assert "on A100-40GB 1: the other GPUs would be idle" in found.why


def test_an_evaluation_holds_the_server_alone() -> None:
    found = estimate(kind="evaluate")
    assert found.verdict == "fits"
    assert set(parts(found.devices[0])) == {"vLLM weights", "vLLM overhead", "KV cache"}


def test_this_machine_is_judged_by_its_memory_and_a_gpu_here_is_unknown() -> None:
    spec = ExperimentSpec.model_validate({"model": {"dtype": "float32"}})
    roomy = fit(spec, "builtin/tiny-random", kind="train", backend="local", machine=Machine(16.0))
    assert roomy.verdict == "fits"
    cramped = fit(spec, "builtin/smollm2-135m", kind="train", backend="local", machine=Machine(2.0))
    assert cramped.verdict == "does not fit"
    gpu = fit(spec, SMALL, kind="train", backend="local", machine=Machine(16.0, has_gpu=True))
    nothing_known = fit(spec, SMALL, kind="train", backend="local", machine=Machine())
    assert (gpu.verdict, nothing_known.verdict) == ("unknown", "unknown")


def test_a_machine_is_as_large_as_its_container(tmp_path: Path) -> None:
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    limit = tmp_path / "sys/fs/cgroup/memory.max"
    limit.write_text(f"{GIB // 2}\n")
    assert this_machine(tmp_path) == Machine(0.5)
    limit.write_text("max\n")
    (tmp_path / "proc/driver/nvidia/gpus/0000:01:00.0").mkdir(parents=True)
    found = this_machine(tmp_path)
    assert found.has_gpu
    assert found.memory is None or found.memory > 0.5

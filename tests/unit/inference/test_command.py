"""Where each key of the spec lands on vLLM's command line and in its environment."""

from __future__ import annotations

from typing import Any

import pytest

from remote.contract.spec import ExperimentSpec
from remote.inference.command import Fixed, command, environment, inherited, notices, resolve_weight_sync

MODEL = "/models/mine"


def spec(**sections: Any) -> ExperimentSpec:
    return ExperimentSpec.model_validate(sections)


def arguments(of: ExperimentSpec, device: Any = "cuda") -> str:
    return " ".join(command(of, MODEL, 8123, device, "policy")) + " "


LANDS = [
    # section, key, value, on the command line (GPU)
    ("vllm", "gpu_memory_utilization", 0.7, "--gpu-memory-utilization 0.7 "),
    ("vllm", "max_model_len", 2048, "--max-model-len 2048 "),
    ("vllm", "block_size", 64, "--block-size 64 "),
    ("vllm", "tool_call_parser", "granite", "--tool-call-parser granite "),
    ("model", "dtype", "float16", "--dtype float16 "),
    ("training", "seed", 7, "--seed 7 "),
]


@pytest.mark.parametrize(("section", "key", "value", "there"), LANDS)
def test_a_key_lands_on_the_command_line(section: str, key: str, value: object, there: str) -> None:
    assert there in arguments(spec(**{section: {key: value}}))
    assert there not in arguments(spec())


@pytest.mark.parametrize(
    ("section", "key", "flag"),
    [
        ("vllm", "enforce_eager", "--enforce-eager "),
        ("model", "trust_remote_code", "--trust-remote-code "),
        ("vllm", "enable_auto_tool_choice", "--enable-auto-tool-choice "),
    ],
)
def test_a_switch_is_there_or_not(section: str, key: str, flag: str) -> None:
    parser = {"tool_call_parser": "hermes"} if key == "enable_auto_tool_choice" else {}
    assert flag in arguments(spec(**{section: {key: True, **parser}}))
    assert flag not in arguments(spec(**{section: {key: False, **parser}}))


def test_the_server_listens_on_this_machine_alone() -> None:
    said = arguments(spec())
    assert said.startswith(f"serve {MODEL} ")
    assert "--host 127.0.0.1 --port 8123 " in said
    assert "--served-model-name policy " in said
    assert "--disable-uvicorn-access-log " in said


def test_log_probabilities_are_those_of_what_is_sampled() -> None:
    said = arguments(spec(), "cpu")
    assert "--generation-config vllm " in said
    assert "--logprobs-mode processed_logprobs " in said


@pytest.mark.parametrize(("wanted", "taken"), [(8, 32), (16, 32), (32, 32), (64, 64), (128, 128)])
def test_a_cpu_takes_the_next_multiple_of_32_and_says_so(wanted: int, taken: int) -> None:
    of = spec(vllm={"block_size": wanted})
    assert f"--block-size {taken} " in arguments(of, "cpu")
    assert f"--block-size {wanted} " in arguments(of, "cuda")
    assert [f"using {taken}" in notice for notice in notices(of, "cpu")] == [True] * (wanted != taken)
    assert notices(of, "cuda") == []


def test_a_cpu_has_no_share_of_a_gpu() -> None:
    assert "--gpu-memory-utilization" not in arguments(spec(), "cpu")


@pytest.mark.parametrize(
    ("chosen", "lora", "device", "way"),
    [
        ("auto", True, "cuda", "adapter"),
        ("auto", True, "cpu", "merged"),
        ("auto", False, "cuda", "full"),
        ("auto", False, "cpu", "full"),
        ("adapter", True, "cpu", "adapter"),
        ("merged", True, "cuda", "merged"),
        ("full", False, "cuda", "full"),
    ],
)
def test_how_weights_travel_decides_what_the_server_opens(
    chosen: str, lora: bool, device: Any, way: str
) -> None:
    of = spec(vllm={"weight_sync": chosen}, model={"lora": {"enabled": lora}})
    variables = environment(of, device, 2)
    adapter = way == "adapter"
    assert resolve_weight_sync(of, device) == way
    assert ("--enable-lora" in arguments(of, device)) is adapter
    assert ("VLLM_ALLOW_RUNTIME_LORA_UPDATING" in variables) is adapter
    assert ("VLLM_SERVER_DEV_MODE" in variables) is not adapter


def test_what_is_evaluated_takes_no_weights_and_an_adapter_by_name() -> None:
    def served(fixed: Fixed) -> str:
        return " ".join(command(spec(), MODEL, 8123, "cuda", "policy", 0, fixed))

    assert "lora" not in served(Fixed())
    said = served(Fixed(tokenizer="/run/t", adapter="/run/checkpoint-2", rank=12))
    assert "--lora-modules policy-checkpoint=/run/checkpoint-2" in said
    assert "--max-lora-rank 16 " in said
    assert "--tokenizer /run/t" in said
    opened = environment(spec(), "cuda", 4, MODEL, fixed=Fixed())
    assert not {"VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_SERVER_DEV_MODE"} & opened.keys()


@pytest.mark.parametrize(("rank", "accepted"), [(1, 8), (8, 8), (9, 16), (48, 64), (300, 320), (512, 512)])
def test_a_lora_rank_is_one_that_vllm_accepts(rank: int, accepted: int) -> None:
    said = arguments(spec(model={"lora": {"rank": rank}}))
    assert f"--enable-lora --max-lora-rank {accepted} --max-loras 1 " in said


def test_a_cpu_has_its_memory_threads_and_no_compiler() -> None:
    variables = environment(spec(vllm={"cpu_kvcache_space": 3}), "cpu", threads=6)
    assert variables["VLLM_CPU_KVCACHE_SPACE"] == "3"
    assert variables["OMP_NUM_THREADS"] == "6"
    assert variables["VLLM_CPU_OMP_THREADS_BIND"] == "nobind"
    assert variables["OMP_WAIT_POLICY"] == "PASSIVE"
    assert variables["TORCHDYNAMO_DISABLE"] == "1"
    assert variables["VLLM_CPU_CI_ENV"] == "1"


def test_a_gpu_has_none_of_that() -> None:
    variables = environment(spec(), "cuda", threads=6)
    assert not {"OMP_NUM_THREADS", "TORCHDYNAMO_DISABLE", "VLLM_CPU_KVCACHE_SPACE"} & set(variables)


def test_the_first_of_several_gpus_is_the_servers() -> None:
    variables = environment(spec(), "cuda", 1, gpus=["0", "GPU-8a2"])
    assert variables["CUDA_VISIBLE_DEVICES"] == "0,GPU-8a2"
    assert "CUDA_VISIBLE_DEVICES" not in environment(spec(), "cuda", 1)


def test_a_server_on_several_gpus_divides_the_model_among_them() -> None:
    assert "--tensor-parallel-size 4" in " ".join(command(spec(), MODEL, 8123, "cuda", "policy", 4))
    assert "--tensor-parallel-size" not in command(spec(), MODEL, 8123, "cuda", "policy", 1)


def test_a_model_on_this_disk_asks_no_hub_and_nobody_is_told() -> None:
    assert environment(spec(), "cpu", 2, MODEL)["HF_HUB_OFFLINE"] == "1"
    variables = environment(spec(), "cpu", 2, "Qwen/Qwen2.5-0.5B-Instruct")
    assert "HF_HUB_OFFLINE" not in variables
    assert variables["VLLM_NO_USAGE_STATS"] == variables["DO_NOT_TRACK"] == "1"


NEEDED = (
    *("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES"),
    *("HF_HOME", "LD_LIBRARY_PATH", "OMP_NUM_THREADS", "VLLM_CACHE_ROOT", "NCCL_DEBUG", "TRITON_CACHE_DIR"),
)
FOR_THE_HUB = ("HF_TOKEN", "https_proxy", "SSL_CERT_FILE", "HF_ENDPOINT")
NOT_ITS_BUSINESS = (
    *(
        "WANDB_API_KEY",
        "OPENAI_API_KEY",
        "DATABASE_URL",
        "MY_SERVICE_KEY",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_PROFILE",
    ),
    *(
        "GITHUB_TOKEN",
        "SSH_AUTH_SOCK",
        "MODAL_TOKEN_SECRET",
        "VFM_SERVER_KEY",
        "PS1",
        "EXPERIMENTER",
        "anything",
    ),
    *(
        "VLLM_API_KEY",
        "VLLM_PARTNER_TOKEN",
        "CUDA_PASSWORD",
        "TORCH_SECRET",
        "OMP_KEYS",
        "PYTHONDONTWRITEBYTECODE",
    ),
)


def test_the_server_inherits_what_it_needs_and_no_more() -> None:
    have = dict.fromkeys((*NEEDED, *FOR_THE_HUB, *NOT_ITS_BUSINESS), "x")
    assert set(inherited(have, MODEL)) == set(NEEDED)
    assert set(inherited(have, "org/name")) == {*NEEDED, *FOR_THE_HUB}


def test_connections_outlive_the_trainers_share_of_a_step() -> None:
    # The client gives up an idle connection after 5 s: the server may not be the first to close it.
    assert int(environment(spec(), "cpu", threads=2)["VLLM_HTTP_TIMEOUT_KEEP_ALIVE"]) >= 3600

"""How a spec becomes a vLLM command line and environment: where each `vllm.*` and `model.*` key lands.

Owns every flag and variable that the server is given. Pure: it starts nothing, and reads neither the
machine nor the process environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from remote.contract.spec import ExperimentSpec
from remote.ports import HOST

Device = Literal["cpu", "cuda"]
Sync = Literal["adapter", "merged", "full"]

VLLM = ("-m", "vllm.entrypoints.cli.main")
"""What follows the image's Python to become `vllm`."""
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The `--max-lora-rank`s that vLLM accepts."""
CPU_BLOCK = 32
"""Block sizes on a CPU are multiples of this."""
NOT_FOR_VLLM = frozenset(
    {
        "OPENAI_API_KEY",
        "WANDB_API_KEY",
        "VLLM_API_KEY",  # would make the server refuse our own requests
        "VLLM_LOGGING_CONFIG_PATH",  # would hide the lines that `vllm_log` reads
        "PYTHONDONTWRITEBYTECODE",  # every start would compile vLLM's sources anew: 80 s in place of 28
    }
)
"""Variables of the worker's that the server does not inherit: secrets it has no use for, and traps."""


@dataclass(frozen=True)
class Fixed:
    """What is served to be evaluated: weights that stay as they are."""

    tokenizer: str = ""
    """A directory, where the model's own has no tokenizer, or another one."""
    adapter: str = ""
    """The directory of a LoRA adapter, which is played with under the name of `ADAPTER`."""
    rank: int = 0
    """The adapter's."""


ADAPTER = "policy-checkpoint"
"""The served name of an adapter that is evaluated."""


def resolve_weight_sync(spec: ExperimentSpec, device: Device) -> Sync:
    """How trained weights reach the server, with `auto` decided."""
    chosen = spec.vllm.weight_sync
    if chosen != "auto":
        return chosen
    if not spec.model.lora.enabled:
        return "full"
    # An active adapter makes decoding on a CPU 6 to 9 times slower.
    return "adapter" if device == "cuda" else "merged"


def block_size(spec: ExperimentSpec, device: Device) -> int:
    """Tokens in a block: as configured on a GPU, the next multiple of 32 on a CPU."""
    wanted = spec.vllm.block_size
    return wanted if device == "cuda" else -(-wanted // CPU_BLOCK) * CPU_BLOCK


def lora_rank(rank: int) -> int:
    """The smallest rank that vLLM accepts and that holds this one."""
    return next(accepted for accepted in LORA_RANKS if accepted >= rank)


def notices(spec: ExperimentSpec, device: Device) -> list[str]:
    """What the server does otherwise than the config says, a sentence each."""
    wanted, taken = spec.vllm.block_size, block_size(spec, device)
    if wanted == taken:
        return []
    return [f"vllm.block_size = {wanted}: on a CPU blocks are multiples of {CPU_BLOCK}, using {taken}"]


def command(
    spec: ExperimentSpec,
    model: str,
    port: int,
    device: Device,
    served_name: str,
    gpus: int = 0,
    fixed: Fixed | None = None,
) -> list[str]:
    """The arguments of `vllm`, from `serve` on. `model` is a hub id or a directory.

    `gpus` is how many the server has for itself; 0: it shares the one that there is, or has none. `fixed`
    is given where nothing is trained.
    """
    vllm = spec.vllm
    arguments = ["serve", model, "--served-model-name", served_name, "--host", HOST, "--port", str(port)]
    arguments += ["--max-model-len", str(vllm.max_model_len)]
    arguments += ["--block-size", str(block_size(spec, device))]
    arguments += ["--dtype", spec.model.dtype, "--seed", str(spec.training.seed)]
    # A model's own generation_config (top_k, repetition_penalty …) would sample from another
    # distribution than the one whose log-probabilities the trainer computes, as would raw
    # log-probabilities at a temperature other than 1.
    arguments += ["--generation-config", "vllm", "--logprobs-mode", "processed_logprobs"]
    arguments += ["--disable-uvicorn-access-log"]
    if device == "cuda":
        arguments += ["--gpu-memory-utilization", str(vllm.gpu_memory_utilization)]
    if gpus > 1:
        arguments += ["--tensor-parallel-size", str(gpus)]
    return arguments + _switches(spec) + (_lora(spec, device) if fixed is None else _fixed(fixed))


def _switches(spec: ExperimentSpec) -> list[str]:
    flags = {
        "--enforce-eager": spec.vllm.enforce_eager,
        "--trust-remote-code": spec.model.trust_remote_code,
        "--enable-auto-tool-choice": spec.vllm.enable_auto_tool_choice,
    }
    switches = [flag for flag, wanted in flags.items() if wanted]
    if spec.vllm.tool_call_parser is not None:
        switches += ["--tool-call-parser", spec.vllm.tool_call_parser]
    return switches


def _lora(spec: ExperimentSpec, device: Device) -> list[str]:
    if resolve_weight_sync(spec, device) != "adapter":
        return []
    rank = lora_rank(spec.model.lora.rank)
    return ["--enable-lora", "--max-lora-rank", str(rank), "--max-loras", "1"]


def _fixed(fixed: Fixed) -> list[str]:
    arguments = ["--tokenizer", fixed.tokenizer] if fixed.tokenizer else []
    if fixed.adapter:
        arguments += ["--enable-lora", "--max-lora-rank", str(lora_rank(fixed.rank)), "--max-loras", "1"]
        arguments += ["--lora-modules", f"{ADAPTER}={fixed.adapter}"]
    return arguments


def environment(
    spec: ExperimentSpec,
    device: Device,
    threads: int,
    model: str = "",
    gpus: Sequence[str] = (),
    fixed: Fixed | None = None,
) -> dict[str, str]:
    """The variables that the server needs beside those it inherits.

    `threads`: OpenMP threads on a CPU; `gpus`: those that it has for itself.
    """
    variables = {
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Connections idle while the trainer computes. By itself vLLM closes them after 5 s, and an episode
        # whose request meets the closing fails.
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "86400",
        # `vllm_log` reads these lines.
        "VLLM_CONFIGURE_LOGGING": "1",
        "VLLM_LOGGING_LEVEL": "INFO",
        "VLLM_LOGGING_PREFIX": "",
        "VLLM_LOGGING_COLOR": "0",
        "PYTHONUNBUFFERED": "1",
    }
    if device == "cpu":
        variables |= _cpu(spec, threads)
    elif gpus:
        variables["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    if fixed is not None:
        pass  # nobody sends weights
    elif resolve_weight_sync(spec, device) == "adapter":
        variables["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    else:
        # The reload of weights is a development endpoint: unauthenticated, hence 127.0.0.1 only.
        variables["VLLM_SERVER_DEV_MODE"] = "1"
    if model and Path(model).is_absolute():
        variables["HF_HUB_OFFLINE"] = "1"
    return variables


def _cpu(spec: ExperimentSpec, threads: int) -> dict[str, str]:
    return {
        "VLLM_CPU_KVCACHE_SPACE": str(spec.vllm.cpu_kvcache_space),
        "VLLM_CPU_CI_ENV": "1",  # no warm-up
        "TORCHDYNAMO_DISABLE": "1",  # the first request with log-probabilities would wait for a compiler
        # By itself vLLM leaves one core out, and threads that spin at barriers slow the trainer tenfold.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        # The engine runs its worker in its own process: one import of torch less, 0.9 GB less.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }


def inherited(variables: Mapping[str, str]) -> dict[str, str]:
    """What the server inherits of the worker's environment."""
    return {name: value for name, value in variables.items() if name not in NOT_FOR_VLLM}

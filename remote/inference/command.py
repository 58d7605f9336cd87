"""How a spec becomes a vLLM command line and environment: where each `vllm.*` and `model.*` key lands.

Owns every flag and variable that the server is given. Pure: it starts nothing, and reads neither the
machine nor the process environment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import remote
from remote.contract.redaction import named_secret
from remote.contract.spec import ExperimentSpec
from remote.inference import gate
from remote.processes.ports import HOST

Device = Literal["cpu", "cuda"]
Sync = Literal["adapter", "merged", "full"]

VLLM = ("-m", "vllm.entrypoints.cli.main")
"""What follows the image's Python to become `vllm`."""
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The `--max-lora-rank`s that vLLM accepts."""
CPU_BLOCK = 32
"""Block sizes on a CPU are multiples of this."""
SERVER_KEY = "VFM_SERVER_KEY"
"""Holds the server's key in the environment of the processes that ask it."""
KEPT = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "LIBRARY_PATH", "CC", "CXX", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"),
        *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_XET_CACHE", "HF_MODULES_CACHE", "HF_ASSETS_CACHE"),
        *("HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "TRANSFORMERS_OFFLINE", "TOKENIZERS_PARALLELISM"),
        "PYTHONHASHSEED",
    }
)
"""Variables that the server inherits of the worker's environment."""
KEPT_FAMILIES = (
    *("LC_", "CUDA_", "NVIDIA_", "NCCL_", "GLOO_", "TORCH_", "TORCHDYNAMO_", "TORCHINDUCTOR_", "PYTORCH_"),
    *("TRITON_", "FLASHINFER_", "VLLM_", "OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_"),
)
"""Beginnings of the names of others that it inherits, unless the name says that it is a secret."""
KEPT_FOR_THE_HUB = frozenset(
    {
        *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT", "HF_XET_HIGH_PERFORMANCE"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    }
)
"""The same where it fetches the model itself; one that lies on this disk needs no network."""
NOT_FOR_VLLM = frozenset({"VLLM_LOGGING_CONFIG_PATH"})
"""Would hide the lines that `vllm_log` reads."""


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
    arguments += ["--disable-uvicorn-access-log", "--middleware", gate.PATH]
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
        "PYTHONPATH": str(remote.PROJECT.resolve()),  # holds the middleware
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
        # The reload of weights is a development endpoint, which `vllm_gate` guards with the others.
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


def inherited(variables: Mapping[str, str], model: str) -> dict[str, str]:
    """What the server inherits of the worker's environment: no secret, but the hub's token where `model` is
    fetched from there."""
    hub = frozenset() if Path(model).is_absolute() else KEPT_FOR_THE_HUB
    return {name: value for name, value in variables.items() if name in hub or _is_kept(name)}


def _is_kept(name: str) -> bool:
    if name in NOT_FOR_VLLM or named_secret(name):
        return False
    return name in KEPT or name.startswith(KEPT_FAMILIES)

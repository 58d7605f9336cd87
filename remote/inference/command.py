"""The command line and environment variables of vLLM for a spec. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from remote.contract.redaction import named_secret
from remote.contract.spec import ExperimentSpec
from remote.inference import gate
from remote.processes.ports import HOST
from remote.processes.python_path import python_path

Device = Literal["cpu", "cuda"]
Sync = Literal["adapter", "merged", "full"]

VLLM = ("-m", "vllm.entrypoints.cli.main")
"""Arguments of the image's Python that run `vllm`."""
LORA_RANKS = (8, 16, 32, 64, 128, 256, 320, 512)
"""The `--max-lora-rank`s that vLLM accepts."""
CPU_BLOCK = 32
"""Block sizes on a CPU are multiples of this."""
SERVER_KEY = "VFM_SERVER_KEY"
"""Variable with the server's key, in the environment of processes that send requests to it."""
KEPT = frozenset(
    {
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TMP", "TEMP"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "LIBRARY_PATH", "CC", "CXX", "XDG_CACHE_HOME", "XDG_RUNTIME_DIR"),
        *("HF_HOME", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_XET_CACHE", "HF_MODULES_CACHE", "HF_ASSETS_CACHE"),
        *("HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_CACHE", "TRANSFORMERS_OFFLINE", "TOKENIZERS_PARALLELISM"),
        "PYTHONHASHSEED",
    }
)
"""Variables that the server inherits from the worker's environment."""
KEPT_FAMILIES = (
    *("LC_", "CUDA_", "NVIDIA_", "NCCL_", "GLOO_", "TORCH_", "TORCHDYNAMO_", "TORCHINDUCTOR_", "PYTORCH_"),
    *("TRITON_", "FLASHINFER_", "VLLM_", "OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_"),
)
"""Prefixes of other variables that it inherits, unless the name says that it is a secret."""
KEPT_FOR_THE_HUB = frozenset(
    {
        *("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HF_TOKEN_PATH", "HF_ENDPOINT", "HF_XET_HIGH_PERFORMANCE"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
        *("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
        *("http_proxy", "https_proxy", "all_proxy", "no_proxy"),
    }
)
"""Variables that it inherits only where it downloads the model itself."""
NOT_FOR_VLLM = frozenset({"VLLM_LOGGING_CONFIG_PATH"})
"""Not inherited, since it could hide the lines that `log_reader` reads."""


@dataclass(frozen=True)
class Fixed:
    """Options of a server for an evaluation, whose weights do not change."""

    tokenizer: str = ""
    """Directory of the tokenizer, where it is not the model's own."""
    adapter: str = ""
    """Directory of a LoRA adapter, which is served under the name `ADAPTER`."""
    rank: int = 0
    """Rank of the adapter."""


ADAPTER = "policy-checkpoint"
"""The served name of an adapter that is evaluated."""


def resolve_weight_sync(spec: ExperimentSpec, device: Device) -> Sync:
    """`vllm.weight_sync` with `auto` resolved."""
    chosen = spec.vllm.weight_sync
    if chosen != "auto":
        return chosen
    if not spec.model.lora.enabled:
        return "full"
    # An active adapter makes decoding on a CPU 6 to 9 times slower.
    return "adapter" if device == "cuda" else "merged"


def block_size(spec: ExperimentSpec, device: Device) -> int:
    """Tokens per block: as configured on a GPU, rounded up to a multiple of 32 on a CPU."""
    configured = spec.vllm.block_size
    return configured if device == "cuda" else -(-configured // CPU_BLOCK) * CPU_BLOCK


def lora_rank(rank: int) -> int:
    """The smallest of vLLM's ranks that is at least this one."""
    return next(accepted for accepted in LORA_RANKS if accepted >= rank)


def notices(spec: ExperimentSpec, device: Device) -> list[str]:
    """Sentences on differences between the server and the config."""
    configured, used = spec.vllm.block_size, block_size(spec, device)
    if configured == used:
        return []
    return [f"vllm.block_size = {configured}: on a CPU blocks are multiples of {CPU_BLOCK}, using {used}"]


def command(
    spec: ExperimentSpec,
    model: str,
    port: int,
    device: Device,
    served_name: str,
    gpus: int = 0,
    fixed: Fixed | None = None,
) -> list[str]:
    """The arguments of `vllm`, from `serve` on. `model`: a hub id or a directory.

    `gpus`: number of its own; 0: it shares one or has none. `fixed`: where nothing is trained.
    """
    vllm = spec.vllm
    arguments = ["serve", model, "--served-model-name", served_name, "--host", HOST, "--port", str(port)]
    arguments += ["--max-model-len", str(vllm.max_model_len)]
    arguments += ["--block-size", str(block_size(spec, device))]
    arguments += ["--dtype", spec.model.dtype, "--seed", str(spec.training.seed)]
    # The trainer computes log-probabilities of the plain distribution. The model's own generation_config
    # (top_k, repetition_penalty …) would sample from another one, and raw log-probabilities are those of
    # temperature 1.
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
    switches = [flag for flag, enabled in flags.items() if enabled]
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
    """The variables of the server besides the inherited ones.

    `threads`: OpenMP threads on a CPU; `gpus`: of the server alone.
    """
    variables = {
        "PYTHONPATH": python_path(),  # holds the middleware
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_DO_NOT_TRACK": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        # Connections are idle while the trainer computes. By default vLLM closes them after 5 s, and a
        # request that is sent just then fails.
        "VLLM_HTTP_TIMEOUT_KEEP_ALIVE": "86400",
        # `log_reader` reads the log.
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
        pass  # no weights are sent
    elif resolve_weight_sync(spec, device) == "adapter":
        variables["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] = "1"
    else:
        # Reloading weights is a development endpoint, to which `gate` checks access.
        variables["VLLM_SERVER_DEV_MODE"] = "1"
    if model and Path(model).is_absolute():
        variables["HF_HUB_OFFLINE"] = "1"
    return variables


def _cpu(spec: ExperimentSpec, threads: int) -> dict[str, str]:
    return {
        "VLLM_CPU_KVCACHE_SPACE": str(spec.vllm.cpu_kvcache_space),
        "VLLM_CPU_CI_ENV": "1",  # no warm-up
        "TORCHDYNAMO_DISABLE": "1",  # the first request with log-probabilities would wait for a compiler
        # By default vLLM leaves out one core, and threads that spin at barriers slow the trainer tenfold.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        # The engine then runs its worker in its own process, which saves an import of torch and 0.9 GB.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    }


def inherited(variables: Mapping[str, str], model: str) -> dict[str, str]:
    """The variables that the server inherits from the worker's environment: no secrets, but the hub's token
    where it downloads `model`."""
    hub = frozenset() if Path(model).is_absolute() else KEPT_FOR_THE_HUB
    return {name: value for name, value in variables.items() if name in hub or _is_kept(name)}


def _is_kept(name: str) -> bool:
    if name in NOT_FOR_VLLM or named_secret(name):
        return False
    return name in KEPT or name.startswith(KEPT_FAMILIES)

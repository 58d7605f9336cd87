"""Explain vLLM's failures: from a line of its log to a sentence and a proposed change of the config."""

from __future__ import annotations

import difflib
import math
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from remote.contract.errors import Hint, ServerError
from remote.contract.spec import ExperimentSpec
from remote.processes import oom


@dataclass(frozen=True)
class Setting:
    """The settings with which the server was started."""

    spec: ExperimentSpec
    model: str
    port: int
    device: str


@dataclass(frozen=True)
class Diagnosis:
    """Why the server died."""

    message: str
    cause: str
    """The line of the log with the cause, or the last lines."""
    hint: Hint | None = None
    retry: bool = False
    """Whether starting it again without changes can help."""

    def with_evidence(self, out_of_memory: bool | None) -> Diagnosis:
        """A copy; where a process was killed, with the probable killer from `oom`."""
        if self.hint is not _KILLED:
            return self
        advice = ": lower training.batch_size, or the server's share of memory" if out_of_memory else ""
        return replace(self, hint=Hint(oom.who_killed(out_of_memory) + advice))

    def error(self) -> ServerError:
        """The diagnosis as an exception."""
        return ServerError(self.message, cause=self.cause, hint=self.hint)


# Errors that would occur again at the next start.
_CERTAIN = re.compile(
    r"^(?:[\w.]*\.)?(?:Type|Value|Key|Attribute|Index|Name|Assertion|Import|ModuleNotFound|NotImplemented"
    r"|Validation)Error|^Value error, "
)
_KILLED = Hint(oom.who_killed(None))
Finding = tuple[str, Hint | None]
Explain = Callable[["re.Match[str]", Setting], Finding]


def diagnose(
    cause: str, tail: list[str], exit_code: int | None, setting: Setting, *, running: bool
) -> Diagnosis:
    """Explain a death by the line with its cause, or by the last lines and the exit code."""
    outcome = "vLLM died while running" if running else "vLLM did not start"
    for pattern, explain, retry in _TABLE:
        if match := pattern.search(cause):
            message, hint = explain(match, setting)
            return Diagnosis(f"{outcome}: {message}", cause, hint, retry)
    if cause:
        return Diagnosis(f"{outcome}: {_short(cause)}", cause, _see_log(), retry=not _CERTAIN.search(cause))
    return Diagnosis(f"{outcome}: {_ending(exit_code)}", "\n".join(tail), _killed(exit_code), retry=True)


def is_known(cause: str) -> bool:
    """Whether the table has this cause."""
    return any(pattern.search(cause) for pattern, _, _ in _TABLE)


def _short(cause: str) -> str:
    """An exception's message with its class, but without the class's module."""
    return re.sub(r"^(?:\w+\.)*(\w+)(?=: )", r"\1", cause.removeprefix("  Value error, ").strip())[:300]


def _see_log() -> Hint:
    return Hint("see the log's [vllm] lines")


def _ending(exit_code: int | None) -> str:
    if exit_code is None:
        return "it does not answer"
    if exit_code > 128:
        try:
            return f"killed by {signal.Signals(exit_code - 128).name}"
        except ValueError:
            pass
    return f"it ended by itself with exit code {exit_code}"


def _killed(exit_code: int | None) -> Hint:
    return _KILLED if exit_code == 128 + signal.SIGKILL else _see_log()


def _change(key: str, old: Any, new: Any, text: str) -> Hint:
    return Hint(text, key=key, old=old, new=new)


# --- one function a failure --------------------------------------------------------------------------


def _port(_: re.Match[str], at: Setting) -> Finding:
    fixed = at.spec.vllm.port
    text = "end the program that holds it"
    if fixed is None:
        return f"port {at.port} was taken by another program", Hint(f"{text}, or start again")
    hint = _change("vllm.port", fixed, None, f"{text}, or leave vllm.port unset to take the next free one")
    return f"port {at.port} is taken", hint


def _too_long(match: re.Match[str], at: Setting) -> Finding:
    requested, limits = match["asked"], re.findall(r"=(\d+)", match["limits"])
    if not limits:
        return f"vllm.max_model_len = {requested} is more than the model takes", _see_log()
    most = min(map(int, limits))
    return f"vllm.max_model_len = {requested} is more than the model takes ({most})", _shorter(most, at)


def _shorter(most: int, at: Setting) -> Hint:
    text = f"set vllm.max_model_len = {most}"
    if at.spec.training.max_completion_length >= most:
        text += f", and training.max_completion_length to less than that (it is {_completion(at)})"
    return _change("vllm.max_model_len", at.spec.vllm.max_model_len, most, text)


def _completion(at: Setting) -> int:
    return at.spec.training.max_completion_length


def _kv_too_small(match: re.Match[str], at: Setting) -> Finding:
    message = f"the KV cache is too small for one request of {match['asked']} tokens"
    fits = re.search(r"estimated maximum model length is (\d+)", match.string)
    if fits and int(fits[1]) >= 16:
        return f"{message}; {fits[1]} would fit", _shorter(int(fits[1]), at)
    needed = re.search(r"\(([\d.]+) GiB KV", match.string)
    return message, _more_cache(at, float(needed[1]) if needed else 0.0)


def _more_cache(at: Setting, needed: float = 0.0) -> Hint:
    """Give the KV cache more memory. `needed`: GiB."""
    vllm = at.spec.vllm
    if at.device == "cpu":
        space = max(vllm.cpu_kvcache_space + 1, math.ceil(needed))
        text = f"set vllm.cpu_kvcache_space = {space} (GB), or a smaller vllm.max_model_len"
        return _change("vllm.cpu_kvcache_space", vllm.cpu_kvcache_space, space, text)
    share = round(min(vllm.gpu_memory_utilization + 0.1, 0.95), 2)
    text = f"set vllm.gpu_memory_utilization = {share}, or a smaller vllm.max_model_len"
    return _change("vllm.gpu_memory_utilization", vllm.gpu_memory_utilization, share, text)


def _no_cache(_: re.Match[str], at: Setting) -> Finding:
    return "the model's weights leave no memory for the KV cache", _more_cache(at)


def _memory(match: re.Match[str], at: Setting) -> Finding:
    """Less memory is free than vLLM needs."""
    free, total = float(match["free"]), float(match["total"])
    message = f"too little memory is free: {free:g} of {total:g} GiB"
    if at.device == "cpu":
        return message, _less_cpu_memory(at, free)
    share, old = math.floor(free / total * 100 - 2) / 100, at.spec.vllm.gpu_memory_utilization
    if not 0.05 <= share < old:
        return message, Hint("end the other programs that use this GPU")
    text = f"set vllm.gpu_memory_utilization = {share}, or end the other programs that use this GPU"
    return message, _change("vllm.gpu_memory_utilization", old, share, text)


def _less_cpu_memory(at: Setting, free: float = math.inf) -> Hint:
    """`free`: GiB."""
    old = at.spec.vllm.cpu_kvcache_space
    new = min(old // 2, math.floor(free / 2)) if free < math.inf else old // 2
    if new < 1:
        return Hint(
            "end other programs, or take a smaller model or batch: the KV cache is as small as it gets"
        )
    text = f"set vllm.cpu_kvcache_space = {new} (GB), or end other programs"
    return _change("vllm.cpu_kvcache_space", old, new, text)


def _out_of_memory(_: re.Match[str], at: Setting) -> Finding:
    if at.device == "cpu":
        return "out of memory", _less_cpu_memory(at)
    old = at.spec.vllm.gpu_memory_utilization
    new = round(max(old - 0.1, 0.1), 2)
    text = f"set vllm.gpu_memory_utilization = {new}, or take a smaller model or a GPU with more memory"
    return "the GPU is out of memory", _change("vllm.gpu_memory_utilization", old, new, text)


def _parser(match: re.Match[str], at: Setting) -> Finding:
    requested, known = match["asked"], [name.strip() for name in match["known"].split(",") if name.strip()]
    near = difflib.get_close_matches(requested, known, n=1, cutoff=0.5) or ["hermes"]
    text = f"set vllm.tool_call_parser = {near[0]}; there are: {', '.join(known)}"
    hint = _change("vllm.tool_call_parser", at.spec.vllm.tool_call_parser, near[0], text)
    return f"vllm.tool_call_parser = {requested} is unknown", hint


def _no_parser(_: re.Match[str], at: Setting) -> Finding:
    hint = _change(
        "vllm.tool_call_parser", None, "hermes", "set vllm.tool_call_parser (hermes suits Qwen models)"
    )
    return "vllm.enable_auto_tool_choice needs vllm.tool_call_parser", hint


def _model(at: Setting, text: str) -> Hint:
    return _change("model.base_model", at.spec.model.base_model or at.model, None, text)


def _no_directory(_: re.Match[str], at: Setting) -> Finding:
    text = "set model.base_model to a directory that exists, a hub id (owner/name) or builtin/smollm2-135m"
    return f"the model's path does not exist: {at.model}", _model(at, text)


def _offline(_: re.Match[str], at: Setting) -> Finding:
    text = (
        "connect to the hub (and unset HF_HUB_OFFLINE), or set model.base_model to a local directory "
        "or to builtin/smollm2-135m"
    )
    return f"the model {at.model} is not on this disk and the hub cannot be reached", _model(at, text)


def _not_on_hub(_: re.Match[str], at: Setting) -> Finding:
    text = "check model.base_model; for a private or gated model set HF_TOKEN in .env and ask for access"
    return f"the hub does not provide the model {at.model}", _model(at, text)


def _damaged(_: re.Match[str], at: Setting) -> Finding:
    from remote.models.load import damaged_advice

    return f"the weights of {at.model} are damaged", _model(at, damaged_advice(Path(at.model)))


def _flag(match: re.Match[str], _: Setting) -> Finding:
    hint = Hint("this image has another vLLM than the pinned one: build it again (`vfm image build local`)")
    return f"vLLM refuses its command line: {match['what']}", hint


def _block(match: re.Match[str], at: Setting) -> Finding:
    new = -(-int(match["asked"]) // 32) * 32
    hint = _change("vllm.block_size", at.spec.vllm.block_size, new, f"set vllm.block_size = {new}")
    return f"vllm.block_size = {match['asked']} does not suit this device", hint


def _remote_code(_: re.Match[str], at: Setting) -> Finding:
    text = "set model.trust_remote_code = true if you trust the model's authors: it runs with the run's keys"
    hint = _change("model.trust_remote_code", at.spec.model.trust_remote_code, True, text)
    return f"the model {at.model} contains code of its own", hint


def _bfloat16(_: re.Match[str], at: Setting) -> Finding:
    hint = _change("model.dtype", at.spec.model.dtype, "float32", "set model.dtype = float32")
    return "this GPU cannot compute in bfloat16", hint


def _disk_full(_: re.Match[str], __: Setting) -> Finding:
    return "the disk is full", Hint("free some space: models lie in the cache volume")


def _engine_died(_: re.Match[str], __: Setting) -> Finding:
    return "its process EngineCore was killed", _KILLED


def _died(match: re.Match[str], _: Setting) -> Finding:
    return f"its process {match['name']} was killed", _KILLED


_TABLE: list[tuple[re.Pattern[str], Explain, bool]] = [
    (re.compile(pattern), explain, retry)
    for pattern, explain, retry in (
        (r"Address already in use", _port, True),
        (r"max_model_len \((?P<asked>\d+)\) is greater than the derived max_model_len \((?P<limits>[^)]*)\)",
         _too_long, False),
        (r"To serve at least one request with the model's max seq len \((?P<asked>\d+)\)",
         _kv_too_small, False),
        (r"No available memory for the cache blocks", _no_cache, False),
        (r"(?:Available|Free) memory on \S+ \S+ \((?P<free>[\d.]+)/(?P<total>[\d.]+) GiB\) on .* less than",
         _memory, False),
        (r"CUDA out of memory|OutOfMemoryError|DefaultCPUAllocator: can't allocate", _out_of_memory, False),
        (r"invalid tool call parser: (?P<asked>.*?) \(chose from \{(?P<known>[^}]*)", _parser, False),
        (r"--enable-auto-tool-choice requires --tool-call-parser", _no_parser, False),
        (r"HFValidationError|Repo id must", _no_directory, False),
        (r"LocalEntryNotFoundError|OfflineModeIsEnabled|outgoing traffic has been disabled|couldn't connect",
         _offline, False),
        (r"RepositoryNotFoundError|GatedRepoError|RevisionNotFoundError", _not_on_hub, False),
        (r"SafetensorError|PytorchStreamReader failed", _damaged, False),
        (r"vllm(?: \w+)?: error: (?P<what>.*)", _flag, False),
        (r"No common block size for (?P<asked>\d+)", _block, False),
        (r"trust_remote_code=True", _remote_code, False),
        (r"Bfloat16 is only supported on GPUs", _bfloat16, False),
        (r"No space left on device", _disk_full, False),
        (r"Worker proc (?P<name>\S+) died unexpectedly", _died, True),
        (r"engine core exited unexpectedly", _engine_died, True),
    )
]  # fmt: skip
"""Pattern in the line with the cause, its explanation, and whether starting again can help."""

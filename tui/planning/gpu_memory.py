"""Estimate whether a launch fits the GPU, part by part, with the reckoning of each.

Owns the arithmetic and the table of GPU memory. Nothing is measured: a run's memory chart shows the truth.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from remote.contract.errors import ConfigError
from remote.contract.gpu_split import Split, share, split
from remote.contract.record import Kind
from remote.contract.spec import ExperimentSpec
from tui.planning.model_sizes import Shape, shape_of

Verdict = Literal["fits", "tight", "does not fit", "unknown"]

GIB = 1024**3
GPU_GIB: Mapping[str, float] = {
    "T4": 15.0,
    "L4": 22.5,
    "A10G": 22.5,
    "A10": 22.5,
    "A100": 40.0,
    "A100-40GB": 40.0,
    "A100-80GB": 80.0,
    "L40S": 45.0,
    "RTX-PRO-6000": 95.6,
    "H100": 79.6,
    "H100!": 79.6,
    "H200": 140.4,
    "B200": 179.0,
    "B200+": 179.0,
}
"""GiB as reported by nvidia-smi; where a name covers several GPUs, the smallest."""
BYTES: Mapping[str, int] = {"float32": 4, "bfloat16": 2, "float16": 2}
CUDA_GIB = 0.6
"""GiB of an empty process: context, kernels, allocator slack (a guess)."""
VLLM_GIB = 1.0
"""GiB of vLLM beside weights and KV cache: context, activations of its largest batch (a guess)."""
TIGHT = 0.9
"""Share of the memory above which fragmentation may decide."""
TILE = 4096 * 8192 * 4
"""Bytes of one tile of logits in TRL's fused output layer."""


@dataclass(frozen=True)
class Part:
    """Memory for one purpose."""

    name: str
    gib: float
    reckoning: str
    """How it was estimated."""


@dataclass(frozen=True)
class Device:
    """The memory that one GPU, or this machine, needs."""

    name: str
    parts: tuple[Part, ...]
    capacity: float | None
    """GiB; None where unknown."""

    @property
    def total(self) -> float:
        """GiB in all."""
        return sum(part.gib for part in self.parts)


@dataclass(frozen=True)
class Fit:
    """The verdict and its reckoning."""

    verdict: Verdict
    why: str
    """One sentence."""
    devices: tuple[Device, ...] = ()
    model: str = ""
    """The model's size, and how it is known."""
    kv: str = ""
    """How many episodes the KV cache holds."""


@dataclass(frozen=True)
class Machine:
    """This machine."""

    memory: float | None = None
    """GiB of RAM."""
    has_gpu: bool = False


def this_machine(root: Path = Path("/")) -> Machine:
    """Memory in GiB (the container's limit, if lower; None where unknown), and whether there is a GPU."""
    limits = [_pages(), _limit(root / "sys/fs/cgroup/memory.max")]
    known = [limit for limit in limits if limit is not None]
    gpus = root / "proc/driver/nvidia/gpus"
    return Machine(min(known) / GIB if known else None, gpus.is_dir() and any(gpus.iterdir()))


def _pages() -> float | None:
    try:
        return float(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (ValueError, OSError, AttributeError):
        return None  # no POSIX


def _limit(path: Path) -> float | None:
    try:
        return float(path.read_text())
    except (OSError, ValueError):
        return None  # no control groups, or `max`


def fit(spec: ExperimentSpec, model: str, *, kind: Kind, backend: str, machine: Machine | None = None) -> Fit:
    """Estimate whether a launch fits where it would run."""
    shape = shape_of(model)
    if shape is None:
        return Fit("unknown", f"the size of {model} is unknown: it is not in its name")
    estimate = _Estimate(spec, shape, kind)
    if backend == "local":
        return _on_this_machine(estimate, machine or Machine(), _size_text(shape))
    try:
        estimate.divide(spec.modal.gpu.count)
    except ConfigError as error:
        return Fit("unknown", error.message, model=_size_text(shape))
    return _on_gpus(estimate, spec.modal.gpu.type, spec.modal.gpu.count, _size_text(shape))


class _Estimate:
    """The memory of one launch, by parts, in GiB."""

    def __init__(self, spec: ExperimentSpec, shape: Shape, kind: Kind) -> None:
        self.spec, self.shape, self.kind = spec, shape, kind
        self.bytes = BYTES[spec.model.dtype]
        self.weights = shape.parameters * self.bytes / GIB
        self.length = min(spec.model.max_token_length, spec.vllm.max_model_len)
        """Tokens of the longest episode that is trained on."""
        self.split = Split(1, 1, shared=True)
        self.share = share(spec, 1)

    def divide(self, gpus: int) -> None:
        """Divide it among GPUs. Raises `ConfigError` where their number does not suit the launch."""
        self.split = split(self.spec, gpus)
        if self.kind == "train":
            self.share = share(self.spec, self.split.trainers)

    @property
    def part(self) -> int:
        """The GPUs among which vLLM divides the model and its cache."""
        return max(self.split.server, 1)

    @property
    def kv_token(self) -> int:
        """Bytes of one token's keys and values in all layers."""
        return 2 * self.shape.layers * self.shape.kv_width * self.bytes

    @property
    def kv_episode(self) -> float:
        """GiB of each GPU's KV cache that one episode of full length takes."""
        return self.kv_token * self.spec.vllm.max_model_len / GIB / self.part

    def server(self) -> Iterator[Part]:
        """What vLLM needs at least, on each of its GPUs."""
        how = f"{_count(self.shape.parameters)} × {self.bytes} bytes"
        how += f", divided among {self.part} GPUs" if self.part > 1 else ""
        yield Part("vLLM weights", self.weights / self.part, how)
        yield Part("vLLM overhead", VLLM_GIB, "context and activations: a guess")

    def trainer(self, length: int) -> Iterator[Part]:
        """What training needs, with episodes of `length` tokens."""
        yield Part("trainer weights", self.weights, f"{_count(self.shape.parameters)} × {self.bytes} bytes")
        yield from self._learned()
        yield from self._per_token(length)

    def fixed(self) -> float:
        """GiB of training that do not depend on the length of episodes."""
        return sum(part.gib for part in self.trainer(0))

    def longest(self, room: float) -> int:
        """The longest episodes, in tokens, for which training fits into `room` GiB."""
        a_token = (sum(part.gib for part in self.trainer(self.length)) - self.fixed()) / self.length
        return max(int((room - self.fixed()) / a_token), 0)

    def _learned(self) -> Iterator[Part]:
        lora = self.spec.model.lora
        if lora.enabled:
            count = self.shape.adapter(lora.rank)
            how = f"{_count(count)} × 16 bytes: float32 weights, gradients and AdamW's two moments"
            yield Part("LoRA adapter, optimiser", count * 16 / GIB, how)
            yield from self._exchanged(count * 4)
        else:
            count = self.shape.parameters
            how = f"{_count(count)} × {3 * self.bytes} bytes: gradients and AdamW's two moments"
            yield Part("gradients, optimiser", count * 3 * self.bytes / GIB, how)
            yield from self._exchanged(count * self.bytes)
            head = self.shape.vocab * self.shape.hidden * 4
            yield Part("output layer's gradient", head / GIB, "float32 while it is accumulated")

    def _exchanged(self, gradients: int) -> Iterator[Part]:
        """Buckets with a copy of every gradient, where several trainers add them up."""
        if self.split.trainers > 1:
            yield Part("gradient buckets", gradients / GIB, "a copy that the trainers add up")

    def _per_token(self, length: int) -> Iterator[Part]:
        t = self.spec.training
        tokens = self.share.batch_size * length
        a_layer = self._layer_bytes(length)
        if t.gradient_checkpointing:
            saved = self.shape.layers * self.shape.hidden * self.bytes + a_layer
            how = f"{tokens:,} tokens × (2 bytes × hidden a layer, and one layer whole): recomputed"
        else:
            saved = self.shape.layers * a_layer
            how = (
                f"{tokens:,} tokens × {self.shape.layers} layers × {a_layer:,} bytes (after Korthikanti 2022)"
            )
        yield Part("activations, at most", tokens * saved / GIB, how)
        head = (tokens * self.shape.hidden * 4 + (TILE if length else 0)) / GIB
        yield Part("logits, at most", head, "in tiles; float32 gradients of the last hidden states")

    def _layer_bytes(self, length: int) -> int:
        """Bytes of one token that one layer keeps for the backward pass, with gated feed-forward layers.

        Korthikanti et al. 2022 count 34 × hidden for attention, feed-forward and norms at two bytes a
        number, without the attention matrix, which sdpa does not keep; `eager` keeps it.
        """
        hidden, inner, kv = self.shape.hidden, self.shape.inner, self.shape.kv_width
        numbers = 6 * hidden + 2 * kv + 4 * inner
        matrix = 2.5 * self.shape.heads * length
        return int(self.bytes * (numbers + (matrix if self._keeps_matrix else 0)))

    @property
    def _keeps_matrix(self) -> bool:
        return self.spec.model.attn_implementation == "eager"


def _on_gpus(estimate: _Estimate, gpu: str, count: int, model: str) -> Fit:
    capacity = GPU_GIB.get(gpu)
    if capacity is None:
        return Fit("unknown", f"the memory of a {gpu} is unknown", model=model)
    share = estimate.spec.vllm.gpu_memory_utilization
    taken = capacity * share
    need = sum(part.gib for part in estimate.server())
    cache = taken - need
    server = (*estimate.server(), Part("KV cache", max(cache, 0), f"the rest of vLLM's {share:.0%}"))
    kv = _kv(cache, estimate)
    if cache < estimate.kv_episode:
        why = (
            f"vLLM's {share:.0%} of {capacity:g} GiB lacks room for one episode of "
            f"{estimate.spec.vllm.max_model_len:,} tokens"
        )
        return Fit("does not fit", why, (Device(gpu, server, capacity),), model, kv)
    if estimate.kind == "evaluate":
        why = "an evaluation needs only the server"
        if count > estimate.part:
            why += f", on {_numbered(gpu, 1, estimate.part)}: the other GPUs would be idle"
        return Fit("fits", why, (Device(gpu, server, capacity),), model, kv)
    context = Part("CUDA context", CUDA_GIB, "a guess")
    training = (context, *estimate.trainer(estimate.length))
    devices: tuple[Device, ...]
    if count > 1:
        devices = (
            Device(f"{_numbered(gpu, 1, estimate.part)}: vLLM", server, capacity),
            Device(f"{_numbered(gpu, estimate.part + 1, count)}: trainer, each", training, capacity),
        )
        room = capacity - CUDA_GIB
    else:
        devices = (Device(gpu, (*server, *training), capacity),)
        room = capacity - taken - CUDA_GIB
    verdict, why = _judged(estimate, room, room - (1 - TIGHT) * capacity)
    return Fit(verdict, why, devices, model, kv)


def _numbered(gpu: str, first: int, last: int) -> str:
    return f"{gpu} {first}" if first == last else f"{gpu} {first}–{last}"


def _judged(estimate: _Estimate, room: float, comfortable: float) -> tuple[Verdict, str]:
    """Whether training fits: with its longest episodes, with shorter ones, or not at all."""
    needs = sum(part.gib for part in estimate.trainer(estimate.length))
    longest, most = estimate.longest(room), estimate.length
    if needs <= comfortable:
        return "fits", f"even with every episode {most:,} tokens long"
    if needs <= room:
        return "tight", f"less than a tenth is left when every episode is {most:,} tokens long"
    more = (
        ""
        if estimate.spec.training.gradient_checkpointing
        else "; training.gradient_checkpointing saves most"
    )
    if longest > estimate.spec.training.max_completion_length:
        return "tight", f"if no episode of a batch is longer than about {_round(longest):,} tokens{more}"
    if longest > 0:
        return "does not fit", f"only episodes of up to about {_round(longest):,} tokens fit{more}"
    return "does not fit", f"training alone needs {estimate.fixed():.1f} GiB and has {max(room, 0):.1f}"


def _on_this_machine(estimate: _Estimate, machine: Machine, model: str) -> Fit:
    """On this machine: the RAM; the memory of a local GPU is unknown."""
    if machine.has_gpu:
        return Fit("unknown", "the memory of this machine's GPU is unknown", model=model)
    cache = float(estimate.spec.vllm.cpu_kvcache_space)
    kv = _kv(cache, estimate)
    parts = [*estimate.server(), Part("KV cache", cache, "vllm.cpu_kvcache_space")]
    if estimate.kind == "train":
        parts += estimate.trainer(estimate.length)
    device = Device("this machine", tuple(parts), machine.memory)
    if machine.memory is None:
        return Fit("unknown", "this machine's memory is unknown", (device,), model, kv)
    if cache < estimate.kv_episode:
        length = estimate.spec.vllm.max_model_len
        why = f"vllm.cpu_kvcache_space has no room for one episode of {length:,} tokens"
        return Fit("does not fit", why, (device,), model, kv)
    if estimate.kind == "evaluate":
        fits = device.total <= machine.memory
        return Fit(
            "fits" if fits else "does not fit", "an evaluation needs only the server", (device,), model, kv
        )
    room = machine.memory - sum(part.gib for part in parts[:3])
    verdict, why = _judged(estimate, room, room - (1 - TIGHT) * machine.memory)
    return Fit(verdict, why, (device,), model, kv)


def _kv(cache: float, estimate: _Estimate) -> str:
    held = max(int(cache / estimate.kv_episode), 0)
    concurrent = estimate.spec.training.concurrency
    tokens = f"{estimate.spec.vllm.max_model_len:,} tokens"
    if held >= concurrent:
        return f"the KV cache holds all {concurrent} episodes at once, even of {tokens}"
    return f"the KV cache holds {held} episodes of {tokens} at once, of up to {concurrent}"


def _size_text(shape: Shape) -> str:
    count = _count(shape.parameters)
    return f"{count} parameters" if shape.exact else f"{count} parameters from its name, in Qwen2.5's shape"


def _count(parameters: float) -> str:
    for unit, size in (("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if parameters >= size:
            return f"{parameters / size:.3g}{unit}"
    return f"{parameters:g}"


def _round(tokens: int) -> int:
    return tokens // 50 * 50 if tokens > 200 else tokens

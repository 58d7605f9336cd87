"""The options of a Modal function (`Function.with_options`) that the `modal` section stands for. Pure."""

from __future__ import annotations

from typing import Any

from remote.contract.record import Kind
from remote.contract.spec import ExperimentSpec

NO_BFLOAT16 = frozenset({"T4"})
"""Modal's GPUs below compute capability 8.0, on which neither vLLM nor torch computes in bfloat16."""


def needs_gpu(spec: ExperimentSpec, kind: Kind) -> bool:
    """Whether the run computes on its own machine: an evaluation of an endpoint does not."""
    return kind == "train" or spec.evaluation.endpoint is None


def regions(spec: ExperimentSpec) -> list[str]:
    """The regions of `modal.region`; empty: any."""
    return [name.strip() for name in (spec.modal.region or "").split(",") if name.strip()]


def modal_options(spec: ExperimentSpec, kind: Kind = "train") -> dict[str, Any]:
    """`cpu` (cores), `memory` (MiB), `gpu` (`TYPE` or `TYPE:COUNT`; None: none), `timeout` (seconds),
    `region` (a list) and `cloud` (None: any)."""
    modal = spec.modal
    count = f":{modal.gpu.count}" if modal.gpu.count > 1 else ""
    return {
        "cpu": modal.cpus,
        "memory": modal.memory,
        "gpu": f"{modal.gpu.type}{count}" if needs_gpu(spec, kind) else None,
        "timeout": modal.timeout,
        "region": regions(spec) or None,
        "cloud": modal.cloud,
    }

"""What the `modal` section asks of Modal, in Modal's own words.

Pure data: the options of a function, as `Function.with_options` takes them. Attaching them is left to
whoever starts the function. The local backend takes what the machine has, and honours the timeout.
"""

from __future__ import annotations

from typing import Any

from remote.contract.record import Kind
from remote.contract.spec import ExperimentSpec

NO_BFLOAT16 = frozenset({"T4"})
"""GPUs of Modal's before compute capability 8.0: neither vLLM nor torch computes in bfloat16 there."""


def needs_gpu(spec: ExperimentSpec, kind: Kind) -> bool:
    """Whether anything is computed where the run runs: an endpoint does that elsewhere."""
    return kind == "train" or spec.evaluation.endpoint is None


def regions(spec: ExperimentSpec) -> list[str]:
    """The regions that Modal may take the machine from; none: any."""
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

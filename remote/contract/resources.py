"""What the `modal` section asks of Modal, in Modal's own words.

Pure data: the options of a function, as `Function.with_options` takes them. Attaching them is left to
whoever starts the function. The local backend takes what the machine has, and honours the timeout.
"""

from __future__ import annotations

from typing import Any

from remote.contract.record import Kind
from remote.contract.spec import ExperimentSpec


def needs_gpu(spec: ExperimentSpec, kind: Kind) -> bool:
    """Whether anything is computed where the run runs: an endpoint does that elsewhere."""
    return kind == "train" or spec.evaluation.endpoint is None


def modal_options(spec: ExperimentSpec, kind: Kind = "train") -> dict[str, Any]:
    """`cpu` (cores), `memory` (MiB), `gpu` (`TYPE` or `TYPE:COUNT`; None: none) and `timeout` (seconds)."""
    modal = spec.modal
    count = f":{modal.gpu.count}" if modal.gpu.count > 1 else ""
    return {
        "cpu": modal.cpus,
        "memory": modal.memory,
        "gpu": f"{modal.gpu.type}{count}" if needs_gpu(spec, kind) else None,
        "timeout": modal.timeout,
    }

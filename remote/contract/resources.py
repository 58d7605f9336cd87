"""What the `modal` section asks of Modal, in Modal's own words.

Pure data: the options of a function, as `Function.with_options` takes them. Attaching them is left to
whoever starts the function. The local backend takes what the machine has, and honours the timeout.
"""

from __future__ import annotations

from typing import Any

from remote.contract.spec import ExperimentSpec


def modal_options(spec: ExperimentSpec) -> dict[str, Any]:
    """`cpu` (cores), `memory` (MiB), `gpu` (`TYPE` or `TYPE:COUNT`) and `timeout` (seconds)."""
    modal = spec.modal
    count = f":{modal.gpu.count}" if modal.gpu.count > 1 else ""
    return {
        "cpu": modal.cpus,
        "memory": modal.memory,
        "gpu": f"{modal.gpu.type}{count}",
        "timeout": modal.timeout,
    }

"""Weights & Biases for a run: what its client is told through the environment, and its end.

Owns no numbers: the trainer reports those itself. Without a key the report is written offline, into the
run directory; `wandb sync` uploads it later.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from remote.contract.spec import ExperimentSpec


def variables(spec: ExperimentSpec, run_dir: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that wandb reads; WANDB_MODE=offline where there is no key.

    The report's id is the run's (the directory's name), so that all attempts at a run are one report.
    """
    found = {"WANDB_PROJECT": spec.wandb.project, "WANDB_DIR": str(run_dir), "WANDB_RUN_ID": run_dir.name}
    if environ.get("WANDB_API_KEY"):
        return {**found, "WANDB_RESUME": "allow"}
    return {**found, "WANDB_MODE": "offline"}


def finish() -> None:
    """Close the report, if there is one."""
    import wandb

    wandb.finish()

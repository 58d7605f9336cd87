"""Find this machine's GPUs, and assign them to the server and the trainers.

How many each side has is decided in `contract/gpu_split.py`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from remote.contract.gpu_split import share, split
from remote.contract.record import Kind
from remote.contract.spec import ExperimentSpec

VISIBLE = "CUDA_VISIBLE_DEVICES"
TRAINERS = "VFM_TRAINERS"
"""Number of trainers on a machine without a GPU, for tests."""


@dataclass(frozen=True)
class Placement:
    """GPUs by the names that CUDA_VISIBLE_DEVICES takes; empty where there is nothing to divide."""

    server: tuple[str, ...] = ()
    """GPUs of the server alone; empty: those that the worker sees."""
    trained_on: tuple[str, ...] = ()
    """GPUs of the trainers, one each; empty: those that the worker sees."""
    trainers: int = 1
    """Number of trainer processes."""


def visible(environ: Mapping[str, str]) -> list[str]:
    """Names of the GPUs that CUDA shows this process; empty where that is unknown."""
    listed = environ.get(VISIBLE)
    if listed is None:
        return [str(index) for index in range(_installed())]
    names = [name.strip() for name in listed.split(",")]
    # CUDA takes names up to the first that it does not know; -1 and the empty one hide the rest.
    hidden = next((at for at, name in enumerate(names) if name in ("", "-1")), len(names))
    return names[:hidden]


def _installed() -> int:
    """Number of GPUs that nvidia-smi lists."""
    if shutil.which("nvidia-smi") is None:
        return 0
    try:
        done = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return 0
    return sum(line.startswith("GPU ") for line in done.stdout.splitlines())


def place(spec: ExperimentSpec, kind: Kind, device: str, environ: Mapping[str, str]) -> Placement:
    """Assign the GPUs. Raises `ConfigError` where the config does not fit the machine's GPUs."""
    if device == "cpu":
        trainers = int(environ.get(TRAINERS) or 1) if kind == "train" else 1
        share(spec, trainers)
        return Placement(trainers=trainers)
    names = tuple(visible(environ))
    if len(names) <= 1:
        return Placement()
    if kind == "evaluate":
        return Placement(server=names[: spec.vllm.gpus or 1])
    divided = split(spec, len(names))
    share(spec, divided.trainers)
    return Placement(names[: divided.server], names[divided.server :], divided.trainers)


def described(placement: Placement) -> str:
    """The placement as a sentence for the log; empty where nothing is divided."""
    if not placement.server:
        return "" if placement.trainers == 1 else f"{placement.trainers} trainers share this machine's CPU"
    sentence = f"vLLM on GPU {', '.join(placement.server)}"
    if placement.trained_on:
        sentence += f"; trainer{'s' * (placement.trainers > 1)} on GPU {', '.join(placement.trained_on)}"
    return sentence


def trainer_environment(placement: Placement, rank: int, port: int) -> dict[str, str]:
    """The variables that accelerate's launcher would set for this rank, and limits on its threads.

    `port`: of 127.0.0.1, where the trainers form their process group.
    """
    local = {"RANK": str(rank), "LOCAL_RANK": str(rank)}
    world = {"WORLD_SIZE": str(placement.trainers), "LOCAL_WORLD_SIZE": str(placement.trainers)}
    # A container's host name, where gloo would look by itself, may lead nowhere.
    rendezvous = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "GLOO_SOCKET_IFNAME": "lo"}
    threads = max(len(os.sched_getaffinity(0)) // placement.trainers, 1)
    # Threads that spin at barriers slow down the other trainers and the server.
    variables = local | world | rendezvous | {"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}
    return variables | ({VISIBLE: ",".join(placement.trained_on)} if placement.trained_on else {})

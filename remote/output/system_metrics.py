"""Emit the load of CPU, memory and NVIDIA GPUs every few seconds."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Callable

import psutil

from remote.contract.events import SystemEvent
from remote.output.emitter import Emitter

GIB = 1 << 30


class SystemSampler:
    """A thread that emits a `SystemEvent` every `seconds` until it is stopped."""

    def __init__(self, emitter: Emitter, server_rss: Callable[[], int], seconds: float = 5.0) -> None:
        self._emitter = emitter
        self._server_rss = server_rss
        self._seconds = seconds
        self._stopped = threading.Event()
        self._self = psutil.Process()
        self.trainers_rss: Callable[[], int] = lambda: 0
        """Resident memory of trainer processes in bytes, which is added to the worker's."""
        self._thread = threading.Thread(target=self._loop, name="system", daemon=True)

    def start(self) -> None:
        """Start sampling."""
        psutil.cpu_percent(None)
        self._thread.start()

    def stop(self) -> None:
        """Stop sampling."""
        self._stopped.set()

    def _loop(self) -> None:
        while not self._stopped.wait(self._seconds):
            self._emitter.emit(SystemEvent(values=self.sample()))

    def sample(self) -> dict[str, float]:
        """Percentages, and sizes in GiB (2^30 bytes)."""
        memory = psutil.virtual_memory()
        return {
            "cpu_percent": psutil.cpu_percent(None),
            "memory_gb": round((memory.total - memory.available) / GIB, 3),
            "memory_total_gb": round(memory.total / GIB, 3),
            "worker_rss_gb": round((self._self.memory_info().rss + self.trainers_rss()) / GIB, 3),
            "server_rss_gb": round(self._server_rss() / GIB, 3),
            **_gpus(),
        }


def _gpus() -> dict[str, float]:
    if shutil.which("nvidia-smi") is None:
        return {}
    query = "--query-gpu=index,utilization.gpu,memory.used,memory.total"
    try:
        done = subprocess.run(
            ["nvidia-smi", query, "--format=csv,noheader,nounits"],
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return {}
    values: dict[str, float] = {}
    for row in done.stdout.splitlines():
        index, percent, used, total = (cell.strip() for cell in row.split(","))
        values[f"gpu{index}_percent"] = float(percent)
        values[f"gpu{index}_memory_gb"] = round(float(used) / 1024, 3)
        values[f"gpu{index}_memory_total_gb"] = round(float(total) / 1024, 3)
    return values

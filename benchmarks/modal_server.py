"""The local server of Modal's protocol that the tests use, for figures beside Modal's own command line."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.common import PROJECT


@contextmanager
def served(folder: Path) -> Iterator[dict[str, str]]:
    """The server in a process of its own, and the environment that leads to it.

    Its volumes are the folders of `folder/cloud/volumes`, and `vfm` is at home in `folder/home`.
    """
    command = [sys.executable, "-m", "tests.modal.cloud", str(folder / "cloud")]
    with subprocess.Popen(command, cwd=PROJECT, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        env = {**os.environ, "VFM_HOME": str(folder / "home"), "VFM_CONFIG_DIR": str(folder / "config")}
        for line in server.stdout:
            if not line.startswith("export "):
                break
            key, _, value = line.removeprefix("export ").rstrip("\n").partition("=")
            env[key] = value
        try:
            yield env
        finally:
            server.terminate()

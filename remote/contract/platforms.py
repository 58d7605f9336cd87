"""The platforms and Python versions that this project runs on. Imports nothing else, so it can run first."""

from __future__ import annotations

import sys

PYTHONS = ("3.11", "3.12")
"""Minor versions of Python on which the client runs and the training stack's pins resolve and import."""
MODAL_PYTHON = "3.12"
"""Python of the image on Modal where `image.python` is unset."""
THIS_PYTHON = f"{sys.version_info[0]}.{sys.version_info[1]}"


def unsupported() -> str:
    """Why the project cannot run here and what to do, in a sentence; empty where it can."""
    if sys.platform == "win32":
        return "vfm-tui runs on Linux and macOS; on Windows, run it in WSL: wsl --install"
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    if version not in PYTHONS:
        return (
            f"vfm-tui runs on Python {' and '.join(PYTHONS)}, and this is {version}: "
            f"uv venv -p {PYTHONS[-1]}, activate it, then pip install -e . in the project's folder"
        )
    return ""

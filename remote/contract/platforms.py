"""Which machines and Pythons this project runs on. Imports nothing else, so that it can be asked first."""

from __future__ import annotations

import sys

OLDEST, NEWEST = (3, 11), (3, 12)


def unsupported() -> str:
    """Why the project cannot run here, and what to do, in a sentence; empty where it can."""
    if sys.platform == "win32":
        return "vfm-tui runs on Linux and macOS; on Windows, run it in WSL: wsl --install"
    if not OLDEST <= sys.version_info[:2] <= NEWEST:
        return (
            f"vfm-tui runs on Python 3.11 and 3.12, and this is {sys.version_info[0]}.{sys.version_info[1]}: "
            "uv venv -p 3.12, activate it, then pip install -e . in the project's folder"
        )
    return ""

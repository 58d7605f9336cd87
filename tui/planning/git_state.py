"""The git revision of a project, for the run's record."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

_TIMEOUT = 5.0  # seconds; a slow disk must not delay a launch


def git_state(project_dir: Path) -> dict[str, Any]:
    """`{"revision": …, "dirty": …}` of a checkout; empty where there is none, or no git."""
    revision = _git(project_dir, "rev-parse", "--verify", "HEAD")
    changes = _git(project_dir, "status", "--porcelain")
    if revision is None or changes is None:
        return {}
    return {"revision": revision.strip(), "dirty": bool(changes.strip())}


def _git(project_dir: Path, *words: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(project_dir), *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, errors="replace", timeout=_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None  # a launch does not need the revision
    return done.stdout if done.returncode == 0 else None

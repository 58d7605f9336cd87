"""A training's checkpoints on disk: which are whole, and what a training that goes back to one leaves behind.

Owns the mark that makes a checkpoint count: written last, it lists every file with its size. A process that
is killed while it saves, or while it removes an old checkpoint, leaves a folder that the trainer would take
for one. What a checkpoint holds is the trainer's.
"""

from __future__ import annotations

import re
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

from remote.contract import layout
from remote.contract.json_text import from_json, to_json
from remote.run_dir import write_atomic

MARK = "complete.json"
_FOLDER = re.compile(r"checkpoint-(\d+)")
_EPISODES = re.compile(r"(?:step|held-out)-(\d+)\.jsonl")


@dataclass(frozen=True)
class Best:
    """`checkpoints/best.json`: the checkpoint whose held-out score no other exceeds."""

    step: int
    path: str
    """Relative to the run directory."""
    score: float


def best(run_dir: Path) -> Best | None:
    """The best checkpoint, if any has a score and is whole."""
    try:
        data = from_json((run_dir / layout.BEST).read_bytes())
        found = Best(int(data["step"]), str(data["path"]), float(data["score"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return found if is_whole(run_dir / found.path) else None


def write_best(run_dir: Path, found: Best) -> None:
    """Put the best checkpoint on record."""
    write_atomic(run_dir / layout.BEST, to_json(asdict(found), indent=1) + "\n")


def mark(checkpoint: Path) -> None:
    """Say that a checkpoint is whole."""
    write_atomic(checkpoint / MARK, to_json({"files": _sizes(checkpoint)}, indent=1) + "\n")


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint is marked, and all that it held then is still there."""
    try:
        files = from_json((checkpoint / MARK).read_bytes())["files"]
        return bool(files) and files.items() <= _sizes(checkpoint).items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def newest(run_dir: Path) -> Path | None:
    """The newest checkpoint that is whole; those that are torn are removed."""
    whole = []
    for folder in (run_dir / layout.CHECKPOINTS).glob("checkpoint-*/"):
        found = _FOLDER.fullmatch(folder.name)
        if found and is_whole(folder):
            whole.append((int(found[1]), folder))
        elif found:
            shutil.rmtree(folder)
    return max(whole)[1] if whole else None


def go_back(run_dir: Path) -> str | None:
    """The checkpoint that the training goes on from, if any. Episodes of later steps are removed: those
    steps are played again. So is word of a best checkpoint that is not there."""
    checkpoint = newest(run_dir)
    step = -1 if checkpoint is None else int(checkpoint.name.rpartition("-")[2])
    if best(run_dir) is None:
        (run_dir / layout.BEST).unlink(missing_ok=True)
    for file in (run_dir / layout.ROLLOUTS).glob("*.jsonl"):
        found = _EPISODES.fullmatch(file.name)
        if found and int(found[1]) > step:
            file.unlink()
    return None if checkpoint is None else str(checkpoint)


def _sizes(checkpoint: Path) -> dict[str, int]:
    files = (path for path in checkpoint.rglob("*") if path.is_file() and path.name != MARK)
    return {str(path.relative_to(checkpoint)): path.stat().st_size for path in files}

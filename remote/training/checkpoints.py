"""A training's checkpoints on disk: mark whole ones, find the newest, remove old ones, and go back to one.

A checkpoint counts once it has its mark, which is written last and lists every file with its size. A process
that is killed while it saves or removes a checkpoint leaves a torn one, which the trainer alone would not
recognise.
"""

from __future__ import annotations

import itertools
import math
import re
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from remote.contract import layout
from remote.contract.json_text import from_json, to_json
from remote.output.run_dir import is_temporary, sync, sync_tree, write_atomic

MARK = "complete.json"
TORN = "torn-"
"""Prefix of the folder of a torn checkpoint that was set aside."""
_FOLDER = re.compile(r"checkpoint-(\d+)")
_EPISODES = re.compile(r"(?:step|held-out)-(\d+)\.jsonl")


@dataclass(frozen=True)
class Best:
    """`checkpoints/best.json`: the checkpoint with the best held-out score."""

    step: int
    path: str
    """Relative to the run directory."""
    score: float


def best(run_dir: Path) -> Best | None:
    """The best checkpoint; None where none has a finite score and is whole."""
    try:
        data = from_json((run_dir / layout.BEST).read_bytes())
        checkpoint = Best(int(data["step"]), str(data["path"]), float(data["score"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # Earlier versions could write NaN, which no score exceeds.
    return checkpoint if math.isfinite(checkpoint.score) and is_whole(run_dir / checkpoint.path) else None


def write_best(run_dir: Path, best: Best) -> None:
    """Write `checkpoints/best.json`."""
    write_atomic(run_dir / layout.BEST, to_json(asdict(best), indent=1) + "\n")


def mark(checkpoint: Path) -> None:
    """Mark a checkpoint as whole, after syncing its files, so that the mark never exists without them."""
    sync_tree(checkpoint)
    write_atomic(checkpoint / MARK, to_json({"files": _sizes(checkpoint)}, indent=1) + "\n")
    sync(checkpoint.parent)


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint is marked, and all of its files are still there."""
    try:
        files = from_json((checkpoint / MARK).read_bytes())["files"]
        return bool(files) and files.items() <= _sizes(checkpoint).items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def newest(run_dir: Path) -> Path | None:
    """The newest whole checkpoint; None where there is none."""
    whole = [step for step, folder in _all(run_dir) if is_whole(folder)]
    return run_dir / layout.checkpoint_path(max(whole)) if whole else None


def rotate(run_dir: Path, keep: int) -> None:
    """Remove the oldest checkpoints until `keep` are left, but never the newest whole one nor the best.

    Call it once the newest one has its mark, so that there is a whole one at every moment.
    """
    leader = best(run_dir)
    protected = {newest(run_dir), None if leader is None else run_dir / leader.path}
    folders = [folder for _, folder in sorted(_all(run_dir))]
    removable = [folder for folder in folders if folder not in protected]
    for folder in removable[: max(0, len(folders) - max(keep, 1))]:
        shutil.rmtree(folder)


def go_back(run_dir: Path, say: Callable[[str], None]) -> str | None:
    """The checkpoint from which the training continues; None: from the start.

    Removes the episodes of later steps, which are played again, and a `best.json` whose checkpoint is gone;
    sets torn checkpoints aside.
    """
    checkpoint = newest(run_dir)
    step = -1 if checkpoint is None else step_of(checkpoint)
    _clear_torn(run_dir, step, say)
    if best(run_dir) is None:
        (run_dir / layout.BEST).unlink(missing_ok=True)
    for file in (run_dir / layout.ROLLOUTS).glob("*.jsonl"):
        match = _EPISODES.fullmatch(file.name)
        if match and int(match[1]) > step:
            file.unlink()
    return None if checkpoint is None else str(checkpoint)


def step_of(checkpoint: Path) -> int:
    """The step after which a checkpoint was saved."""
    return int(checkpoint.name.rpartition("-")[2])


def _clear_torn(run_dir: Path, step: int, say: Callable[[str], None]) -> None:
    """Hide torn checkpoints from the trainer.

    One that is older than the newest whole one was being removed, so it is removed. A newer one was being
    written: its weights may be whole, so it is renamed.
    """
    for number, folder in _all(run_dir):
        if is_whole(folder):
            continue
        if number < step:
            shutil.rmtree(folder)
            continue
        aside = _free(folder.with_name(f"{TORN}{folder.name}"))
        folder.rename(aside)
        path = aside.relative_to(run_dir)
        say(f"⚠ the checkpoint of step {number} is incomplete: set aside as {path}")


def _free(path: Path) -> Path:
    """The path, or one with a number added where it exists."""
    names = (path.with_name(f"{path.name}.{count}") for count in itertools.count(2))
    return next(name for name in itertools.chain([path], names) if not name.exists())


def _all(run_dir: Path) -> list[tuple[int, Path]]:
    """All checkpoints, whole or torn, with their steps."""
    folders = (run_dir / layout.CHECKPOINTS).glob("checkpoint-*/")
    return [(int(match[1]), path) for path in folders if (match := _FOLDER.fullmatch(path.name))]


def _files(checkpoint: Path) -> list[Path]:
    """The files of a checkpoint without its mark and temporary files."""
    files = (path for path in checkpoint.rglob("*") if path.is_file() and path.name != MARK)
    return [path for path in files if not is_temporary(path)]


def _sizes(checkpoint: Path) -> dict[str, int]:
    return {str(path.relative_to(checkpoint)): path.stat().st_size for path in _files(checkpoint)}

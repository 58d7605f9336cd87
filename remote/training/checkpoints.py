"""A training's checkpoints on disk: which are whole, and what a training that goes back to one leaves behind.

Owns the mark that makes a checkpoint count: written last, it lists every file with its size. Old ones are
removed once it is there. A process that is killed while it saves, or while it removes an old one, leaves a
folder that the trainer would take for one. What a checkpoint holds is the trainer's.
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
"""What the name of a checkpoint begins with that was not written to its end and is kept all the same."""
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
    """The best checkpoint, if any has a finite score and is whole."""
    try:
        data = from_json((run_dir / layout.BEST).read_bytes())
        found = Best(int(data["step"]), str(data["path"]), float(data["score"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    # Earlier versions could write NaN, which no score exceeds.
    return found if math.isfinite(found.score) and is_whole(run_dir / found.path) else None


def write_best(run_dir: Path, found: Best) -> None:
    """Put the best checkpoint on record."""
    write_atomic(run_dir / layout.BEST, to_json(asdict(found), indent=1) + "\n")


def mark(checkpoint: Path) -> None:
    """Say that a checkpoint is whole, once its bytes are on the disk: a mark never outlives them."""
    sync_tree(checkpoint)
    write_atomic(checkpoint / MARK, to_json({"files": _sizes(checkpoint)}, indent=1) + "\n")
    sync(checkpoint.parent)


def is_whole(checkpoint: Path) -> bool:
    """Whether a checkpoint is marked, and all that it held then is still there."""
    try:
        files = from_json((checkpoint / MARK).read_bytes())["files"]
        return bool(files) and files.items() <= _sizes(checkpoint).items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def newest(run_dir: Path) -> Path | None:
    """The newest checkpoint that is whole. Nothing is changed."""
    whole = [step for step, folder in _all(run_dir) if is_whole(folder)]
    return run_dir / layout.checkpoint_path(max(whole)) if whole else None


def rotate(run_dir: Path, keep: int) -> None:
    """Remove the oldest checkpoints until `keep` are left; the newest whole one and the best one stay.

    Called once the newest one has its mark, so that there is a whole one at every moment.
    """
    leader = best(run_dir)
    stay = {newest(run_dir), None if leader is None else run_dir / leader.path}
    folders = [folder for _, folder in sorted(_all(run_dir))]
    goes = [folder for folder in folders if folder not in stay]
    for folder in goes[: max(0, len(folders) - max(keep, 1))]:
        shutil.rmtree(folder)


def go_back(run_dir: Path, say: Callable[[str], None]) -> str | None:
    """The checkpoint that the training goes on from, if any. Episodes of later steps are removed: those
    steps are played again. So is word of a best checkpoint that is not there; what is torn is set aside."""
    checkpoint = newest(run_dir)
    step = -1 if checkpoint is None else step_of(checkpoint)
    _clear_torn(run_dir, step, say)
    if best(run_dir) is None:
        (run_dir / layout.BEST).unlink(missing_ok=True)
    for file in (run_dir / layout.ROLLOUTS).glob("*.jsonl"):
        found = _EPISODES.fullmatch(file.name)
        if found and int(found[1]) > step:
            file.unlink()
    return None if checkpoint is None else str(checkpoint)


def step_of(checkpoint: Path) -> int:
    """The step that a checkpoint was saved after."""
    return int(checkpoint.name.rpartition("-")[2])


def _clear_torn(run_dir: Path, step: int, say: Callable[[str], None]) -> None:
    """Take torn checkpoints out of the trainer's sight, which would count them.

    One that is older than the newest whole one was being removed, and goes. A newer one was being written:
    its weights may be whole, so it stays under another name.
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
        say(f"⚠ the checkpoint of step {number} was not written to its end: set aside as {path}")


def _free(path: Path) -> Path:
    """The path, or one like it, where nothing is yet."""
    names = (path.with_name(f"{path.name}.{count}") for count in itertools.count(2))
    return next(name for name in itertools.chain([path], names) if not name.exists())


def _all(run_dir: Path) -> list[tuple[int, Path]]:
    """Checkpoints as the trainer names them, with their steps, whole or torn."""
    folders = (run_dir / layout.CHECKPOINTS).glob("checkpoint-*/")
    return [(int(found[1]), path) for path in folders if (found := _FOLDER.fullmatch(path.name))]


def _files(checkpoint: Path) -> list[Path]:
    """What a checkpoint holds, but for its mark and what a killed writer left."""
    files = (path for path in checkpoint.rglob("*") if path.is_file() and path.name != MARK)
    return [path for path in files if not is_temporary(path)]


def _sizes(checkpoint: Path) -> dict[str, int]:
    return {str(path.relative_to(checkpoint)): path.stat().st_size for path in _files(checkpoint)}

"""Which checkpoints count, and what a training that goes back to one leaves behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote import checkpoints
from remote.contract import layout


def saved(run_dir: Path, step: int) -> Path:
    """A checkpoint that was saved to its end."""
    folder = run_dir / layout.checkpoint_path(step)
    (folder / "sub").mkdir(parents=True)
    (folder / "optimizer.pt").write_bytes(b"x" * 100)
    (folder / "sub" / "weights").write_bytes(b"y" * 10)
    checkpoints.mark(folder)
    return folder


def test_without_a_checkpoint_a_training_starts_from_nothing(tmp_path: Path) -> None:
    assert checkpoints.go_back(tmp_path) is None


def test_the_newest_is_the_one_of_the_last_step_and_final_weights_are_none(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        saved(tmp_path, step)
    for path in (layout.FINAL, layout.STOPPED):
        (tmp_path / path).mkdir()
    assert checkpoints.newest(tmp_path) == tmp_path / layout.checkpoint_path(100)
    assert (tmp_path / layout.STOPPED).exists()


@pytest.mark.parametrize("torn", ["unmarked", "cut", "file gone", "mark cut", "mark of nothing"])
def test_a_torn_checkpoint_is_passed_over_and_removed(tmp_path: Path, torn: str) -> None:
    whole = saved(tmp_path, 10)
    newer = saved(tmp_path, 20)
    mark = newer / checkpoints.MARK
    match torn:
        case "unmarked":
            mark.unlink()
        case "cut":
            (newer / "optimizer.pt").write_bytes(b"x" * 99)
        case "file gone":
            (newer / "sub" / "weights").unlink()
        case "mark cut":
            mark.write_bytes(mark.read_bytes()[:-20])
        case "mark of nothing":
            mark.write_text('{"files": {}}')
    assert checkpoints.newest(tmp_path) == whole
    assert not newer.exists()


def test_episodes_that_will_be_played_again_are_removed(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    rollouts = tmp_path / layout.ROLLOUTS
    rollouts.mkdir()
    for name in ("step-000001", "step-000002", "step-000003", "held-out-000000", "held-out-000004", "mine"):
        (rollouts / f"{name}.jsonl").touch()
    assert checkpoints.go_back(tmp_path) == str(tmp_path / layout.checkpoint_path(2))
    left = {path.stem for path in rollouts.iterdir()}
    assert left == {"step-000001", "step-000002", "held-out-000000", "mine"}

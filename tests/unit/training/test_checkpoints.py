"""Which checkpoints count, and what a training that goes back to one leaves behind."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from remote.contract import layout
from remote.contract.checkpoint_names import best_checkpoint
from remote.contract.events import CheckpointEvent
from remote.models.load import save_final
from remote.output import run_dir
from remote.training import checkpoints


def saved(home: Path, step: int) -> Path:
    """A checkpoint that was saved to its end."""
    folder = home / layout.checkpoint_path(step)
    (folder / "sub").mkdir(parents=True)
    (folder / "optimizer.pt").write_bytes(b"x" * 100)
    (folder / "sub" / "weights").write_bytes(b"y" * 10)
    checkpoints.mark(folder)
    return folder


def folders(home: Path) -> set[str]:
    return {path.name for path in (home / layout.CHECKPOINTS).iterdir() if path.is_dir()}


def test_without_a_checkpoint_a_training_starts_from_nothing(tmp_path: Path) -> None:
    assert checkpoints.go_back(tmp_path, print) is None


def test_the_newest_is_the_one_of_the_last_step_and_final_weights_are_none(tmp_path: Path) -> None:
    for step in (9, 100, 20):
        saved(tmp_path, step)
    for path in (layout.FINAL, layout.STOPPED):
        (tmp_path / path).mkdir()
    assert checkpoints.newest(tmp_path) == tmp_path / layout.checkpoint_path(100)
    assert (tmp_path / layout.STOPPED).exists()


TORN = ["unmarked", "cut", "file gone", "mark cut", "mark of nothing", "mark too deep"]


def tear(checkpoint: Path, how: str) -> None:
    mark = checkpoint / checkpoints.MARK
    match how:
        case "unmarked":
            mark.unlink()
        case "cut":
            (checkpoint / "optimizer.pt").write_bytes(b"x" * 99)
        case "file gone":
            (checkpoint / "sub" / "weights").unlink()
        case "mark cut":
            mark.write_bytes(mark.read_bytes()[:-20])
        case "mark of nothing":
            mark.write_text('{"files": {}}')
        case "mark too deep":
            mark.write_text("[" * 10_000 + "]" * 10_000)


@pytest.mark.parametrize("how", TORN)
def test_a_torn_checkpoint_is_passed_over_and_set_aside_once(tmp_path: Path, how: str) -> None:
    whole, said = saved(tmp_path, 10), list[str]()
    tear(saved(tmp_path, 20), how)
    for _ in range(2):
        assert checkpoints.go_back(tmp_path, said.append) == str(whole)
    assert said == ["⚠ the checkpoint of step 20 is incomplete: set aside as checkpoints/torn-checkpoint-20"]
    assert folders(tmp_path) == {"checkpoint-10", "torn-checkpoint-20"}


@pytest.mark.parametrize("how", TORN)
def test_the_only_checkpoint_is_never_deleted_however_torn(tmp_path: Path, how: str) -> None:
    for _ in range(2):  # the same step may be torn twice
        tear(saved(tmp_path, 20), how)
        assert checkpoints.go_back(tmp_path, lambda _: None) is None
    assert folders(tmp_path) == {"torn-checkpoint-20", "torn-checkpoint-20.2"}
    assert (tmp_path / "checkpoints/torn-checkpoint-20/optimizer.pt").exists()


def test_what_a_killed_writer_left_is_no_part_of_a_checkpoint(tmp_path: Path) -> None:
    left = ".complete.json.abcdefgh.tmp"
    folder = saved(tmp_path, 10)
    (folder / checkpoints.MARK).unlink()
    (folder / left).touch()
    (tmp_path / f".record.json.abcdefg_{run_dir.TEMPORARY}").touch()
    (tmp_path / ".mine.tmp").touch()
    checkpoints.mark(folder)
    assert left not in (folder / checkpoints.MARK).read_text()
    run_dir.remove_temporaries(tmp_path)
    assert checkpoints.is_whole(folder)
    assert not (folder / left).exists()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [".mine.tmp"]


CHANGES = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"}


def killed_at(operation: int, work: Callable[[], None]) -> bool:
    """Do the work in a process that dies before its Nth change of a file; whether it came so far."""
    child = os.fork()
    if child == 0:
        count = itertools.count()

        def die(event: str, arguments: tuple[object, ...]) -> None:
            if event in CHANGES and next(count) == operation:
                os._exit(9)

        sys.addaudithook(die)
        try:
            work()
        except BaseException:
            os._exit(1)
        os._exit(0)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    assert code in (0, 9), "the work itself failed"
    return code == 9


def test_a_kill_at_any_moment_of_saving_and_removing_leaves_a_whole_checkpoint(tmp_path: Path) -> None:
    moments = 0
    while True:
        home = tmp_path / str(moments)
        saved(home, 1)

        def save(home: Path = home) -> None:
            saved(home, 2)
            checkpoints.rotate(home, 1)

        if not killed_at(moments, save):
            break
        found = checkpoints.go_back(home, lambda _: None)
        assert found is not None, f"none is left after a kill at change {moments}"
        assert checkpoints.is_whole(Path(found))
        moments += 1
    assert folders(home) == {"checkpoint-2"}
    assert moments > 15, "the test has stopped looking at what is written"


@pytest.mark.parametrize(("keep", "left"), [(1, {2, 5}), (2, {2, 5}), (3, {2, 4, 5}), (9, {1, 2, 3, 4, 5})])
def test_the_oldest_go_and_the_newest_and_the_best_stay(tmp_path: Path, keep: int, left: set[int]) -> None:
    for step in range(1, 6):
        saved(tmp_path, step)
    checkpoints.write_best(tmp_path, checkpoints.Best(2, layout.checkpoint_path(2), 0.5))
    checkpoints.rotate(tmp_path, keep)
    assert folders(tmp_path) == {f"checkpoint-{step}" for step in left}


def test_episodes_that_will_be_played_again_are_removed(tmp_path: Path) -> None:
    saved(tmp_path, 2)
    rollouts = tmp_path / layout.ROLLOUTS
    rollouts.mkdir()
    for name in ("step-000001", "step-000002", "step-000003", "held-out-000000", "held-out-000004", "mine"):
        (rollouts / f"{name}.jsonl").touch()
    assert checkpoints.go_back(tmp_path, print) == str(tmp_path / layout.checkpoint_path(2))
    left = {path.stem for path in rollouts.iterdir()}
    assert left == {"step-000001", "step-000002", "held-out-000000", "mine"}


def test_a_run_whose_best_score_was_no_number_has_its_highest_as_the_best() -> None:
    nan = float("nan")
    events = [
        CheckpointEvent(step=step, path=f"checkpoints/checkpoint-{step}", score=score, best=best)
        for step, score, best in ((1, nan, True), (2, 0.5, False), (3, 0.9, False), (4, 0.1, False))
    ]
    best = best_checkpoint(events)
    assert best is not None
    assert best.step == 3
    assert best_checkpoint(events[:1]) is None
    assert best_checkpoint(events[1:]) is None


class Weights:
    """As a model or a tokenizer writes itself."""

    def __init__(self, text: str) -> None:
        self.text = text

    def save_pretrained(self, folder: str) -> None:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / "weights").write_text(self.text)


def test_a_kill_at_any_moment_of_saving_final_weights_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    for moment in itertools.count():
        final = tmp_path / str(moment) / "final"
        save_final(Weights("old"), Weights("old"), final)

        def save(final: Path = final) -> None:
            save_final(Weights("new"), Weights("new"), final)

        killed = killed_at(moment, save)
        left = final if final.exists() else final.with_name(".final.old")
        assert (left / "weights").read_text() in ("old", "new")
        save()
        assert [path.name for path in final.parent.iterdir()] == ["final"]
        if not killed:
            break
    assert moment > 5, "the test has stopped looking at what is written"

"""JSON from outside that is nested too deeply is a damaged document to every reader, never a crash."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from remote.contract import layout
from remote.contract.events import decode_line
from remote.contract.log_frames import FrameReader
from remote.training import checkpoints
from tui.backends.local.backend import LocalBackend
from tui.store.episodes.files import read_episode
from tui.store.episodes.task_scores import task_scores
from tui.store.files.preview import preview
from tui.store.runs.config_diff import read_spec
from tui.store.runs.row_cache import RunCache
from tui.user.ui_state import UiState

_DEEP = '{"a":' * 3000 + "1" + "}" * 3000
_LESS = '{"a":' * 400 + "1" + "}" * 400
"""Python's own reader takes this one; those that walk it would not."""


def _event(text: str, _: Path) -> object:
    return decode_line("\x1e" + text)


def _frame(text: str, _: Path) -> object:
    return FrameReader().feed(f'\x1e{{"type":"frame","attempt":{text}}}\n')


def _spec(text: str, _: Path) -> object:
    with pytest.raises(ValueError, match="deeper"):
        read_spec(text.encode())
    return None


def _best(text: str, folder: Path) -> object:
    path = folder / layout.BEST
    path.parent.mkdir(parents=True)
    path.write_text(text)
    return checkpoints.best(folder)


def _record(text: str, folder: Path) -> object:
    run = folder / "volumes" / "v" / "runs" / "r"
    run.mkdir(parents=True)
    (run / layout.RECORD).write_text(text)
    backend = LocalBackend(folder, folder)
    assert asyncio.run(backend.runs()) == []
    [notice] = backend.notices
    assert "damaged" in notice
    return None


def _ui_state(text: str, folder: Path) -> object:
    (folder / "memory.json").write_text(text)
    return UiState(folder).get("anything")


def _cache(text: str, folder: Path) -> object:
    path = folder / "runs.json"
    path.write_text(f'{{"v":1,"rows":[\n{text},\n]}}\n')
    return list(RunCache(path).read())


def _preview(suffix: str) -> Callable[[str, Path], object]:
    def read(text: str, _: Path) -> object:
        shown = preview(f"x{suffix}", len(text), text.encode())
        return [warning for warning in shown.warnings if "recursion" in warning]

    return read


@pytest.mark.parametrize("text", [_DEEP, _LESS], ids=["deep", "less deep"])
@pytest.mark.parametrize(
    ("read", "expected"),
    [
        (_event, lambda text, found: found == "\x1e" + text),
        (_frame, lambda text, found: True),
        (_spec, lambda text, found: found is None),
        (lambda text, _: read_episode(text.encode()).error, lambda text, found: "damaged" in found),
        (lambda text, _: task_scores(text.encode() + b"\n").failed, lambda text, found: found == 1),
        (_best, lambda text, found: found is None),
        (_record, lambda text, found: found is None),
        (_ui_state, lambda text, found: found is None),
        (_cache, lambda text, found: found == [[], []]),
        (_preview(".json"), lambda text, found: not found),
        (_preview(".jsonl"), lambda text, found: not found),
    ],
    ids=["event", "frame", "spec", "episode", "graded", "best", "record", "memory", "cache", "json", "jsonl"],
)
def test_deep_json_is_damage(
    read: Callable[[str, Path], object],
    expected: Callable[[str, object], bool],
    text: str,
    tmp_path: Path,
) -> None:
    assert expected(text, read(text, tmp_path))

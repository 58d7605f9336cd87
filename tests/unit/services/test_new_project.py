"""A new project is whole or not there; its happy end is in tests/package/test_wheel.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote.contract.errors import DiskError
from tui.services.new_project import FILES, write_project


@pytest.mark.parametrize("existed", [True, False])
@pytest.mark.parametrize("moved", range(len(FILES)))
def test_a_disk_that_fails_in_the_middle_leaves_the_folder_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existed: bool, moved: int
) -> None:
    folder, left, rename = tmp_path / "project", [moved], os.rename
    if existed:
        folder.mkdir()
        (folder / "notes.txt").write_text("mine")

    def fail_later(source: Path, target: Path) -> None:
        if not left[0]:
            raise OSError(5, "Input/output error", str(target))
        left[0] -= 1
        rename(source, target)

    monkeypatch.setattr("os.rename", fail_later)
    with pytest.raises(DiskError, match="Input/output error"):
        write_project(folder)
    assert [path.name for path in folder.iterdir()] == ["notes.txt"] if existed else not folder.exists()


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="Not a directory"):
        write_project(tmp_path / "file" / "project")

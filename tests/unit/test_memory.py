"""What the app remembers, and what it does when it cannot."""

from __future__ import annotations

from pathlib import Path

from tui.user.ui_state import Memory


def test_what_was_put_is_there_in_the_next_session(tmp_path: Path) -> None:
    Memory(tmp_path / "app").put("layout", {"wide": ["logs", "charts"]})
    assert Memory(tmp_path / "app").get("layout") == {"wide": ["logs", "charts"]}


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "memory.json").write_text('{"theme": "vfm-li')
    memory = Memory(tmp_path)
    assert memory.get("theme", "vfm-dark") == "vfm-dark"
    memory.put("theme", "vfm-light")
    assert Memory(tmp_path).get("theme") == "vfm-light"


def test_a_disk_that_refuses_shortens_the_memory_only(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("a file where the folder should be")
    memory = Memory(tmp_path / "app")
    memory.put("theme", "vfm-light")
    assert memory.get("theme") == "vfm-light"


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    memory = Memory()
    memory.put("theme", "vfm-light")
    assert memory.get("theme") == "vfm-light"
    assert not list(tmp_path.iterdir())

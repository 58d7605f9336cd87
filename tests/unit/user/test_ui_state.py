"""What the app remembers, and what it does when it cannot."""

from __future__ import annotations

from pathlib import Path

from tui.user.ui_state import UiState


def test_what_was_put_is_there_in_the_next_session(tmp_path: Path) -> None:
    UiState(tmp_path / "app").put("layout", {"wide": ["logs", "charts"]})
    assert UiState(tmp_path / "app").get("layout") == {"wide": ["logs", "charts"]}


def test_a_damaged_file_is_begun_anew(tmp_path: Path) -> None:
    (tmp_path / "memory.json").write_text('{"theme": "vfm-li')
    ui_state = UiState(tmp_path)
    assert ui_state.get("theme", "vfm-dark") == "vfm-dark"
    ui_state.put("theme", "vfm-light")
    assert UiState(tmp_path).get("theme") == "vfm-light"


def test_a_disk_that_refuses_shortens_the_memory_only(tmp_path: Path) -> None:
    (tmp_path / "app").write_text("a file where the folder should be")
    ui_state = UiState(tmp_path / "app")
    ui_state.put("theme", "vfm-light")
    assert ui_state.get("theme") == "vfm-light"


def test_without_a_folder_nothing_is_written(tmp_path: Path) -> None:
    ui_state = UiState()
    ui_state.put("theme", "vfm-light")
    assert ui_state.get("theme") == "vfm-light"
    assert not list(tmp_path.iterdir())

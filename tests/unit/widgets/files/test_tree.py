"""The tree of files as data, and how text is broken into rows: pure parts of the files pane."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui.backends.base import Entry
from tui.widgets.files.preview_view import breaks
from tui.widgets.files.tree import FileRows, natural, outermost, totals

FILES = [
    Entry("runs", True),
    Entry("runs/r1", True),
    Entry("runs/r1/step-10", False, 10, 5.0),
    Entry("runs/r1/step-2", False, 200, 6.0),
    Entry("readme", False, 1, 7.0),
]


def tree() -> FileRows:
    rows = FileRows()
    rows.put("", [FILES[0], FILES[4]])
    rows.put("runs", [FILES[1]])
    rows.put("runs/r1", FILES[2:4])
    rows.open |= {"runs", "runs/r1"}
    return rows


def names(rows: FileRows) -> list[str]:
    return [row.message or row.name for row in rows.rows()]


def test_folders_come_first_and_numbers_count() -> None:
    assert names(tree()) == ["runs", "r1", "step-2", "step-10", "readme"]


def test_order_by_size_and_age_and_back() -> None:
    rows = tree()
    rows.sort = "size"
    assert names(rows) == ["runs", "r1", "step-2", "step-10", "readme"]
    rows.reverse = True
    assert names(rows) == ["runs", "r1", "step-10", "step-2", "readme"]
    rows.sort = "age"
    assert names(rows)[2:4] == ["step-10", "step-2"]


def test_folders_have_sizes_once_everything_was_listed() -> None:
    rows = tree()
    assert rows.rows()[0].size is None
    rows.put_everything(FILES)
    assert [row.size for row in rows.rows()] == [211 - 1, 210, 200, 10, 1]
    assert rows.total("") == 211
    assert totals(FILES) == {"runs/r1": 210, "runs": 210, "": 211}


def test_a_filter_needs_all_words_whatever_their_case() -> None:
    rows = tree()
    rows.words = ["R1", "step", "2"]
    assert names(rows) == ["runs/r1/step-2"]
    rows.words = ["none"]
    assert names(rows) == ["no file has all these words in its path"]


def test_a_filter_below_a_root_looks_at_what_follows_it() -> None:
    rows = FileRows("runs/r1")
    rows.put_everything(FILES[2:4])
    rows.words = ["10"]
    assert names(rows) == ["step-10"]
    rows.words = ["runs"]
    assert rows.rows()[0].message


def test_marks_of_what_is_gone_go_too() -> None:
    rows = tree()
    rows.marks = {"readme", "runs/r1/step-2"}
    rows.put("", [FILES[0]])
    assert rows.marks == {"runs/r1/step-2"}


def test_a_folder_says_why_it_shows_nothing() -> None:
    rows = tree()
    rows.put("runs/r1", [])
    assert "nothing in here" in names(rows)
    rows.say("runs/r1", "! gone")
    assert "! gone" in names(rows)
    assert not rows.knows("runs/r1")


def test_what_lies_in_a_marked_folder_is_not_named_twice() -> None:
    assert outermost({"a/b", "a", "ab", "a/c/d"}) == ["a", "ab"]


@given(st.lists(st.text()))
def test_any_names_can_be_ordered(found: list[str]) -> None:
    assert sorted(sorted(found, key=natural), key=natural) == sorted(found, key=natural)


@given(st.text(st.characters(exclude_categories=["C"]), max_size=200), st.integers(2, 40))
def test_rows_hold_all_of_a_line_and_none_is_too_wide(text: str, width: int) -> None:
    pieces = [text[start:end] for start, end in breaks(text, width)]
    assert "".join(pieces) == text
    assert all(cell_len(piece) <= width for piece in pieces)


def test_a_line_breaks_between_words() -> None:
    assert [("one two three four"[a:b]) for a, b in breaks("one two three four", 9)] == [
        "one two ",
        "three ",
        "four",
    ]

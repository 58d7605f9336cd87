"""What is shown of files of every kind, whole, cut off, damaged and wrongly named."""

from __future__ import annotations

import io
import json
import struct
import sys
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tui.store.files.model import MAX_CHARS, MAX_LINES, MAX_ROWS, Lines, Preview, Table
from tui.store.files.preview import HEAD, MOST_PARQUET, load, preview
from tui.store.files.text import laid_out

NAMES = (
    "a.json",
    "a.jsonl",
    "a.yaml",
    "a.csv",
    "a.tsv",
    "a.parquet",
    "a.safetensors",
    "a.log",
    "a.png",
    "a",
    "",
)


def look(name: str, data: bytes) -> Preview:
    return preview(name, len(data), data)


def texts(found: Preview) -> list[str]:
    assert isinstance(found.body, Lines)
    return [line.text for line in found.body.lines]


def table(found: Preview) -> Table:
    assert isinstance(found.body, Table)
    return found.body


def as_parquet(columns: dict[str, Any]) -> bytes:
    file = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), file)
    return file.getvalue()


def as_safetensors(header: dict[str, Any], data: bytes = b"") -> bytes:
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + data


async def test_without_pyarrow_parquet_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And nothing of the file is read for it."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)

    async def read(offset: int, size: int) -> bytes:
        raise AssertionError("read")

    found = await load(read, "a.parquet", 1000)
    assert found.kind == "Parquet"
    assert "pip install" in found.warnings[0]
    assert look("a.parquet", b"PAR1").warnings == found.warnings


def test_text_keeps_colours_and_progress_bars_for_the_one_who_shows_it() -> None:
    found = look("run.log", b"\x1b[31mred\x1b[0m\n 5%\r10%\nlast")
    assert texts(found) == ["\x1b[31mred\x1b[0m", " 5%\r10%", "last"]
    assert (found.kind, found.notes) == ("text", ())


def test_json_is_indented() -> None:
    found = look("record.json", b'{"a": [1, "\xc3\xa9"], "b": "\\ud800"}')
    assert texts(found) == ["{", '  "a": [', "    1,", '    "é"', "  ],", '  "b": "\\ud800"', "}"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            b'{"a": 1,\n}',
            "not valid JSON: Expecting property name enclosed in double quotes (line 2, column 1)",
        ),
        (b"[" * 5000, "not readable as JSON"),
        (b"9" * 5000, "not readable as JSON"),
    ],
    ids=["comma", "depth", "digits"],
)
def test_json_that_is_none_is_shown_as_text_and_said_to_be_so(data: bytes, said: str) -> None:
    found = look("record.json", data)
    assert said in found.warnings[0]
    assert texts(found)[0].startswith(data[:8].decode())


def test_a_large_json_document_is_shown_as_it_is() -> None:
    found = preview("a.json", 10**7, b'{"a":\n 1, ' + b" " * 100)
    assert (found.kind, texts(found)[0]) == ("JSON", '{"a":')
    assert found.notes == ("the first 0 KiB",)


def test_rollouts_are_conversations() -> None:
    episode = {
        "step": 3,
        "task": "guess",
        "messages": [
            {"role": "user", "content": "Hello\nthere"},
            {"role": "assistant", "content": None, "tool_calls": [{"name": "guess"}]},
            {"role": "tool", "content": [{"type": "text", "text": "[red]right[/]"}]},
        ],
        "reward": 0.123456,
        "rewards": {"right": 1.0},
    }
    found = look("step-000003.jsonl", (json.dumps(episode) + "\n" + '{"step": 4}\n').encode())
    assert found.kind == "JSON lines, 2 records"
    assert isinstance(found.body, Lines)
    assert found.body.wrap
    assert [line.text for line in found.body.lines if line.look == "heading"] == [
        "1 · step 3 · task guess · reward 0.1235",
        "2 · step 4",
    ]
    assert [line.text for line in found.body.lines if line.look == "role"] == ["user", "assistant", "tool"]
    lines = texts(found)
    assert lines[1:4] == ["user", "Hello", "there"]
    assert "[red]right[/]" in lines
    assert '      "name": "guess"' in lines
    assert not any('"messages"' in line for line in lines)


def test_prompt_and_completion_are_one_conversation() -> None:
    record = {
        "prompt": [{"role": "user", "content": "a"}],
        "completion": [{"role": "assistant", "content": "b"}],
    }
    assert texts(look("t.jsonl", json.dumps(record).encode()))[1:5] == ["user", "a", "assistant", "b"]


def test_lines_that_are_no_json_are_named_and_the_others_shown() -> None:
    found = look("events.jsonl", b'{"type": "phase"}\nnonsense\n\n[1]\n')
    assert [line for line in texts(found) if " · " in line] == [
        "1 · phase",
        "2 · not valid JSON: Expecting value (column 1)",
    ]
    assert found.warnings == ("1 of 3 lines are not JSON",)


def test_a_record_that_is_cut_off_is_left_out() -> None:
    found = preview("events.jsonl", 1000, b'{"a": 1}\n{"b": ')
    assert found.kind == "JSON lines, 1 record and more"
    assert found.notes == ("the first 0 KiB",)
    found = preview("events.jsonl", 1000, b'{"a": 1')
    assert "longer than" in found.warnings[0]


def test_parquet_is_a_table() -> None:
    found = look(
        "train.parquet", as_parquet({"n": [1, 2, None], "text": ["a", "\x1b[2J", "c" * 500], "x": [0.1] * 3})
    )
    shown = table(found)
    assert (list(shown.columns), list(shown.types)) == (["n", "text", "x"], ["int64", "string", "double"])
    assert [row[0] for row in shown.rows] == ["1", "2", "–"]
    assert list(shown.numeric) == [True, False, True]
    assert len(shown.rows[2][1]) < 250
    assert found.kind == "Parquet, 3 columns × 3 rows"


def test_parquet_shows_its_first_rows_and_may_be_empty() -> None:
    found = look("a.parquet", as_parquet({"n": list(range(1000))}))
    assert len(table(found).rows) == MAX_ROWS
    assert found.notes == (f"the first {MAX_ROWS} rows",)
    empty = look("a.parquet", as_parquet({"n": pyarrow.array([], pyarrow.int64())}))
    assert (table(empty).columns, table(empty).rows) == (["n"], [])


def test_damaged_parquet_is_shown_in_hex() -> None:
    data = as_parquet({"n": [1, 2, 3]})
    found = look("a.parquet", data[:20] + data[40:])
    assert "not readable as Parquet" in found.warnings[0]
    assert found.kind == "Parquet"
    assert texts(found)[0].startswith("00000000  50 41 52 31")


def test_csv_is_a_table_and_ragged_rows_are_filled_up() -> None:
    shown = table(look("a.csv", b'step,reward,note\n1,0.5,"a, b"\n2,0.25\n3,1,x,more\n'))
    assert shown.columns == ["step", "reward", "note", ""]
    assert shown.rows[:2] == [["1", "0.5", "a, b", ""], ["2", "0.25", "", ""]]
    assert list(shown.numeric) == [True, True, False, False]
    assert table(look("a.tsv", b"a\tb\n1\t2\n")).columns == ["a", "b"]


def test_the_header_of_safetensors_is_enough() -> None:
    header = {
        "__metadata__": {"format": "pt"},
        "w": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]},
        "b": {"dtype": "BF16", "shape": [], "data_offsets": [24, 26]},
    }
    data = as_safetensors(header, bytes(26))
    found = preview("model.safetensors", len(data), data[:-20])
    assert table(found).rows == [["w", "F32", "2 × 3", "6"], ["b", "BF16", "scalar", "1"]]
    assert (found.kind, [*found.notes]) == ("safetensors, 2 tensors, 7 weights", ["format: pt"])
    cut = preview("model.safetensors", len(data) - 5, data)
    assert "damaged: by its header" in cut.warnings[0]


@pytest.mark.parametrize(
    "data",
    [
        b"abc",
        struct.pack("<Q", 2**60) + b"{}",
        struct.pack("<Q", 50) + b"{}",
        as_safetensors({"w": {"shape": 3}}),
    ],
)
def test_damaged_safetensors_is_said_to_be_so(data: bytes) -> None:
    assert "safetensors" in look("model.safetensors", data).warnings[0]


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + struct.pack(">II", 640, 480), "PNG image, 640 × 480"),
        (b"\xff\xd8\xff\xe0rest", "JPEG image"),
        (bytes(range(256)), "binary"),
        (b"", "empty file"),
        ("a\nb".encode("utf-16"), "text"),
    ],
)
def test_the_kind_is_told_by_the_bytes(data: bytes, kind: str) -> None:
    assert look("anything", data).kind == kind


def test_a_hex_dump_is_sixteen_bytes_a_line() -> None:
    found = look("a.bin", bytes(range(32)) + bytes(2000))
    assert texts(found)[1] == f"00000010  10 11 12 13 14 15 16 17  18 19 1a 1b 1c 1d 1e 1f  {'·' * 16}"
    assert len(texts(found)) == 64
    assert found.notes == ("the first 1,024 bytes",)


def test_no_file_is_too_long_to_show() -> None:
    found = look("a.txt", b"x" * 10**6 + b"\n" + b"y\n" * 10**5)
    lines = texts(found)
    assert lines[0].endswith(f"… {10**6 - MAX_CHARS:,} characters more")
    assert len(lines) == MAX_LINES + 1
    assert lines[-1] == "… more than 5,000 lines"


def test_invalid_utf_8_is_shown_and_counted() -> None:
    found = look("a.txt", b"ab\xff\xfecd and more text than that")
    assert texts(found) == ["ab\ufffd\ufffdcd and more text than that"]
    assert "2 places" in found.warnings[0]


class File:
    """A file of a volume that counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.data, self.reads = data, list[tuple[int, int]]()

    async def read(self, offset: int, size: int) -> bytes:
        self.reads.append((offset, size))
        return self.data[offset : offset + size]


async def test_only_the_head_of_a_large_file_is_read_and_of_a_log_the_end() -> None:
    file = File(b"".join(b"line %d\n" % n for n in range(100_000)))
    size = len(file.data)
    head = await load(file.read, "a.txt", size)
    assert texts(head)[0] == "line 0"
    assert head.notes == ("the first 256 KiB",)
    tail = await load(file.read, "a.log", size)
    assert texts(tail)[-1] == "line 99999" or "more than" in texts(tail)[-1]
    assert "bytes above" in texts(tail)[0]
    assert file.reads == [(0, HEAD), (size - HEAD, HEAD)]


async def test_a_long_safetensors_header_is_read_whole() -> None:
    header = {
        f"layer.{n}": {"dtype": "F32", "shape": [1], "data_offsets": [n * 4, n * 4 + 4]} for n in range(9000)
    }
    file = File(as_safetensors(header, bytes(36000)))
    found = await load(file.read, "model.safetensors", len(file.data))
    assert len(table(found).rows) == 9000
    assert sum(size for _, size in file.reads) == len(file.data) - 36000


async def test_parquet_is_read_whole_or_not_at_all() -> None:
    file = File(as_parquet({"n": list(range(100))}))
    assert (await load(file.read, "a.parquet", len(file.data))).kind == "Parquet, 1 columns × 100 rows"
    assert file.reads == [(0, len(file.data))]
    assert "download it" in (await load(file.read, "a.parquet", MOST_PARQUET + 1)).warnings[0]
    assert len(file.reads) == 1


@given(
    st.sampled_from(NAMES), st.one_of(st.binary(max_size=3000), st.text().map(str.encode)), st.integers(0, 3)
)
@example("a.jsonl", b'"\\ud800"', 0)
@example("a.json", b"NaN", 0)
@example("a.csv", b'"\x00', 0)
@example("a.safetensors", struct.pack("<Q", 2) + b"[]", 0)
@example("a.safetensors", as_safetensors({"w": {"dtype": 1, "shape": ["x"], "data_offsets": [0, 1]}}), 0)
@example("a.parquet", b"PAR1" + b"\0" * 20 + b"PAR1", 0)
def test_no_bytes_under_any_name_are_too_much(name: str, data: bytes, more: int) -> None:
    _check(preview(name, len(data) + more * 1000, data))


@given(st.binary(max_size=40), st.integers(0, 500))
def test_damaged_parquet_never_raises(noise: bytes, at: int) -> None:
    data = as_parquet({"n": [1, 2, 3], "text": ["a", "b", "c"]})
    _check(look("a.parquet", data[:at] + noise + data[at + len(noise) :]))


@given(
    st.recursive(
        st.none() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_a_record(value: Any) -> None:
    _check(look("a.jsonl", json.dumps(value).encode()))
    messages = {"messages": [{"role": value, "content": value}], "type": value, "reward": value}
    _check(look("a.jsonl", json.dumps(messages).encode()))


def _check(found: Preview) -> None:
    """Everything can be sent to a terminal, and no cell is huge."""
    strings = [found.kind, *found.notes, *found.warnings]
    if isinstance(found.body, Lines):
        strings += [line.text for line in found.body.lines]
    else:
        strings += [
            *found.body.columns,
            *found.body.types,
            *(cell for row in found.body.rows for cell in row),
        ]
        width = len(found.body.columns)
        assert all(len(row) == width for row in found.body.rows)
        assert len(found.body.types) == width
    for text in strings:
        text.encode()
        assert len(text) < MAX_CHARS + 100


def _texts(shown: Preview) -> list[str]:
    assert isinstance(shown.body, Lines)
    return [line.text for line in shown.body.lines]


def test_json_is_laid_out_as_it_was_written() -> None:
    data = b'{"a": 1, "a": 2.50, "big": 1e999, "e": {}, "l": [], "s": "\\u00e9 {,}", "n": [1, {"x": null}]}'
    assert _texts(preview("x.json", len(data), data)) == [
        "{",
        '  "a": 1,',
        '  "a": 2.50,',
        '  "big": 1e999,',
        '  "e": {},',
        '  "l": [],',
        '  "s": "\\u00e9 {,}",',
        '  "n": [',
        "    1,",
        "    {",
        '      "x": null',
        "    }",
        "  ]",
        "}",
    ]
    row = b'{"a": 1, "a": 2}\n'
    assert '  "a": 1,' in _texts(preview("x.jsonl", len(row), row))


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_that_is_laid_out_says_the_same(value: Any) -> None:
    assert json.loads(laid_out(json.dumps(value))) == value
    assert laid_out(json.dumps(value, ensure_ascii=False)) == json.dumps(value, indent=2, ensure_ascii=False)


@pytest.mark.parametrize(
    ("data", "columns"),
    [
        (b"a;b\n1,5;2\n", ["a", "b"]),
        (b"a,b\n1;5,2\n", ["a", "b"]),
        (b"a|b|c\n1|2|3\n", ["a", "b", "c"]),
        (b'"x;y;z",b\n1,2\n', ["x;y;z", "b"]),
        (b"alone\n1\n", ["alone"]),
    ],
)
def test_a_csv_has_the_delimiter_that_its_head_has(data: bytes, columns: list[str]) -> None:
    shown = preview("x.csv", len(data), data)
    assert isinstance(shown.body, Table)
    assert list(shown.body.columns) == columns


def test_lines_that_end_as_on_an_old_mac_are_all_shown() -> None:
    data = b"one\rtwo\rthree\r"
    assert _texts(preview("x.txt", len(data), data)) == ["one", "two", "three"]
    assert _texts(preview("x.log", len(data), data)) == ["one\rtwo\rthree"]

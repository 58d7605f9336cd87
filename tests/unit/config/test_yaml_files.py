"""Config files: what is read, with which lines, and what is refused with which words."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote.contract.errors import ConfigError
from tui.config import yaml_files
from tui.config.problems import ConfigProblems


def write(folder: Path, text: str | bytes, name: str = "x.yaml") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def refusal(path: Path) -> str:
    with pytest.raises(ConfigProblems) as caught:
        yaml_files.load(path)
    return str(caught.value)


def test_names_in_a_hint_stay_on_one_line(tmp_path: Path) -> None:
    (tmp_path / "a b\nc.yaml").write_text("training: {}\n")
    for path in (tmp_path, tmp_path / "other.yaml"):
        said = refusal(path)
        assert r"a b\nc.yaml" in said
        assert "a b\n" not in said


def test_keys_know_their_lines(tmp_path: Path) -> None:
    path = write(tmp_path, "# a comment\ntraining:\n  steps: 3\n\n  batch_size: 4\n")
    tree = yaml_files.load(path)
    assert tree.data == {"training": {"steps": 3, "batch_size": 4}}
    assert tree.where(("training", "batch_size")) == f"{path}:5"
    assert tree.where(("training", "nosuch")) == f"{path}:2"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3e-6", 3e-6),
        ("3E+2", 300.0),
        (".5", 0.5),
        ("-.inf", float("-inf")),
        ("007", 7),
        ("0x10", 16),
        ("0o10", 8),
        ("true", True),
        ("no", "no"),
        ("1:30", "1:30"),
        ("2024-01-01", "2024-01-01"),
        ("~", None),
        ("", None),
        ("'3e-6'", "3e-6"),
        ("!!str 3", "3"),
        ("!!float 3", 3.0),
        ("[1, two, {three: 3}]", [1, "two", {"three": 3}]),
        ("9" * 5000, float("inf")),
    ],
)
def test_words_mean_what_they_look_like(tmp_path: Path, text: str, value: object) -> None:
    assert yaml_files.load(write(tmp_path, f"key: {text}\n")).data == {"key": value}


def test_aliases_and_merges_are_written_out(tmp_path: Path) -> None:
    path = write(tmp_path, "a: &a {x: 1, y: 2}\nb: *a\nc:\n  y: 3\n  <<: *a\n")
    tree = yaml_files.load(path)
    assert tree.data == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 2}, "c": {"y": 3, "x": 1}}
    assert tree.where(("c", "x")) == f"{path}:1"
    assert tree.where(("c", "y")) == f"{path}:4"


def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path: Path) -> None:
    assert yaml_files.load(write(tmp_path, b"\xef\xbb\xbfkey: 1\n")).data == {"key": 1}


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_an_empty_file_is_refused(tmp_path: Path, text: str) -> None:
    path = write(tmp_path, text)
    message = refusal(path)
    assert str(path) in message
    assert "empty" in message or "only the value" in message


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("training:\n  steps: [1, 2\n", ":3:1", "not YAML"),
        ("training:\n\tsteps: 1\n", ":2:1", "a tab where YAML wants spaces"),
        ("a: 1\nb: c: d\n", ":2:5", "a second ':'"),
        ("a: *nobody\n", ":1:4", "undefined alias"),
        ("a: 1\n---\nb: 2\n", ":2:1", "a single document"),
        ("a: 'x\n", ":2:1", "not YAML"),
        ("a: \x07\n", ":1", "not allowed"),
        ("- 1\n- 2\n", ":1", "a list"),
        ("just words\n", ":1", 'only the value "just words"'),
        ("a: 1\nb: !!python/name:os.system x\n", ":2", "python/name"),
        ("a: !!set {x, y}\n", ":1", "is not allowed"),
        ("a: !!int x\n", ":1", "is no int"),
        ('a: "\\0"\n', ":1", "no file or command line can carry"),
        ('a: "\\ud800"\n', ":1", "no file or command line can carry"),
        ("a: " + "[" * 100_000, ":1:", "nested more than 40 deep"),
        ("a: [" + "1, " * 100_000 + "]", ":1:", "more than 10,000 values"),
        ("a: &a [1, *a]\n", ":1", "holds the alias itself"),
    ],
)
def test_what_is_no_config_is_refused_at_its_place(tmp_path: Path, text: str, place: str, words: str) -> None:
    path = write(tmp_path, text)
    message = refusal(path)
    assert message.startswith(f"{path}{place}")
    assert words in message
    assert len(message.splitlines()) == 1


def test_an_alias_bomb_is_refused_at_once(tmp_path: Path) -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    assert "values once its aliases are written out" in refusal(write(tmp_path, "\n".join(rows)))


def test_keys_that_stand_twice_are_all_told_of(tmp_path: Path) -> None:
    path = write(tmp_path, "a: {x: 1}\nb: 2\na: 3\nb: 4\n[1]: 5\n")
    problems = [str(p) for p in yaml_files.load(path).problems]
    assert problems == [
        f"{path}:3: the key a stands here a second time (first at {path}:1)",
        f"{path}:4: the key b stands here a second time (first at {path}:2)",
        f"{path}:5: a key must be a word",
    ]


def test_text_that_is_not_utf8_is_refused_with_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, b"a: 1\nb: \xff\xfe\n")
    assert refusal(path) == f"{path}:2: is not UTF-8 text (byte 8)"


def test_a_file_too_large_is_refused(tmp_path: Path) -> None:
    assert "larger than 1,000,000 bytes" in refusal(write(tmp_path, b"#" * 1_000_001))


def test_a_missing_file_lists_those_that_there_are(tmp_path: Path) -> None:
    write(tmp_path, "a: 1", "wordle.yaml")
    write(tmp_path, "a: 1", "bfcl.yaml")
    message = refusal(tmp_path / "wordel.yaml")
    assert message.startswith(f"{tmp_path / 'wordel.yaml'}: there is no such config")
    assert "did you mean" in message
    assert "bfcl.yaml, wordle.yaml" in message


def test_a_folder_is_refused_with_what_it_holds(tmp_path: Path) -> None:
    path = write(tmp_path, "a: 1")
    message = refusal(tmp_path)
    assert "is a folder" in message
    assert str(path) in message


def test_a_file_within_a_file_is_a_config_error(tmp_path: Path) -> None:
    path = write(tmp_path, "a: 1")
    with pytest.raises(ConfigError, match="cannot be read"):
        yaml_files.load(path / "y.yaml")


def test_configs_are_listed_by_name(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.yml", "notes.txt"):
        write(tmp_path, "a: 1", name)
    assert [p.name for p in yaml_files.list_configs(tmp_path)] == ["a.yml", "b.yaml"]
    assert yaml_files.list_configs(tmp_path / "nosuch") == []


def test_a_pipe_is_read_and_one_that_nobody_writes_into_is_not_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe.yaml"
    os.mkfifo(pipe)
    with pytest.raises(ConfigProblems, match="a pipe that nobody writes into"):
        yaml_files.load(pipe)
    reading, writing = os.pipe()  # as a shell's <(…) hands it over
    os.write(writing, b"training:\n  steps: 7\n")
    os.close(writing)
    try:
        assert yaml_files.load(f"/dev/fd/{reading}").data == {"training": {"steps": 7}}
    finally:
        os.close(reading)


@pytest.mark.parametrize("text", ["", "# turns: 2\n", "---\n...\n"])
def test_a_block_of_comments_alone_is_nothing(text: str) -> None:
    assert yaml_files.read_block(text, "it") is None

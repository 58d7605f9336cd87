"""Episodes on file, whole or damaged, and how they look."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui.store.episodes.files import episode_file, index, ordered, read_episode, text_of
from tui.widgets.episodes.layout import as_text, conversation, row_text, worth

EPISODE: dict[str, Any] = {
    "step": 3,
    "task": "crane",
    "messages": [
        {"role": "system", "content": "Guess."},
        {"role": "user", "content": [{"type": "text", "text": "Go"}, {"type": "image_url"}]},
        {
            "role": "assistant",
            "reasoning_content": "hm",
            "content": None,
            "tool_calls": [
                {"id": "a", "function": {"name": "guess", "arguments": '{"word": "slate"}'}},
                {"id": "b", "function": {"name": "look", "arguments": '{"at": {"row": [1, 2]}}'}},
                {"id": "c", "function": {"name": "broken", "arguments": '{"word": '}},
            ],
        },
        {"role": "tool", "tool_call_id": "a", "content": '{"green": ["a", "e"]}'},
        {"role": "assistant", "content": "crane\n  indented"},
    ],
    "rewards": {"solved": 1.0, "format": 0.05, "length": -0.5},
    "reward": 0.55,
    "metrics": {"turns_used": 2.0},
    "error": None,
    "advantage": 0.25,
}


def lines(*episodes: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(episode).encode() + b"\n" for episode in episodes)


def text(messages: list[dict[str, Any]], width: int = 60) -> str:
    return conversation(messages, width).plain


@pytest.mark.parametrize(
    ("path", "label"),
    [
        ("runs/x/rollouts/step-000012.jsonl", "step 12"),
        ("runs/x/rollouts/held-out-000012.jsonl", "held-out, step 12"),
        ("runs/x/evaluation/rollouts.jsonl", "evaluation"),
        ("/home/ann/downloads/x/evaluation/rollouts.jsonl", "evaluation"),
    ],
)
def test_files_are_told_by_their_step(path: str, label: str) -> None:
    file = episode_file(path, 7)
    assert file is not None
    assert (file.label, file.path, file.size) == (label, path, 7)


def test_other_files_are_none_of_ours_and_later_ones_sort_higher() -> None:
    assert episode_file("runs/x/rollouts/notes.txt", 1) is None
    assert episode_file("runs/x/evaluation/traces.jsonl", 1) is None
    paths = ["step-000002", "held-out-000002", "step-000010", "held-out-000000"]
    files = [episode_file(f"runs/x/rollouts/{name}.jsonl", 1) for name in paths]
    newest_first = sorted((f for f in files if f), key=lambda f: f.order, reverse=True)
    assert [f.label for f in newest_first] == ["step 10", "held-out, step 2", "step 2", "held-out, step 0"]


def test_rows_say_where_their_lines_lie() -> None:
    data = lines(EPISODE, {**EPISODE, "task": "ümlaut", "reward": 1.5}, {**EPISODE, "error": "boom"})
    rows = index(data, base=100)
    assert [(row.task, row.reward, row.turns, row.error) for row in rows] == [
        ("crane", 0.55, 2, ""),
        ("ümlaut", 1.5, 2, ""),
        ("crane", None, 2, "boom"),
    ]
    assert rows[0].first == "crane indented"
    for row in rows:
        assert read_episode(data[row.offset - 100 :][: row.size]).task == row.task


def test_a_torn_last_line_waits() -> None:
    data = lines(EPISODE, EPISODE)
    assert len(index(data[:-5])) == 1
    assert index(b"") == []


def test_order_is_by_reward_and_failures_come_last() -> None:
    rows = index(
        lines(*({**EPISODE, "reward": r, "error": e} for r, e in [(1, None), (9, "x"), (3, None), (2, None)]))
    )
    assert [row.reward for row in ordered(rows, best_first=True)] == [3, 2, 1, None]
    assert [row.reward for row in ordered(rows, best_first=False)] == [1, 2, 3, None]


@pytest.mark.parametrize("line", [b"{", b"[]", b"7", b"\xff\xfe"])
def test_a_damaged_line_says_so(line: bytes) -> None:
    assert "this line" in read_episode(line).error


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: st.lists(x) | st.dictionaries(st.text(), x),
    )
)
def test_whatever_a_field_holds_is_survived(value: Any) -> None:
    for name in ("task", "messages", "rewards", "reward", "metrics", "error"):
        line = json.dumps({**EPISODE, name: value}).encode()
        episode = read_episode(line)
        rows = index(line + b"\n")
        assert "\x1b" not in row_text(rows[0], 0.0, 1.0, 8, True).plain
        worth(episode, 60)
        conversation(episode.messages, 40)
        as_text(episode)


@given(
    st.dictionaries(
        st.sampled_from(["role", "content", "tool_calls", "name", "tool_call_id", "x"]),
        st.recursive(
            st.none() | st.integers() | st.text(),
            lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(), x, max_size=3),
        ),
    )
)
def test_whatever_a_message_holds_is_shown_and_not_obeyed(message: dict[str, Any]) -> None:
    shown = text([message])
    assert not any(char in shown for char in "\x1b\x07\x9b\r")


def test_a_conversation_tells_roles_turns_calls_and_results() -> None:
    shown = text(EPISODE["messages"])
    assert [line.removeprefix("▌ ").rstrip() for line in shown.split("\n")] == [
        "system",
        "Guess.",
        "",
        "user",
        "Go",
        "(image_url)",
        "",
        "assistant  turn 1",
        "hm",
        '⚙ guess(word="slate")',
        "⚙ look {",
        '  "at": {',
        '    "row": [',
        "      1,",
        "      2",
        "    ]",
        "  }",
        "}",
        '⚙ broken {"word":',
        "",
        "tool  guess",
        "{",
        '  "green": [',
        '    "a",',
        '    "e"',
        "  ]",
        "}",
        "",
        "assistant  turn 2",
        "crane",
        "  indented",
    ]


def test_markup_and_control_characters_are_shown() -> None:
    shown = text([{"role": "user", "content": "[bold]x[/bold]\x1b[2J\x1b]0;title\x07"}])
    assert r"[bold]x[/bold]\x1b[2J\x1b]0;title\x07" in shown


def test_long_text_wraps_and_what_is_cut_is_said() -> None:
    shown = text([{"role": "user", "content": "word " * 10_000}], width=40)
    assert all(len(line) <= 40 for line in shown.split("\n")[:-1])
    assert "30,000 more characters" in shown


def test_an_endless_conversation_is_cut_and_says_so() -> None:
    shown = text([{"role": "user", "content": "word " * 3000}] * 100)
    assert len(shown) < 200_000
    assert shown.split("\n")[-1].endswith("more messages: y copies the whole episode")


def test_every_part_of_the_reward_is_told_aligned() -> None:
    head, *parts = (line.plain for line in worth(read_episode(json.dumps(EPISODE).encode()), 30))
    assert head == "crane   reward 0.5500   advantage +0.2500"
    assert parts == [
        "solved   1.0000 ■■■■■■",
        "format   0.0500 ······",
        "length  -0.5000 ■■■···",
        "turns_used 2",
    ]


def test_wide_panes_have_parts_in_columns_read_downwards() -> None:
    lines_ = [line.plain for line in worth(read_episode(json.dumps(EPISODE).encode()), 60)]
    assert lines_[1].split() == ["solved", "1.0000", "■■■■■■", "length", "-0.5000", "■■■···"]
    assert lines_[2].split() == ["format", "0.0500", "······"]


def test_rows_show_how_good_they_are_among_their_like() -> None:
    worst, best = index(lines({**EPISODE, "reward": 0.0}, {**EPISODE, "reward": 2.0}))
    assert row_text(worst, 0.0, 2.0, 6, True).plain.startswith("  0.000 ······ crane  2 turns  crane")
    assert row_text(best, 0.0, 2.0, 6, False).plain == "  2.000 ■■■■■■ crane  crane indented"
    failed = index(lines({**EPISODE, "error": "Boom: no\nmore"}))[0]
    assert row_text(failed, 0.0, 2.0, 6, False).plain == "      ✗ failed crane  Boom: no"


def test_an_episode_can_be_pasted() -> None:
    pasted = as_text(read_episode(json.dumps(EPISODE).encode()))
    assert pasted.startswith("task crane   reward 0.55\n  solved 1.0\n")
    assert '[assistant]\n⚙ guess(word="slate")' in pasted


def test_text_of_what_is_neither_text_nor_parts() -> None:
    assert text_of(None) == ""
    assert text_of({"a": 1}) == '{\n  "a": 1\n}'

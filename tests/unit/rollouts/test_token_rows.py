"""Episodes as token rows: masks, prefixes, limits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from remote.rollouts.token_rows import Turn, blank_row, to_row

TOKENS = st.lists(st.integers(0, 50), min_size=1, max_size=6)


def turn(prompt: list[int], said: list[int]) -> Turn:
    return {"prompt_ids": prompt, "completion_ids": said, "logprobs": [-0.5] * len(said)}


def test_one_turn_is_all_the_models_own() -> None:
    row = to_row([turn([1, 2], [3, 4])], 100)
    assert row is not None
    assert (row.prompt_ids, row.completion_ids, row.env_mask) == ([1, 2], [3, 4], [1, 1])
    assert row.logprobs == [-0.5, -0.5]


def test_what_lies_between_turns_is_masked_out() -> None:
    row = to_row([turn([1, 2], [3]), turn([1, 2, 3, 9, 9], [4, 5])], 100)
    assert row is not None
    assert row.completion_ids == [3, 9, 9, 4, 5]
    assert row.env_mask == [1, 0, 0, 1, 1]
    assert row.logprobs == [-0.5, 0.0, 0.0, -0.5, -0.5]


def test_a_rewritten_history_ends_the_row_and_is_told() -> None:
    row = to_row([turn([1, 2], [3]), turn([1, 2, 7, 9], [4])], 100)
    assert row is not None
    assert row.completion_ids == [3]
    assert row.rewritten


def test_a_long_episode_is_cut_and_never_ends_on_the_environments_tokens() -> None:
    row = to_row([turn([1, 2], [3]), turn([1, 2, 3, 9, 9], [4, 5])], 5)
    assert row is not None
    assert row.completion_ids == [3]
    assert row.clipped


def test_an_episode_without_a_reply_has_no_row() -> None:
    assert to_row([], 100) is None
    assert to_row([turn([1], [])], 100) is None
    assert to_row([turn([1] * 10, [2])], 10) is None


def test_the_stand_in_for_a_failed_episode_trains_nothing() -> None:
    assert sum(blank_row(2).env_mask) == 0


@given(prompt=TOKENS, parts=st.lists(st.tuples(TOKENS, TOKENS), min_size=1, max_size=5))
def test_the_row_is_the_servers_own_sequence(
    prompt: list[int], parts: list[tuple[list[int], list[int]]]
) -> None:
    turns, history = [], list(prompt)
    for said, feedback in parts:
        turns.append(turn(list(history), said))
        history += said + feedback
    row = to_row(turns, 1000)
    assert row is not None
    whole = row.prompt_ids + row.completion_ids
    assert whole == history[: len(whole)]
    own = [t for t, m in zip(row.completion_ids, row.env_mask, strict=True) if m]
    assert own == [t for said, _ in parts for t in said]
    assert len(row.logprobs) == len(row.completion_ids) == len(row.env_mask)

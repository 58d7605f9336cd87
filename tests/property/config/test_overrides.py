"""The `--set` parser, whatever is typed: it round-trips, keeps text, and fails only with its own error."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from tui.config import schema
from tui.config.overrides import Override, parse, parse_one, spell
from tui.config.problems import ConfigProblems, Problem
from tui.config.resolve import resolve_layers

calm = settings(deadline=None)  # a busy machine is no failure
words = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))
parts = st.from_regex(r"[a-z][a-z0-9_-]{0,11}", fullmatch=True)
keys = st.lists(parts, min_size=1, max_size=4).map(tuple)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(10**30), 10**30)
    | st.floats(allow_nan=False, allow_infinity=False)
    | words
)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(words, inner, max_size=4)
)


def outcome(call: Callable[[], Any]) -> tuple[Any, list[Problem]]:
    """What a call gives, or the problems that it raises; any other error is the test's failure."""
    try:
        return call(), []
    except ConfigProblems as error:
        return None, error.problems


@calm
@given(keys, values)
def test_what_is_spelled_is_read_again(key: tuple[str, ...], value: Any) -> None:
    override = Override(key, value)
    assert parse_one(override.argument) == override


@calm
@given(st.floats(allow_nan=False, allow_infinity=False))
def test_every_spelling_of_a_float_is_that_float(number: float) -> None:
    for text in (repr(number), f"{number:.17e}", f"{number:.17E}", spell(number)):
        read = parse_one(f"a={text}").value
        assert isinstance(read, float)
        assert math.isclose(read, number, rel_tol=1e-15)


@calm
@given(words)
def test_whatever_is_typed_is_read_or_refused_by_name(text: str) -> None:
    override, problems = outcome(lambda: parse_one(text))
    for problem in problems:
        assert problem.where.startswith("--set ")
        assert len(str(problem).splitlines()) == 1
    assert problems or override.key == tuple(text.partition("=")[0].strip().split("."))


@calm
@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_plain_text_is_kept_word_for_word(text: str) -> None:
    if text.strip().startswith(("[", "{", '"', "'")):
        return
    value = parse_one(f"a={text}").value
    assert not isinstance(value, str) or value == text.strip()


@calm
@given(st.lists(st.sampled_from(["a=1", "b", "=c", "d={", "e.f=2", "g..h=3", "i=[1", "j=]"]), max_size=8))
def test_every_bad_word_is_told_of(typed: list[str]) -> None:
    bad = [text for text in typed if text not in ("a=1", "e.f=2", "j=]")]
    overrides, problems = outcome(lambda: parse(typed))
    assert [p.where for p in problems] == [f"--set {text}" for text in bad]
    assert bad or len(overrides) == len(typed)


@calm
@given(st.lists(st.integers(1, 10**6), min_size=1, max_size=5))
def test_the_last_value_of_a_key_wins(steps: list[int]) -> None:
    resolved = resolve_layers(None, parse(f"training.steps={n}" for n in steps))
    assert resolved.spec.training.steps == steps[-1]
    assert len(resolved.typed) == 1


@calm
@given(keys, values)
def test_no_key_and_value_ends_in_another_error(key: tuple[str, ...], value: Any) -> None:
    resolved, problems = outcome(lambda: resolve_layers(None, [Override(key, value)]))
    assert problems or resolved.provenance.keys() == resolved.values.keys()


@calm
@given(st.sampled_from(schema.rows()), values)
@example(schema.by_key()["training.environment_secrets"], ["A", None])
def test_a_known_key_takes_its_value_or_says_what_it_takes(row: schema.Row, value: Any) -> None:
    resolved, problems = outcome(lambda: resolve_layers(None, [Override(row.path, value)]))
    assert all(p.where.startswith("--set ") for p in problems)
    assert problems or resolved.provenance.keys() == resolved.values.keys()

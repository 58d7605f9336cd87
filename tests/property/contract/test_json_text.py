"""What is written is strict JSON that no terminal obeys, and what is read back is the same."""

from __future__ import annotations

import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from remote.contract.events import MetricsEvent, RolloutEvent, decode_line, encode_line
from remote.contract.json_text import DEEPEST, from_json, to_json, to_portable_json

_ANY_TEXT = st.text(st.characters(exclude_categories=()))  # halves of surrogates too
_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | _ANY_TEXT
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner) | st.dictionaries(_ANY_TEXT, inner), max_leaves=20
)
_NEVER_BARE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def _refused(word: str) -> Any:
    raise AssertionError(f"{word} is no JSON")


def _nulled(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _nulled(part) for key, part in value.items()}
    return [_nulled(part) for part in value] if isinstance(value, list) else value


@given(_VALUES, st.sampled_from([None, 2]))
def test_it_is_strict_and_reads_back_as_what_it_was(value: Any, indent: int | None) -> None:
    text = to_json(value, indent=indent)
    assert json.loads(text, parse_constant=_refused) == from_json(text) == _nulled(value)
    assert not _NEVER_BARE.search(text)
    assert indent or "\n" not in text


@given(_ANY_TEXT)
def test_a_record_is_written_and_read_whatever_its_texts_hold(text: str) -> None:
    class Record(BaseModel):
        failure: dict[str, Any]

    written = to_portable_json(Record(failure={text: [text]}).model_dump(mode="json"))
    # pydantic puts something of its own in place of a half surrogate in a key.
    ((_, values),) = Record.model_validate_json(written).failure.items()
    assert values == [text.encode(errors="replace").decode()]


@pytest.mark.parametrize("opening", ["[", '{"a":', '[{"b":['])
@pytest.mark.parametrize("times", [DEEPEST + 1, 2_000, 200_000])
def test_a_document_that_is_nested_deeply_is_refused_as_any_other_bad_one(opening: str, times: int) -> None:
    closing = "".join("]" if letter == "[" else "}" for letter in reversed(opening) if letter in "[{")
    for text in (opening * times + "1" + closing * times, opening * times):
        with pytest.raises(ValueError, match=r"deeper|Expecting"):
            from_json(text)
        with pytest.raises(ValueError, match=r"deeper|Expecting"):
            from_json(text.encode())


def test_a_broad_document_is_read_whole() -> None:
    rows = [{"messages": [[number]]} for number in range(1000)]
    assert from_json(json.dumps(rows)) == rows


def test_events_with_numbers_that_are_none_are_json_and_stay_what_they_are() -> None:
    metrics = MetricsEvent(step=3, values={"loss": math.nan, "kl": -math.inf, "reward": 0.5})
    rollout = RolloutEvent(step=3, task="t", messages=[], rewards={"r": math.inf}, reward=math.nan)
    for event in (metrics, rollout):
        line = encode_line(event)
        json.loads(line[1:], parse_constant=_refused)
        assert type(decode_line(line)) is type(event)
    read = decode_line(encode_line(metrics))
    assert isinstance(read, MetricsEvent)
    assert math.isnan(read.values["loss"])
    assert math.isnan(read.values["kl"])
    assert read.values["reward"] == 0.5


def test_what_older_versions_wrote_is_read_as_it_was() -> None:
    old = decode_line('\x1e{"v":1,"seq":4,"t":1,"type":"metrics","step":1,"values":{"a":NaN,"b":-Infinity}}')
    assert isinstance(old, MetricsEvent)
    assert math.isnan(old.values["a"])
    assert old.values["b"] == -math.inf

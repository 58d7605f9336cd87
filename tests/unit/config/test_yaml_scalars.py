"""What plain words of YAML 1.2's core schema mean."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tui.config.yaml_scalars import DIGITS, TAG, read_plain, read_tagged


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("", None), ("~", None), ("null", None), ("NULL", None)),
        *(("true", True), ("TRUE", True), ("false", False), ("False", False)),
        *(("7", 7), ("-7", -7), ("+7", 7), ("010", 10), ("0o17", 15), ("0xfF", 255)),
        *(("3e-6", 3e-6), ("1.5", 1.5), (".5", 0.5), ("1.", 1.0), ("-1E3", -1000.0)),
        *((".inf", math.inf), ("-.INF", -math.inf), ("+.Inf", math.inf)),
        *(("yes", "yes"), ("no", "no"), ("1:30", "1:30"), ("0b11", "0b11"), ("1_000", "1_000")),
        *(("nUll", "nUll"), ("tRue", "tRue"), ("truely", "truely"), ("0o8", "0o8"), ("1e", "1e")),
    ],
)
def test_a_word_means_what_it_looks_like(text: str, value: Any) -> None:
    assert read_plain(text) == value
    assert type(read_plain(text)) is type(value)


def test_what_is_no_number_is_none() -> None:
    assert math.isnan(read_plain(".nan"))


def test_a_whole_number_that_python_would_not_convert_is_a_float() -> None:
    assert read_plain("1" * DIGITS) == int("1" * DIGITS)
    assert read_plain("1" * (DIGITS + 1)) == math.inf


@pytest.mark.parametrize(
    ("tag", "text", "value"),
    [("str", "7", "7"), ("int", "7", 7), ("float", "7", 7.0), ("float", "7.5", 7.5), ("null", "~", None)],
)
def test_a_tag_decides(tag: str, text: str, value: Any) -> None:
    assert read_tagged(TAG + tag, text) == value
    assert type(read_tagged(TAG + tag, text)) is type(value)


@pytest.mark.parametrize(
    ("tag", "text"), [("int", "7.5"), ("bool", "7"), ("float", "seven"), ("int", "x" * 99)]
)
def test_a_word_that_is_not_of_its_tag_is_refused(tag: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"is no|could not convert") as raised:
        read_tagged(TAG + tag, text)
    assert len(str(raised.value)) < 80

"""However a number is written it is the same number, and no other number is taken for it."""

from __future__ import annotations

import importlib
import sys
from fractions import Fraction
from pathlib import Path

from hypothesis import assume, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))
numbers, replies, scoring = (
    importlib.import_module(f"vf_gsm8k.{name}") for name in ("numbers", "replies", "scoring")
)

in_any_time = settings(deadline=None)  # a busy machine is no failure
whole = st.integers(-(10**9), 10**9)
words = st.sampled_from(["", "about ", "The answer is ", "It is $x$ that makes ", "So: ", "apples "])
around = st.sampled_from(
    ["{}", "**{}**", "${}$", r"\({}\)", "`{}`", "({})", "{}.", " {}\n", r"\boxed{{{}}}", "x = {}"]
)


@st.composite
def written(draw: st.DrawFn, value: int) -> str:
    """One of the ways to write a whole number."""
    sign, digits = ("-" if value < 0 else draw(st.sampled_from(["", "+"]))), str(abs(value))
    grouped = f"{abs(value):,}"
    body = draw(
        st.sampled_from(
            [
                digits,
                f"0{digits}",
                grouped,
                grouped.replace(",", "{,}"),
                grouped.replace(",", "\u202f"),
                f"{digits}.00",
                f"{grouped}.0",
                f"${grouped}",
                f"{digits}e0",
                f"{abs(value) * 7}/7",
                "".join(chr(ord("٠") + int(d)) for d in digits),
            ]
        )
    )
    return sign.replace("-", draw(st.sampled_from(["-", "−"]))) + body


@in_any_time
@given(st.data(), whole, words, around)
def test_a_number_is_the_same_however_it_is_written(
    data: st.DataObject, value: int, before: str, frame: str
) -> None:
    text = before + frame.format(data.draw(written(value)))
    assert numbers.read_number(text) == value, text


@in_any_time
@given(
    whole, whole, st.sampled_from([" or ", ", ", " and ", "; ", " ", " / or / ", "\n", " to ", "–", ":", "^"])
)
def test_two_numbers_are_none(one: int, other: int, between: str) -> None:
    assert numbers.read_number(f"{one}{between}{other}") is None


@in_any_time
@given(whole, st.text("abckxyz:/^", min_size=1, max_size=3), st.text("0123456789", max_size=2))
def test_no_part_of_something_longer_is_a_number(value: int, between: str, digits: str) -> None:
    assume(digits or between.rstrip(":"))
    assume(not (digits and between == "/"))  # a fraction
    assert numbers.read_number(f"{value}{between}{digits}") is None
    assert numbers.read_number(f"{value}{digits or 0}") == int(f"{value}{digits or 0}")


@in_any_time
@given(whole, st.text(max_size=30), st.sampled_from(["boxed", "tagged", "plain"]))
def test_nothing_outside_its_place_changes_the_answer(value: int, noise: str, form: str) -> None:
    assume(not any(sign in noise for sign in "<\\{}"))
    place = {"boxed": rf"\boxed{{{value}}}", "tagged": f"<answer>{value}</answer>", "plain": str(value)}[form]
    text = place if form == "plain" else f"{noise}{place}{noise}"
    assert scoring.score(text, Fraction(value), form) == {"correct": 1.0, "format": 1.0}
    assert scoring.score(text, Fraction(value + 1), form)["correct"] == 0.0


@in_any_time
@given(st.text(st.sampled_from("0123456789.,-+/=eE$%{}\\^ ()<>x½²٣*'_frac"), max_size=40))
def test_any_text_is_read_or_refused_and_never_an_error(text: str) -> None:
    number = numbers.read_number(text)
    assert number is None or isinstance(number, Fraction)
    for form in ("boxed", "tagged", "plain"):
        assert 0 <= replies.read_reply(text, form).form <= 1

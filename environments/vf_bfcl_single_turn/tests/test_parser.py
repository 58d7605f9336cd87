"""Which calls a reply makes: native ones, Python, JSON, and what is neither."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

PACKAGE = Path(__file__).parents[1]
sys.path.insert(0, str(PACKAGE))
parser = importlib.import_module("vf_bfcl_single_turn.parser")

ONE = [{"f": {"a": 1}}]
TWO = [{"f": {"a": 1}}, {"g": {"b": "x"}}]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('[f(a=1), g(b="x")]', TWO),
        ("f(a=1)", ONE),
        ("f(a=1), g(b='x')", TWO),
        ("[\n  f(\n    a=1,\n  ),\n]", ONE),
        ("[a.b.c(x=1)]", [{"a.b.c": {"x": 1}}]),
        ("f(a=-1.5, b=+2, c=2*3, d=1/4)", [{"f": {"a": -1.5, "b": 2, "c": 6, "d": 0.25}}]),
        ("f(a=[1, 'x'], b=(1, 2), c={'k': [True]})",
         [{"f": {"a": [1, "x"], "b": (1, 2), "c": {"k": [True]}}}]),
        ("f(a=width, b=true, c=x.y, d=g(1))", [{"f": {"a": "width", "b": "true", "c": "x.y", "d": "g(1)"}}]),
        ("f(a=9**9999, b=1/0, c=10**-3)", [{"f": {"a": "9 ** 9999", "b": "1 / 0", "c": 0.001}}]),
        ("f(a=g(b=1))", [{"f": {"a": {"g": {"b": 1}}}}]),
        ("f(1, b=2)", [{"f": {"*1": 1, "b": 2}}]),
        ("f(**{'a': 1})", [{"f": {"**": {"a": 1}}}]),
        ("f(a=1, a=2)", [{"f": None}]),
        ('[{"name": "f", "arguments": {"a": 1}}, {"name": "g", "arguments": {"b": "x"}}]', TWO),
        ('{"name": "f", "parameters": {"a": 1}}', ONE),
        ('[{"function": "f", "parameters": {"a": 1}}]', ONE),
        ('{"type": "function", "function": {"name": "f", "arguments": "{\\"a\\": 1}"}}', ONE),
        ('{"tool_calls": [{"name": "f", "arguments": {"a": 1}}]}', ONE),
        ('[{"f": {"a": 1}}, {"g": {"b": "x"}}]', TWO),
        ('{"name": "f", "arguments": "{a: 1"}', [{"f": None}]),
        ("<think>perhaps [g(b=2)]</think>\n[f(a=1)]", ONE),
    ],
)  # fmt: skip
def test_a_reply_of_nothing_but_calls(text: str, calls: list[Any]) -> None:
    assert parser.read(text) == parser.Reply(calls, 1.0)


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("```python\n[f(a=1)]\n```", ONE),
        ("```json\n[{\"name\": \"f\", \"arguments\": {\"a\": 1}}]\n```\nThat is it.", ONE),
        ('<tool_call>\n{"name": "f", "arguments": {"a": 1}}\n</tool_call>\n'
         '<tool_call>{"name": "g", "arguments": {"b": "x"}}</tool_call>', TWO),
        ("Sure, I don't mind: [f(a=1), g(b='x')] will do.", TWO),
        ('Calling {"name": "f", "arguments": {"a": 1}}.', ONE),
        ('{"name": "f", "arguments": {"a": 1}}; {"name": "g", "arguments": {"b": "x"}}', TWO),
        ("These two:\n- f(a=1)\n- `g(b='x')`", TWO),
        ("[f(a=1)", ONE),
        ("See [1]: [f(a=1)]", ONE),
        ("call [f(a=\"]\")]!", [{"f": {"a": "]"}}]),
    ],
)  # fmt: skip
def test_calls_among_other_words_are_found_and_the_form_says_so(text: str, calls: list[Any]) -> None:
    assert parser.read(text) == parser.Reply(calls, 0.5)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "No function fits (sorry).",
        "[1, 2] and {'a': 1}",
        '{"a": 1}',
        '{"name": "Bob"}',
        "[f(a=1), 2]",
        "[f(a=1), g(b=",
        "<think>[f(a=1)]",
        "[" * 3000,
        "f(" * 3000,
        "-" * 3000,
        '{"a":' * 3000,
        "f(a=" + "9" * 5000 + ")",
        "x\0[",
    ],
    ids=lambda text: text[:20],
)
def test_what_is_no_call_makes_none(text: str) -> None:
    assert parser.read(text).form == 0
    assert parser.read(text).calls == []


def test_every_call_that_a_reply_makes_counts() -> None:
    text = "```[f(a=1)]``` or [f(a=2)], else\nf(a=3)"
    assert parser.read(text).calls == [{"f": {"a": n}} for n in (1, 2, 3)]


def test_native_calls_come_before_text() -> None:
    reply = parser.read("I use f: [g(b=1)]", [("f", '{"a": 1}'), ("f", "{broken"), ("f", "[1]"), ("f", "")])
    assert reply == parser.Reply([{"f": {"a": 1}}, {"f": None}, {"f": None}, {"f": {}}], 1.0)


def test_nothing_in_a_reply_is_ever_run(tmp_path: Path) -> None:
    left = tmp_path / "left"
    parser.read(f"[f(a=open({str(left)!r}, 'w').write('x'), b=2**10**9, c=[0]*10**9)]")
    assert not left.exists()


@settings(deadline=None)
@given(st.text("fg(){}[]=,:\"'1 \n`<>think/\\"))
def test_no_reply_is_an_error(text: str) -> None:
    reply = parser.read(text)
    assert bool(reply.calls) is bool(reply.form)
    assert all(len(call) == 1 for call in reply.calls)

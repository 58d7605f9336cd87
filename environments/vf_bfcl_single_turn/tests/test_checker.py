"""The function-calling checker: every reference answer, each way to break it, and the original's verdicts.

The original is not at hand here. `agreement.py` beside the environment compares both, answer by answer;
the table of tricky cases holds what the original said, and is checked against it by that program.
"""

from __future__ import annotations

import ast
import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[1]
sys.path.insert(0, str(PACKAGE))
PARTS = ("arguments", "checker", "entries", "parser", "scoring", "tools")
arguments, checker, entries, parser, scoring, tools, breakages = (
    importlib.import_module(name)
    for name in (*(f"vf_bfcl_single_turn.{part}" for part in PARTS), "breakages")
)

TRICKY = json.loads(Path(__file__).with_name("tricky.json").read_text())
COUNTS = {
    "simple_python": 400,
    "multiple": 200,
    "parallel": 200,
    "parallel_multiple": 200,
    "irrelevance": 240,
    "live_simple": 258,
    "live_multiple": 1053,
    "live_parallel": 16,
    "live_parallel_multiple": 24,
    "live_irrelevance": 884,
    "live_relevance": 16,
}
ANSWERED = [category for category in COUNTS if not category.endswith("relevance")]
UNSOLVABLE = {
    "live_simple_106-63-0",  # requires arguments for which the answers know no value
    "live_simple_112-68-0",
    "live_multiple_862-181-3",  # the answer needs an argument that the function has not
    "live_multiple_964-207-0",  # the function requires an argument that the answer has not
}


def judge(entry: Any, calls: list[Any]) -> Any:
    return checker.check(entry.functions, calls, entry.ground_truth, entry.category)


def test_every_question_of_the_original_is_there() -> None:
    assert {category: len(entries.load(category)) for category in checker.CATEGORIES} == COUNTS


@pytest.mark.parametrize("category", ANSWERED)
def test_reference_answers_are_right_and_broken_ones_are_not(category: str) -> None:
    refused = set()
    for entry in entries.load(category):
        calls = breakages.reference(entry.functions, entry.ground_truth)
        verdict = judge(entry, calls)
        assert verdict.valid is not bool(verdict.error)
        if not verdict.valid:
            refused.add(entry.id)
        for kind in breakages.ALWAYS_WRONG:
            for broken in breakages.KINDS[kind](calls, entry.functions, entry.ground_truth):
                assert not judge(entry, broken).valid, (kind, entry.id, broken)
    assert refused == {name for name in UNSOLVABLE if name.startswith(f"{category}_")}


@pytest.mark.parametrize("category", ANSWERED)
def test_every_argument_is_right_exactly_where_the_calls_are(category: str) -> None:
    for entry in entries.load(category):
        reference = breakages.reference(entry.functions, entry.ground_truth)
        for make in (lambda calls, *_: [calls], *breakages.KINDS.values()):
            for calls in make(reference, entry.functions, entry.ground_truth):
                share = arguments.share_right(entry.functions, calls, entry.ground_truth)
                assert 0 <= share <= 1
                assert (share == 1) is judge(entry, calls).valid, (entry.id, calls)


@pytest.mark.parametrize(
    ("calls", "share"),
    [
        ([{"f": {"a": 1, "b": "x"}}], 1),
        ([{"f": {"a": 1}}], 1 / 2),
        ([{"f": {"a": 2, "b": "x"}}], 1 / 2),
        ([{"f": {"a": 1, "b": "x", "c": 3}}], 2 / 3),
        ([{"f": {"a": "a", "b": "b"}}], 0),
        ([{"f": {}}], 0),
        ([{"g": {"a": 1, "b": "x"}}], 0),
        ([{"f": None}], 0),
        (["f"], 0),
        ([], 0),
        ([{"f": {"a": 1, "b": "x"}}, {"f": {"a": 1, "b": "x"}}], 1 / 2),
        ([{"f": {"a": 1, "b": "x"}}, {"g": {}}], 2 / 3),
    ],
)
def test_arguments_are_counted_one_by_one(calls: list[Any], share: float) -> None:
    described = {"a": {"type": "integer"}, "b": {"type": "string"}, "c": {"type": "integer"}}
    function = {"name": "f", "parameters": {"properties": described, "required": ["a", "b"]}}
    answer = {"f": {"a": [1], "b": ["x"]}}
    assert arguments.share_right([function], calls, [answer]) == pytest.approx(share)


@pytest.mark.parametrize("category", ANSWERED)
def test_a_value_of_no_right_answer_is_wrong_whatever_its_type(category: str) -> None:
    for entry in entries.load(category):
        calls = breakages.reference(entry.functions, entry.ground_truth)
        for place, call in enumerate(calls):
            for name, arguments in call.items():
                for argument in arguments:
                    for wrong in ("no such value", -987654, -9876.5, ["?"], {"?": 0}, b""):
                        broken = [*calls]
                        broken[place] = {name: {**arguments, argument: wrong}}
                        assert not judge(entry, broken).valid, (entry.id, broken)


@pytest.mark.parametrize("category", [c for c in ANSWERED if "parallel" in c])
def test_parallel_calls_may_come_in_any_order(category: str) -> None:
    refused = []
    for entry in entries.load(category):
        calls = breakages.reference(entry.functions, entry.ground_truth)
        if not judge(entry, calls[::-1]).valid:
            refused.append(entry.id)
    # A call of this one fits two of its answers, and the first takes it: so it is in the original.
    assert refused == (["parallel_178"] if category == "parallel" else [])


@pytest.mark.parametrize("case", TRICKY, ids=[case["what"] for case in TRICKY])
def test_the_verdict_is_the_originals(case: dict[str, Any]) -> None:
    calls = ast.literal_eval(case["calls"])
    verdict = checker.check(case["functions"], calls, case["ground_truth"], case["category"])
    # Where the original breaks with an exception, the answer is refused.
    assert ("accepts" if verdict.valid else "refuses") == case["original"].replace("breaks", "refuses")


def test_the_table_of_tricky_cases_has_both_verdicts_of_many_kinds() -> None:
    verdicts = [case["original"] for case in TRICKY]
    assert len(verdicts) >= 100
    assert min(verdicts.count("accepts"), verdicts.count("refuses")) >= 40
    assert len({case["what"] for case in TRICKY}) == len(TRICKY)


@pytest.mark.parametrize("category", ["irrelevance", "live_irrelevance", "live_relevance"])
def test_relevance_is_whether_there_is_a_call(category: str) -> None:
    wants_call = category == "live_relevance"
    for entry in entries.load(category):
        assert judge(entry, []).valid is not wants_call
        assert judge(entry, [{"f": {"a": 1}}]).valid is wants_call
        assert not judge(entry, [{"f": None}]).valid  # unreadable: a call, but not one that could be made


@pytest.mark.parametrize("junk", [[{}], ["f"], [None], [["f", {}]], [{"f": 1}], [{1: {}}], [{"f": {1: 2}}]])
def test_what_is_no_call_is_refused_and_not_an_error(junk: list[Any]) -> None:
    for category in ANSWERED:
        entry = entries.load(category)[0]
        assert not judge(entry, junk).valid
        assert arguments.share_right(entry.functions, junk, entry.ground_truth) == 0


def test_one_call_is_of_one_function() -> None:
    (entry,) = entries.select(["simple"], limit=1)
    (right,) = breakages.reference(entry.functions, entry.ground_truth)
    verdict = judge(entry, [{**right, "another_function": {}}])
    assert not verdict.valid
    assert verdict.error.endswith("is not one call")


def test_a_value_nested_beyond_reason_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    function = {"name": "f", "parameters": {"properties": {"a": {"type": "any"}}, "required": []}}
    calls, truth = [{"f": {"a": [[deep]]}}], [{"f": {"a": [deep, [deep]]}}]
    assert not checker.check([function], calls, truth, "simple_python").valid
    assert arguments.share_right([function], calls, truth) == 0


def test_an_unknown_category_or_a_lost_ground_truth_is_an_error_of_the_callers() -> None:
    with pytest.raises(ValueError, match="no such category: 'simple_java'"):
        checker.check([], [], [], "simple_java")
    with pytest.raises(ValueError, match="without its ground truth"):
        checker.check([], [], None, "parallel")


@pytest.mark.parametrize("category", ANSWERED)
def test_answers_written_as_text_are_read_back_as_they_were(category: str) -> None:
    for entry in entries.load(category):
        calls = breakages.reference(entry.functions, entry.ground_truth)
        objects = [{"name": name, "arguments": a} for call in calls for name, a in call.items()]
        assert parser.read(json.dumps(objects)) == parser.Reply(calls, 1.0)
        arguments = [name for call in calls for given in call.values() for name in given]
        if all(name.isidentifier() for name in arguments) and "from" not in arguments:
            assert parser.read(_python(calls)) == parser.Reply(calls, 1.0)


def _python(calls: list[dict[str, Any]]) -> str:
    made = (
        f"{n}({', '.join(f'{k}={v!r}' for k, v in a.items())})" for call in calls for n, a in call.items()
    )
    return f"[{', '.join(made)}]"


def test_tools_have_json_types_and_names_that_lead_back() -> None:
    for category in checker.CATEGORIES:
        for entry in entries.load(category):
            offered = tools.as_tools(entry.functions)
            names = [tool["function"]["name"] for tool in offered]
            assert len(set(names)) == len(names)
            calls = tools.with_own_names([{name: {}} for name in names], entry.functions)
            assert calls == [{function["name"]: {}} for function in entry.functions]
            assert not re.search(r'"type": "(dict|float|tuple|any)"', json.dumps(offered))
            assert all(re.fullmatch(r"[A-Za-z0-9_-]+", name) for name in names)


def test_no_function_set_is_on_both_sides_of_the_split() -> None:
    train, held_out = (entries.select(split=split) for split in ("train", "eval"))
    sets = [{tuple(sorted(f["name"] for f in e.functions)) for e in side} for side in (train, held_out)]
    assert not sets[0] & sets[1]
    assert len(train) + len(held_out) == sum(COUNTS.values())
    for category in [category for category, count in COUNTS.items() if count >= 100]:
        share = sum(e.category == category for e in held_out) / COUNTS[category]
        assert 0.05 < share < 0.4, category


def test_the_seed_decides_the_order_and_the_limit_comes_last() -> None:
    one, again, other = (entries.select(["simple"], "train", seed=seed) for seed in (1, 1, 2))
    assert one == again != other
    assert sorted(e.id for e in one) == sorted(e.id for e in other)
    assert entries.select(["simple"], "train", seed=1, limit=5) == one[:5]
    assert [e.id for e in entries.select(["parallel"], limit=2)] == ["parallel_0", "parallel_1"]
    short = entries.select(longest=500)
    assert 0 < len(short) < 500
    with pytest.raises(ValueError, match="no category is called 'java'; there are simple_python"):
        entries.select(["java"])


def test_only_a_right_reply_earns_anything_by_default() -> None:
    (entry,) = entries.select(["simple_python"], limit=1)
    right = "[calculate_triangle_area(base=10, height=5)]"
    best = scoring.score(entry, parser.read(right), native=False)
    assert (best.correct, best.format, best.functions, best.arguments, best.error) == (1.0, 1.0, 1.0, 1.0, "")
    near = scoring.score(entry, parser.read(right.replace("5", "6")), native=False)
    assert (near.correct, near.format, near.functions, near.arguments) == (0.0, 1.0, 1.0, 0.5)
    assert near.error == "height of calculate_triangle_area is 6, which is none of [5]"
    assert {name for name, weight in scoring.WEIGHTS.items() if weight} == {"correct"}
    hedged = scoring.score(entry, parser.read(f"{right} or {right}"), native=False)
    assert (hedged.correct, hedged.format, hedged.functions, hedged.calls) == (0.0, 0.5, 0.5, 2)


@pytest.mark.parametrize(
    ("weights", "said"),
    [
        ({"formal": 1}, "no reward part is called formal"),
        ({"format": -1}, "a weight is 0 or more: format"),
        ({"format": 0.3, "functions": 0.3}, "at least twice"),
        ({"format": 0.2, "arguments": 0.4}, "at least twice"),
        ({"correct": 0}, "must be above 0"),
    ],
)
def test_weights_that_pay_for_being_nearly_right_are_refused(weights: dict[str, float], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        scoring.check_weights(weights)


def test_the_checker_needs_neither_verifiers_nor_torch() -> None:
    program = (
        "import sys; from vf_bfcl_single_turn import checker, parser, scoring; "
        "print([m for m in ('verifiers', 'torch', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=PACKAGE, check=True
    )
    assert done.stdout == "[]\n"

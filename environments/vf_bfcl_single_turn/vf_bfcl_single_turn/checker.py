"""Whether the functions that a model called are the ones that answer the question.

Owns the verdict on a whole reply: how many calls, to which functions, in which order. Whether one
argument's value is right is `values`'; reading calls out of a reply is `parser`'s. The verdicts are those
of the Berkeley leaderboard's own checker (see the README for how that is shown); no code is shared.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vf_bfcl_single_turn import values

CATEGORIES = (
    "simple_python",
    "multiple",
    "parallel",
    "parallel_multiple",
    "irrelevance",
    "live_simple",
    "live_multiple",
    "live_parallel",
    "live_parallel_multiple",
    "live_irrelevance",
    "live_relevance",
)
"""Berkeley's single-turn categories for Python, in the order of its leaderboard."""

Function = Mapping[str, Any]
Call = Mapping[str, Any]
"""`{name: {argument: value}}`; arguments that could not be read are None."""
Answer = Mapping[str, Mapping[str, Sequence[Any]]]
"""`{name: {argument: [every value that is right]}}`; `""` among them: it may be left out."""


@dataclass(frozen=True)
class Verdict:
    """Whether a reply is right; if not, `error` says in a sentence why."""

    valid: bool
    error: str = ""


def check(
    functions: Sequence[Function],
    calls: Sequence[Call],
    ground_truth: Sequence[Answer] | None,
    category: str,
) -> Verdict:
    """Judge the calls of one reply. `functions` and `ground_truth` are as in the Berkeley files.

    A category with `irrelevance` in its name wants no call, one with `relevance` any call; both ignore
    `ground_truth`. Calls that are no calls at all are refused, never an error. Raises `ValueError` for a
    category that is not judged here, and where a category that needs `ground_truth` has none.
    """
    kind = _kind(category)
    if not ground_truth and not kind.endswith("relevance"):
        raise ValueError(f"{category} cannot be judged without its ground truth")
    try:
        error = _KINDS[kind](functions, list(calls), ground_truth or [])
    except RecursionError:
        error = "a value is nested too deeply to be compared"
    return Verdict(error is None, error or "")


def _kind(category: str) -> str:
    bare = category.removeprefix("live_")
    kind = {"simple_python": "simple"}.get(bare, bare)
    if kind not in _KINDS:
        raise ValueError(f"no such category: {category!r}; there are {', '.join(CATEGORIES)}")
    return kind


def _no_call(_functions: Sequence[Function], calls: list[Call], _answers: Sequence[Answer]) -> str | None:
    return f"no function fits the question, but {_counted(calls)} were made" if calls else None


def _any_call(_functions: Sequence[Function], calls: list[Call], _answers: Sequence[Answer]) -> str | None:
    if not calls:
        return "a function should have been called"
    return next((problem for call in calls if (problem := malformed(call))), None)


def _only_function(functions: Sequence[Function], calls: list[Call], answers: Sequence[Answer]) -> str | None:
    if len(calls) != 1:
        return f"one call is right, not {len(calls)}"
    return _mismatch(functions[0], calls[0], answers[0])


def _chosen_function(
    functions: Sequence[Function], calls: list[Call], answers: Sequence[Answer]
) -> str | None:
    if len(calls) != len(answers):
        return f"{_counted(answers)} would be right, not {len(calls)}"
    return _mismatch(_described(functions, answers[0]), calls[0], answers[0])


def _in_any_order(functions: Sequence[Function], calls: list[Call], answers: Sequence[Answer]) -> str | None:
    """Each answer takes the first call that is left and fits, as the original does: no better pairing
    is looked for where one call would fit several answers."""
    if len(calls) != len(answers):
        return f"{_counted(answers)} would be right, not {len(calls)}"
    left = list(calls)
    for answer in answers:
        function = _described(functions, answer)
        problems = []
        for place, call in enumerate(left):
            problem = _mismatch(function, call, answer)
            if problem is None:
                del left[place]
                break
            problems.append(problem)
        else:
            return f"no call answers {_name(answer)}: {'; '.join(dict.fromkeys(problems))}"
    return None


_KINDS = {
    "simple": _only_function,
    "multiple": _chosen_function,
    "parallel": _in_any_order,
    "parallel_multiple": _in_any_order,
    "irrelevance": _no_call,
    "relevance": _any_call,
}


def _mismatch(function: Function | None, call: Call, answer: Answer) -> str | None:
    """Why a call is not the answer, or None where it is."""
    if function is None:
        return f"the answer's function {_name(answer)} is not described"
    name = function["name"]
    problem = malformed(call)
    if problem is not None:
        return problem
    if name not in call:
        return f"{name} should have been called, not {_name(call)}"
    return _wrong_arguments(name, function["parameters"], call[name], next(iter(answer.values())))


def _wrong_arguments(
    name: str,
    parameters: Mapping[str, Any],
    given: Mapping[str, Any],
    answer: Mapping[str, Sequence[Any]],
) -> str | None:
    described = parameters["properties"]
    for argument in parameters.get("required", ()):
        if argument not in given:
            return f"{name} lacks its required argument {argument}"
    for argument, value in given.items():
        # What the answer does not name is wrong even where the description allows it.
        if argument not in described or argument not in answer:
            return f"{name} takes no argument {argument} here"
        problem = values.mismatch(value, described[argument], answer[argument])
        if problem is not None:
            return f"{argument} of {name} {problem}"
    for argument, allowed in answer.items():
        if argument not in given and "" not in allowed:
            return f"{name} lacks the argument {argument}"
    return None


def malformed(call: Any) -> str | None:
    """Why this is not one call with arguments, or None where it is."""
    if not isinstance(call, Mapping) or len(call) != 1:
        return f"{call!r} is not one call"
    ((name, arguments),) = call.items()
    return None if isinstance(arguments, Mapping) else f"the arguments of {name} cannot be read"


def _described(functions: Sequence[Function], answer: Answer) -> Function | None:
    return next((function for function in functions if function["name"] == _name(answer)), None)


def _name(call: Mapping[str, Any]) -> str:
    return str(next(iter(call)))


def _counted(calls: Sequence[Any]) -> str:
    return "1 call" if len(calls) == 1 else f"{len(calls)} calls"

"""Answers made from an entry's ground truth: right ones, and ones broken in a single, named way.

Owns what the agreement with the original is measured on; the tests judge the same answers.
"""

from __future__ import annotations

import copy
import itertools
import random
from collections.abc import Callable, Iterator
from typing import Any

Calls = list[dict[str, Any]]
Functions = list[dict[str, Any]]
Truth = list[dict[str, Any]]
Broken = Iterator[Calls]


def reference(functions: Functions, ground_truth: Truth) -> Calls:
    """The calls with the first of each argument's right values.

    An argument whose first right value is to leave it out is left out, unless it is required; so is one
    that the function does not describe.
    """
    return [
        {name: dict(_firsts(_parameters(functions, name), arguments))}
        for call in ground_truth
        for name, arguments in call.items()
    ]


def _firsts(parameters: dict[str, Any], arguments: dict[str, list[Any]]) -> Iterator[tuple[str, Any]]:
    for name, right in arguments.items():
        if not right or name not in parameters["properties"]:
            continue
        if name in parameters.get("required", ()):
            yield name, _plain(next((value for value in right if value != ""), ""))
        elif right[0] != "":
            yield name, _plain(right[0])


def _plain(value: Any) -> Any:
    """A right value as a model would write it: a dictionary's keys have lists of right values, too."""
    if isinstance(value, dict):
        return {key: right[0] for key, right in value.items() if right and right[0] != ""}
    if isinstance(value, list):
        return [_plain(entry) if isinstance(entry, dict) else entry for entry in value]
    return value


# Each kind yields every answer of its kind that can be made of one entry.


def renamed_function(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """One call goes to a function of another name."""
    for place, name, arguments in _each(calls):
        for wrong in (f"{name}_x", name[:-1], name.upper() if name.upper() != name else name.lower()):
            yield _with(calls, place, {wrong: arguments})


def dropped_call(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """One call is missing."""
    for place in range(len(calls)):
        yield calls[:place] + calls[place + 1 :]


def added_call(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """A call is made twice, or another function is called as well."""
    for call in calls:
        yield [*calls, call]
    yield [*calls, {functions[-1]["name"]: {}}]
    yield [{"another_function": {}}, *calls]


def extra_argument(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """A call has an argument that its function does not know."""
    for place, name, arguments in _each(calls):
        yield _with(calls, place, {name: {**arguments, "no_such_argument": 1}})


def missing_required(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """A call lacks an argument that its function requires."""
    for place, name, arguments in _each(calls):
        required = _parameters(functions, name).get("required", ())
        for argument in arguments:
            if argument in required:
                yield _with(calls, place, {name: _without(arguments, argument)})


def missing_argument(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """A call lacks one of its arguments, which may be optional."""
    for place, name, arguments in _each(calls):
        for argument in arguments:
            yield _with(calls, place, {name: _without(arguments, argument)})


def undeclared_optional(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """A call has one more of the arguments that its function describes."""
    for place, name, arguments in _each(calls):
        described = _parameters(functions, name)["properties"]
        for argument, schema in described.items():
            if argument not in arguments:
                for value in (schema.get("default", 1), "", [], {}, "other", False):
                    yield _with(calls, place, {name: {**arguments, argument: value}})


def wrong_value(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """An argument has another value of the same type."""
    yield from _each_value(calls, _other_values)


def wrong_type(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """An argument has its value in another type."""
    yield from _each_value(calls, _other_types)


def reworded(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """An argument's strings are written otherwise: case, spaces, punctuation, quotes."""
    yield from _each_value(calls, _rewordings)


def other_option(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """An argument has another of its right values."""
    for place, name, arguments in _each(calls):
        right_values = truth[place].get(name, {}) if place < len(truth) else {}
        for argument, right in right_values.items():
            for value in right:
                yield _with(calls, place, {name: {**arguments, argument: _plain(value)}})


def swapped_calls(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """The calls come in another order."""
    yield calls[::-1]
    yield calls[1:] + calls[:1]


def swapped_arguments(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """Arguments are named in another order, or two exchange their values."""
    for place, name, arguments in _each(calls):
        yield _with(calls, place, {name: dict(reversed(arguments.items()))})
        names = list(arguments)
        for one, other in itertools.pairwise(names):
            swapped = {**arguments, one: arguments[other], other: arguments[one]}
            yield _with(calls, place, {name: swapped})


def swapped_elements(calls: Calls, functions: Functions, truth: Truth) -> Broken:
    """The elements of a list come in another order."""
    yield from _each_value(calls, lambda v: [v[::-1]] if isinstance(v, list) and len(v) > 1 else [])


KINDS: dict[str, Callable[[Calls, Functions, Truth], Broken]] = {
    kind.__name__: kind
    for kind in (
        renamed_function,
        dropped_call,
        added_call,
        extra_argument,
        missing_required,
        missing_argument,
        undeclared_optional,
        wrong_value,
        wrong_type,
        reworded,
        other_option,
        swapped_calls,
        swapped_arguments,
        swapped_elements,
    )
}

ALWAYS_WRONG = ("renamed_function", "dropped_call", "added_call", "extra_argument", "missing_required")
"""Kinds that no entry can mean; the others may happen to be right."""


def fuzzed(calls: Calls, functions: Functions, truth: Truth, chance: random.Random) -> Calls:
    """The calls after one to three breakages at random, one on top of the other."""
    made = copy.deepcopy(calls)
    for _ in range(chance.randint(1, 3)):
        options = list(chance.choice(list(KINDS.values()))(made, functions, truth))
        if options:
            made = copy.deepcopy(chance.choice(options))
    return made


def _other_values(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, -value - 1, value * 2 + 0.5 if isinstance(value, float) else value + 1000]
    if isinstance(value, str):
        return [f"{value} x", value[:-1], "something else", ""]
    if isinstance(value, list):
        first = [[other, *value[1:]] for other in _other_values(value[0])[:1]] if value else []
        return [[*value, *value[:1]], value[:-1], [], *first]
    if isinstance(value, dict):
        changed = [{**value, k: other} for k, v in value.items() for other in _other_values(v)[:2]]
        return [*changed, {**value, "no_such_key": 1}, *(_without(value, key) for key in value), {}]
    return [1]


def _other_types(value: Any) -> list[Any]:
    others = [None, str(value), [value], {"value": value}, 7, 7.5, True, "variable_name"]
    if isinstance(value, int | float) and not isinstance(value, bool):
        others += [float(value), int(value), str(value), bool(value)]
    if isinstance(value, list):
        others += [tuple(value), [str(entry) for entry in value], [[entry] for entry in value]]
        others += [[float(e) if type(e) is int else e for e in value], value[0] if value else 0, [None]]
        others += [[*value[:-1], 7], [*value[:-1], "x"], [*value[:-1], {"x": 1}]]
    if isinstance(value, dict):
        others += [list(value), [value], {key: str(entry) for key, entry in value.items()}]
        others += [{key: [entry] for key, entry in value.items()}]
    return [other for other in others if type(other) is not type(value) or other != value]


def _rewordings(value: Any) -> list[Any]:
    if isinstance(value, str):
        spaced = [value.upper(), value.lower(), f" {value} ", value.replace(" ", ""), value.replace(",", ";")]
        return [*spaced, f"*{value}*", value.replace("'", '"'), f"({value})", value.replace(" ", "-_./^")]
    if isinstance(value, list):
        return [[_again(entry, n) for entry in value] for n in range(3)]
    if isinstance(value, dict):
        return [{key: _again(entry, n) for key, entry in value.items()} for n in range(3)]
    return []


def _again(value: Any, which: int) -> Any:
    words = _rewordings(value)
    return words[which % len(words)] if words else value


def _parameters(functions: Functions, name: str) -> dict[str, Any]:
    """What a function's description says of its arguments; nothing where no function has this name."""
    nothing: dict[str, Any] = {"parameters": {"properties": {}}}
    found: dict[str, Any] = next((f for f in functions if f["name"] == name), nothing)["parameters"]
    return found


def _each(calls: Calls) -> Iterator[tuple[int, str, dict[str, Any]]]:
    for place, call in enumerate(calls):
        for name, arguments in call.items():
            yield place, name, arguments


def _each_value(calls: Calls, others: Callable[[Any], list[Any]]) -> Broken:
    for place, name, arguments in _each(calls):
        for argument, value in arguments.items():
            for other in others(value):
                yield _with(calls, place, {name: {**arguments, argument: other}})


def _with(calls: Calls, place: int, call: dict[str, Any]) -> Calls:
    return [*calls[:place], call, *calls[place + 1 :]]


def _without(mapping: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in mapping.items() if k != key}

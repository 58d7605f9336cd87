"""How many arguments of a reply are right, for rewards that tell nearly right calls from hopeless ones.

Owns the share, which is 1 for exactly the right calls. Whether one value is right is `values`', the verdict
on the whole reply `checker`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vf_bfcl_single_turn import values
from vf_bfcl_single_turn.checker import Answer, Call, Function, malformed

_NO_PARAMETERS: Mapping[str, Any] = {"properties": {}}


def share_right(functions: Sequence[Function], calls: Sequence[Call], answers: Sequence[Answer]) -> float:
    """Of the arguments that were given or had to be, the share that has a right value: 0 to 1.

    Each answer takes the call that has most of it right, if any has. The arguments of calls that no answer
    takes are wrong, those of answers that take none are missing; a call without arguments counts as one.
    """
    try:
        return _share(functions, calls, answers)
    except RecursionError:  # a value is nested too deeply to be compared
        return 0.0


def _share(functions: Sequence[Function], calls: Sequence[Call], answers: Sequence[Answer]) -> float:
    parameters = {function["name"]: function["parameters"] for function in functions}
    left = list(calls)
    right = counted = 0
    for answer in answers:
        ((name, allowed),) = answer.items()
        wanted = name, allowed, parameters.get(name, _NO_PARAMETERS)
        fits = [_compared(call, *wanted) for call in left]
        fit = max([_compared({}, *wanted), *fits], key=lambda fit: fit[0] / fit[1])
        if fit[0]:
            del left[fits.index(fit)]
        right, counted = right + fit[0], counted + fit[1]
    counted += sum(_size(call) for call in left)
    return right / counted if counted else 0.0


def _compared(
    call: Call, name: str, allowed: Mapping[str, Sequence[Any]], parameters: Mapping[str, Any]
) -> tuple[int, int]:
    """How many arguments of a call are right for an answer, and of how many."""
    answered = {argument for argument, right in allowed.items() if values.OPTIONAL not in right}
    needed = answered | set(parameters.get("required", ()))
    if malformed(call) or name not in call:
        return 0, max(1, len(needed))
    given, described = call[name], parameters["properties"]
    right = sum(
        argument in allowed
        and argument in described
        and values.mismatch(value, described[argument], allowed[argument]) is None
        for argument, value in given.items()
    )
    of = len(needed | set(given))
    return (right, of) if of else (1, 1)


def _size(call: Call) -> int:
    given = call.values() if isinstance(call, Mapping) else ()
    return max(1, sum(len(arguments) for arguments in given if isinstance(arguments, Mapping)))

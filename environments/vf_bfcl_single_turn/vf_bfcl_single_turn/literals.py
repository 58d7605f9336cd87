"""Calls written as Python: `[f(a=1), g(b="x")]` becomes `[{"f": {"a": 1}}, {"g": {"b": "x"}}]`.

Owns what a piece of Python means as a value. Nothing is ever run: text is only parsed, and what is no
literal stays its own source text, as the name of a variable does.
"""

from __future__ import annotations

import ast
import operator
import warnings
from collections.abc import Callable, Mapping
from typing import Any

_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError)
_SUMS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}
_LARGEST_POWER = 100


def read_calls(text: str) -> list[dict[str, Any]] | None:
    """The calls of one expression: a call, or a list or tuple of calls. None where it is anything else.

    An argument that is not named becomes `*1`, `*2` … by its place, which no function has.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes and numbers: the text is not ours
            body = ast.parse(text.strip(), mode="eval").body
        nodes = body.elts if isinstance(body, ast.List | ast.Tuple) else [body]
        calls = [_call(node) for node in nodes]
    except _UNREADABLE:
        return None
    found = [call for call in calls if call is not None]
    return found if len(found) == len(nodes) else None


def _call(node: ast.expr) -> dict[str, Any] | None:
    if not isinstance(node, ast.Call):
        return None
    name = _dotted(node.func)
    return None if name is None else {name: _arguments(node)}


def _dotted(node: ast.expr) -> str | None:
    parts = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    return ".".join([node.id, *reversed(parts)]) if isinstance(node, ast.Name) else None


def _arguments(node: ast.Call) -> dict[str, Any] | None:
    """None where an argument is given twice."""
    arguments: dict[str, Any] = {f"*{place}": _value(v) for place, v in enumerate(node.args, start=1)}
    for keyword in node.keywords:
        name = keyword.arg or "**"
        if name in arguments:
            return None
        arguments[name] = _value(keyword.value)
    return arguments


def _value(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.Name(id=name):
            return name
        case ast.List(elts=elements):
            return [_value(element) for element in elements]
        case ast.Tuple(elts=elements):
            return tuple(_value(element) for element in elements)
        case ast.Dict(keys=keys, values=values) if all(isinstance(key, ast.Constant) for key in keys):
            return {_value(key): _value(v) for key, v in zip(keys, values, strict=True) if key is not None}
        case ast.Call(keywords=[_, *_]) if (call := _call(node)) is not None:
            return call
    number = _number(node)
    return ast.unparse(node) if number is None else number


def _number(node: ast.expr) -> int | float | None:
    """What a sum of numbers comes to; None where it is none, or has no or too large a result."""
    match node:
        case ast.Constant(value=int() | float() as value) if not isinstance(value, bool):
            return value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            number = _number(operand)
            return number if number is None or isinstance(sign, ast.UAdd) else -number
        case ast.BinOp(left=left, op=sum_, right=right) if type(sum_) in _SUMS:
            return _sum(type(sum_), _number(left), _number(right))
    return None


def _sum(kind: type[ast.operator], left: float | None, right: float | None) -> float | None:
    if left is None or right is None:
        return None
    if kind is ast.Pow and max(abs(left), abs(right)) > _LARGEST_POWER:
        return None
    try:
        result = _SUMS[kind](left, right)
    except (ArithmeticError, ValueError):
        return None
    return result if isinstance(result, int | float) else None

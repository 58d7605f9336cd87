"""What is said to the model where the functions stand in the prompt.

With native tools nothing is: a model's chat template says it in the words that the model was trained on.
Functions stand with the request, in the same message, so that a worked example is a turn of the chat like
the one that is asked for: small models follow turns, and hardly a description.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Form = Literal["json", "signatures"]

_TASK = (
    "Reply with a list of the calls that the request needs, and with nothing else: "
    '[name(argument=value, other="text"), name(argument=value)]. Name every argument. '
    "Where no function serves the request, or a value that it needs is missing, call nothing: "
    "say so in a sentence."
)
_SHORT_TASK = "Answer each request with calls of the functions."
_TYPES = {
    "string": "str", "integer": "int", "float": "float", "boolean": "bool", "array": "list", "dict": "dict"
}  # fmt: skip
_EXAMPLES: tuple[tuple[dict[str, Any], str, str], ...] = (
    (
        {
            "name": "get_weather",
            "description": "Forecast of the weather in a city.",
            "parameters": {
                "type": "dict",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
            },
        },
        "How will the weather be in Rome for the next 3 days?",
        '[get_weather(city="Rome", days=3)]',
    ),
    (
        {
            "name": "math.power",
            "description": "A number to the power of another.",
            "parameters": {
                "type": "dict",
                "properties": {"base": {"type": "float"}, "exponent": {"type": "integer"}},
                "required": ["base"],
            },
        },
        "What is 2.5 to the fourth?",
        "[math.power(base=2.5, exponent=4)]",
    ),
    (
        {
            "name": "book_table",
            "description": "Book a table at a restaurant.",
            "parameters": {
                "type": "dict",
                "properties": {
                    "restaurant": {"type": "string"},
                    "guests": {"type": "integer"},
                    "outdoors": {"type": "boolean"},
                },
                "required": ["restaurant", "guests"],
            },
        },
        "A table for 2 outside at Nonna, and one for 6 at Ozu.",
        '[book_table(restaurant="Nonna", guests=2, outdoors=True), book_table(restaurant="Ozu", guests=6)]',
    ),
)
MOST_EXAMPLES = len(_EXAMPLES)


def system(form: Form) -> str:
    """The system message: what a reply is. Beside signatures it is short, for models that follow examples."""
    return _TASK if form == "json" else _SHORT_TASK


def request(functions: Sequence[Mapping[str, Any]], asked: str, form: Form) -> str:
    """A user message: the functions, and what is asked for."""
    describe = signature if form == "signatures" else _as_json
    described = "\n".join(describe(function) for function in functions)
    return f"Functions:\n{described}\n\nRequest: {asked}"


def examples(count: int, form: Form) -> list[tuple[str, str]]:
    """The first `count` worked examples: a user message and its reply each."""
    return [(request([function], asked, form), reply) for function, asked, reply in _EXAMPLES[:count]]


def signature(function: Mapping[str, Any]) -> str:
    """A function as Python would have it, `name(city: str, days: int = ...)`; `...` is a default."""
    parameters = function["parameters"]
    required = parameters.get("required", [])
    arguments = [
        f"{name}: {_type(described)}" + ("" if name in required else " = ...")
        for name, described in parameters["properties"].items()
    ]
    return f"{function['name']}({', '.join(arguments)})"


def _type(described: Mapping[str, Any]) -> str:
    if "enum" in described:
        return " | ".join(json.dumps(option, ensure_ascii=False) for option in described["enum"])
    name = _TYPES.get(described.get("type", "any"), described.get("type", "any"))
    inner = described.get("items")
    return f"{name}[{_type(inner)}]" if name == "list" and isinstance(inner, Mapping) else str(name)


def _as_json(function: Mapping[str, Any]) -> str:
    return json.dumps(function, ensure_ascii=False)

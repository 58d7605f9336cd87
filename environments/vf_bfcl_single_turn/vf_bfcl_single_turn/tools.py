"""Berkeley's function descriptions as the tools of OpenAI's protocol, and names back again.

Owns the two ways in which they differ: Python's type names, and names with dots, which the protocol does
not allow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_JSON_TYPES = {"dict": "object", "float": "number", "tuple": "array", "any": "string"}


def as_tools(functions: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The functions as a request's `tools`; the descriptions themselves stay as they are."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool_name(function["name"]),
                "description": function["description"],
                "parameters": _schema(function["parameters"]),
            },
        }
        for function in functions
    ]


def tool_name(name: str) -> str:
    """The name under which a function is offered as a tool."""
    return name.replace(".", "_")


def with_own_names(
    calls: Sequence[Mapping[str, Any]], functions: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Calls of tools as calls of the functions; a name that no tool has stays as it is."""
    own = {tool_name(function["name"]): function["name"] for function in functions}
    return [{own.get(name, name): arguments for name, arguments in call.items()} for call in calls]


def _schema(described: Mapping[str, Any]) -> dict[str, Any]:
    schema = dict(described)
    if "type" in schema:
        schema["type"] = _JSON_TYPES.get(schema["type"], schema["type"])
    if "properties" in schema:
        schema["properties"] = {name: _schema(inner) for name, inner in schema["properties"].items()}
    if isinstance(schema.get("items"), Mapping):
        schema["items"] = _schema(schema["items"])
    return schema

"""What is said to the model where the functions stand in the prompt.

With native tools nothing is: a model's chat template says it in the words that the model was trained on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

MOST_EXAMPLES = 2

_TASK = (
    "You answer with calls of functions. These are the functions, one a line:\n"
    "{functions}\n\n"
    "Reply with a list of the calls that the request needs, and with nothing else: "
    '[name(argument=value, other="text"), name(argument=value)]. Name every argument. '
    "Where no function serves the request, or a value that it needs is missing, call nothing: "
    "say so in a sentence."
)
_WEATHER = '{"name": "get_weather", "parameters": {"city": "string", "days": "integer"}}'
_EXAMPLES = (
    'How will the weather be in Rome for the next 3 days?\n[get_weather(city="Rome", days=3)]',
    "Is it going to rain tomorrow in Oslo and in Bergen?\n"
    '[get_weather(city="Oslo", days=1), get_weather(city="Bergen", days=1)]',
)


def system(functions: Sequence[Mapping[str, Any]], examples: int = 0) -> str:
    """The system message that describes the functions and the form of the reply."""
    described = "\n".join(json.dumps(function, ensure_ascii=False) for function in functions)
    task = _TASK.format(functions=described)
    if not examples:
        return task
    shown = "\n\n".join(_EXAMPLES[:examples])
    return f"{task}\n\nWith another function, {_WEATHER}, these would be right:\n{shown}"

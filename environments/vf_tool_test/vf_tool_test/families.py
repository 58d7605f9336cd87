"""The functions that questions are about: what they are called with, and how people ask for them.

Pure data. Which of them are offered together, and to whom, is `questions`'.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_TYPES = {str: "string", int: "integer", float: "float"}


@dataclass(frozen=True)
class Family:
    """One function and the questions about it."""

    name: str
    description: str
    values: Mapping[str, Sequence[Any]]
    """Each argument with the values that are asked for; all of one type, all required."""
    asked: Sequence[str]
    """Ways to ask for it, with the arguments' names in braces."""

    def described(self) -> dict[str, Any]:
        """The function as Berkeley's files describe functions."""
        properties = {
            name: {"type": _TYPES[type(values[0])], "description": name.replace("_", " ")}
            for name, values in self.values.items()
        }
        parameters = {"type": "dict", "properties": properties, "required": list(properties)}
        return {"name": self.name, "description": self.description, "parameters": parameters}


_CITIES = ("Lisbon", "Oslo", "Nairobi", "Lima", "Hanoi", "Toronto", "Cairo", "Seoul", "Prague", "Quito")
_MONTHS = ("January", "March", "April", "June", "August", "October", "December")
_CURRENCIES = ("USD", "EUR", "JPY", "GBP", "CHF", "INR", "BRL", "KES")
_UNITS = ("meter", "kilometer", "mile", "foot", "yard", "inch")
_PEOPLE = ("Ana", "Bo", "Chidi", "Dana", "Emre", "Farah", "Goran", "Hiro")
_LANGUAGES = ("French", "Swahili", "Polish", "Thai", "Greek", "Arabic")

FAMILIES = (
    Family(
        "weather_forecast",
        "The weather in a city for the next days.",
        {"city": _CITIES, "days": range(1, 11)},
        (
            "How will the weather be in {city} for the next {days} days?",
            "{days} day forecast for {city}, please.",
        ),
    ),
    Family(
        "convert_currency",
        "Convert an amount of money.",
        {"amount": range(5, 500, 5), "from_currency": _CURRENCIES, "to_currency": _CURRENCIES},
        (
            "How much is {amount} {from_currency} in {to_currency}?",
            "Change {amount} {from_currency} to {to_currency}.",
        ),
    ),
    Family(
        "convert_length",
        "Convert a length between units.",
        {"value": (0.5, 1.5, 2.25, 3.0, 7.5, 12.0, 40.5), "from_unit": _UNITS, "to_unit": _UNITS},
        ("What is {value} {from_unit} in {to_unit}?", "Convert {value} {from_unit} into {to_unit}."),
    ),
    Family(
        "create_event",
        "Put an event into the calendar.",
        {
            "title": ("dentist", "yoga", "team lunch", "book club", "interview", "concert"),
            "month": _MONTHS,
            "day": range(1, 29),
        },
        ("Put {title} into my calendar on {month} {day}.", "I have {title} on {month} {day}, note it down."),
    ),
    Family(
        "set_alarm",
        "Set an alarm on a 24-hour clock.",
        {"hour": range(5, 23), "minute": (5, 10, 15, 20, 30, 40, 45, 50)},
        ("Wake me at {hour}:{minute:02}.", "Set an alarm for {hour}:{minute:02}."),
    ),
    Family(
        "send_message",
        "Send a text message to somebody.",
        {
            "recipient": _PEOPLE,
            "text": ("I am late", "call me back", "happy birthday", "the train is full", "bring the keys"),
        },
        ('Text {recipient} "{text}".', 'Send {recipient} the message "{text}".'),
    ),
    Family(
        "translate",
        "Translate a text into a language.",
        {"text": ("good morning", "where is the station", "two teas", "thank you"), "language": _LANGUAGES},
        ('How do you say "{text}" in {language}?', 'Translate "{text}" into {language}.'),
    ),
    Family(
        "calculate_tip",
        "The tip on a bill.",
        {"bill": range(12, 120, 4), "percent": (5, 8, 10, 12, 15, 18, 20)},
        (
            "What is a {percent} percent tip on {bill} dollars?",
            "I tip {percent}% on a bill of {bill} dollars.",
        ),
    ),
    Family(
        "set_thermostat",
        "Set the temperature of a room in degrees Celsius.",
        {"room": ("kitchen", "bedroom", "office", "bathroom", "cellar"), "degrees": range(15, 26)},
        ("Make the {room} {degrees} degrees warm.", "{degrees} degrees in the {room}, please."),
    ),
    Family(
        "add_to_list",
        "Add an item to the shopping list.",
        {
            "item": ("apples", "eggs", "lemons", "bread rolls", "candles", "yoghurts"),
            "quantity": range(2, 13),
        },
        ("Put {quantity} {item} on the shopping list.", "We need {quantity} {item}, add them."),
    ),
    Family(
        "search_flights",
        "Flights between two cities in a month.",
        {"origin": _CITIES, "destination": _CITIES, "month": _MONTHS},
        (
            "Find flights from {origin} to {destination} in {month}.",
            "I fly to {destination} from {origin} in {month}.",
        ),
    ),
    Family(
        "start_timer",
        "Start a kitchen timer.",
        {"minutes": range(1, 60), "label": ("pasta", "eggs", "tea", "bread", "rice")},
        (
            "Start a timer of {minutes} minutes for the {label}.",
            "Tell me when the {label} had {minutes} minutes.",
        ),
    ),
    Family(
        "reserve_table",
        "Reserve a table in a restaurant.",
        {"restaurant": ("Ozu", "Nonna", "The Oak", "Blue Door", "Casa Sol"), "guests": range(2, 9)},
        ("A table for {guests} at {restaurant}, please.", "Reserve {restaurant} for {guests} people."),
    ),
    Family(
        "get_directions",
        "The way from one city to another.",
        {"start": _CITIES, "goal": _CITIES, "mode": ("train", "car", "bicycle", "bus")},
        ("How do I get from {start} to {goal} by {mode}?", "The way by {mode} to {goal} from {start}."),
    ),
    Family(
        "log_workout",
        "Note a workout.",
        {"activity": ("rowing", "running", "swimming", "climbing"), "minutes": range(10, 95, 5)},
        ("I did {minutes} minutes of {activity}.", "Note {activity} for {minutes} minutes."),
    ),
)
HELD_OUT = frozenset({"convert_length", "start_timer", "reserve_table"})
"""Functions that the training never sees, neither called nor offered."""

"""The secrets that this process was handed, kept out of everything that it writes.

Owns which those are: what `hide` is given, and what the process's own environment says. How a text is
cleaned is `contract/redaction`'s. Every writer of a run's files asks here: the stream, events, records,
episodes, tracebacks.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, TypeVar

from remote.contract.events import Event, encode_line, from_dict, to_dict
from remote.contract.json_text import from_json, to_json
from remote.contract.record import LaunchRequest
from remote.contract.redaction import Redactor, is_secret, says_secret, without_passwords

NAMES = "VFM_SECRETS"
"""The variable that tells a program which of its variables are secrets, by their names."""

E = TypeVar("E", bound=Event)
_hidden: dict[str, str] = {}
_redactor: Redactor | None = None


def hide(values: Mapping[str, str], request: LaunchRequest | None = None) -> dict[str, str]:
    """Let no value of these variables that is a secret be written from now on.

    Returns `{NAMES: …}` for the environment of a program that is handed the same variables. The run's own
    names, which stand in every line, are no secrets.
    """
    global _redactor
    words = () if request is None else _words(request)
    secrets = {name: value for name, value in values.items() if is_secret(name, value, words)}
    _hidden.update(secrets)
    _redactor = None
    return {NAMES: ",".join(sorted(secrets))}


def hides(name: str, value: str) -> bool:
    """Whether a variable is one of the secrets."""
    return name in _hidden or name in os.environ.get(NAMES, "").split(",") or says_secret(name, value)


def text(text: str) -> str:
    """The text without secrets."""
    return _current().text(text)


def data(value: Any) -> Any:
    """Plain data without secrets, in texts and in keys."""
    return _current().data(value)


def line(text: str) -> str:
    """What is said, by this program or another: without secrets, and the passwords that addresses bear."""
    return without_passwords(_current().text(text))


def json_line(text: str) -> str:
    """A JSON document on one line, without secrets."""
    if not _current().touches(text):
        return text
    try:
        return to_json(_current().data(from_json(text)))
    except ValueError:
        return _current().text(text)


def event(event: E) -> E:
    """The event without secrets."""
    if not _current().touches(encode_line(event)):
        return event
    return from_dict(_current().data(to_dict(event)))  # type: ignore[return-value]


def _current() -> Redactor:
    global _redactor
    if _redactor is None:
        told = set(os.environ.get(NAMES, "").split(","))
        # A list of names is no secret. Of what nobody has spoken of, such as a proxy's address, what can be
        # nothing else is one.
        own = {
            name: value
            for name, value in os.environ.items()
            if name != NAMES and (name in told or says_secret(name, value))
        }
        _redactor = Redactor({**own, **_hidden})
    return _redactor


def _words(request: LaunchRequest) -> set[str]:
    """What a run is called, and what it is of."""
    names = ("run_id", "experimenter", "experiment", "environment", "model", "outputs", "cache", "backend")
    spec = request.spec
    return {
        *(str(getattr(request, name)) for name in names),
        spec.wandb.project,
        spec.training.environment,
        spec.model.base_model or "",
    }

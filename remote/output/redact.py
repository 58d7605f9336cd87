"""Keep the secrets of this process out of everything that it writes: stream, events, records, episodes,
tracebacks.

The secrets are those passed to `hide`, and those in the process's environment. How they are found in a text
is `contract/redaction`'s.
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
"""Variable with the names of a program's variables that are secrets."""

E = TypeVar("E", bound=Event)
_hidden: dict[str, str] = {}
_redactor: Redactor | None = None


def hide(values: Mapping[str, str], request: LaunchRequest | None = None) -> dict[str, str]:
    """From now on, redact the values of those variables that are secrets.

    Returns `{NAMES: …}` for the environment of a program that gets the same variables. The run's own names,
    which occur everywhere, are not secrets.
    """
    global _redactor
    known = () if request is None else _own_names(request)
    secrets = {name: value for name, value in values.items() if is_secret(name, value, known)}
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
    """A log line, of this program or another, without secrets and without passwords in URLs."""
    return without_passwords(_current().text(text))


def json_line(text: str) -> str:
    """A JSON document on one line without secrets."""
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
        names = set(os.environ.get(NAMES, "").split(","))
        # The list of names itself is not a secret. Of variables that it does not list, such as a proxy's URL,
        # only certain ones are.
        own = {
            name: value
            for name, value in os.environ.items()
            if name != NAMES and (name in names or says_secret(name, value))
        }
        _redactor = Redactor({**own, **_hidden})
    return _redactor


def _own_names(request: LaunchRequest) -> set[str]:
    """The names of a run and of what it is about."""
    names = ("run_id", "experimenter", "experiment", "environment", "model", "outputs", "cache", "backend")
    spec = request.spec
    return {
        *(str(getattr(request, name)) for name in names),
        spec.wandb.project,
        spec.training.environment,
        spec.model.base_model or "",
    }

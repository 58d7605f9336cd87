"""Secrets of a launch: those that the config names must be set, and none may stand in the config itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from remote.contract.errors import ConfigError, Hint
from remote.contract.redaction import HIDDEN, SHORTEST, named_secret, says_secret, shown_value
from tui.config.resolve import Resolved
from tui.settings import Settings, from_shell

KEY, ARGUMENTS = "training.environment_secrets", "training.environment_args"
_ADVICE = (
    f"put it into .env, name the variable in {KEY}, and have the environment read it from its own environment"
)


def check_secrets(resolved: Resolved, settings: Settings) -> None:
    """Raise `ConfigError` where a named secret is not set, or an option of the environment holds the value of
    one: options are written into the run's files."""
    names = resolved.spec.training.environment_secrets
    shell = from_shell(names)
    if missing := [name for name in names if name not in settings.secrets and name not in shell]:
        where = resolved.provenance[KEY].where
        raise ConfigError(
            f"{f'{where}: ' if where else ''}{KEY} names {', '.join(missing)}, which neither .env nor the "
            "shell sets",
            hint=Hint(f"put {missing[0]}=… into {settings.env_file}, or export it", KEY, names),
        )
    both = {**settings.secrets, **shell}
    certain = {name for name, value in both.items() if name in names or says_secret(name, value)}
    for key, value in _arguments(resolved):
        # Where neither name says secret, equal values may be a coincidence.
        known = both if named_secret(key) else {name: both[name] for name in certain}
        held = (name for name, secret in known.items() if len(secret) >= SHORTEST and secret in str(value))
        if (name := next(held, None)) is not None:
            raise ConfigError(
                f"{key} holds the value of {name}, which would be written into the run's files",
                hint=Hint(_ADVICE, key),
            )


def secret_notices(resolved: Resolved) -> list[str]:
    """Notices on options named like secrets: hidden on screens, but in the run's files."""
    hidden = [key for key, value in _arguments(resolved) if HIDDEN in str(shown_value(key, value))]
    looks = "looks like a secret, and the run's request.json will hold it"
    return [f"{key} {looks}: {_ADVICE}" for key in hidden]


def _arguments(resolved: Resolved) -> Iterator[tuple[str, Any]]:
    return ((key, value) for key, value in resolved.values.items() if key.startswith(f"{ARGUMENTS}."))

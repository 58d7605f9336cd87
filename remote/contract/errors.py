"""Failures named by the boundary they crossed, each with what to do next.

Owns the only exceptions that may end a run or a command, and their form as JSON, in which they travel between
processes. How a failure is shown (exit code, event, screen) is up to the code that catches it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from remote.contract.redaction import without_passwords

Boundary = Literal[
    "config",  # what the user wrote: YAML, --set, .env, names
    "image",  # building the environment that the worker runs in
    "environment",  # the verifiers package: finding, installing, loading it
    "model",  # the model: finding, loading, saving it
    "vllm",  # the inference server: starting, answering, dying
    "rollout",  # an episode
    "sync",  # trained weights on their way to the server
    "train",  # the optimiser's side
    "script",  # the user's training script
    "disk",  # reading or writing files
    "backend",  # where runs are launched: unreachable, signed out
    "worker",  # the worker itself: killed, crashed
]


@dataclass(frozen=True)
class Hint:
    """What to do next: a sentence, and the proposed change where one config key mends the failure."""

    text: str
    key: str | None = None
    """Dotted config key, such as `vllm.max_model_len`."""
    old: Any = None
    new: Any = None

    def to_dict(self) -> dict[str, Any]:
        """`{text, key, from, to}`."""
        return {"text": self.text, "key": self.key, "from": self.old, "to": self.new}

    @classmethod
    def from_dict(cls, hint: Mapping[str, Any]) -> Hint:
        """The hint of `to_dict`; the last three may be missing."""
        return cls(hint["text"], hint.get("key"), hint.get("from"), hint.get("to"))

    def without_passwords(self) -> Hint:
        """A copy without the passwords in its URLs."""
        clean = {n: without_passwords(v) for n, v in vars(self).items() if isinstance(v, str)}
        return replace(self, **clean)


class VfmError(Exception):
    """A failure that a user can act on: what happened, where, and what to do next.

    `cause` is the original evidence (an exception's text, a log line), never a traceback. Passwords in URLs
    are removed from all of its texts.
    """

    boundary: Boundary = "worker"

    def __init__(
        self,
        message: str,
        *,
        boundary: Boundary | None = None,
        cause: str = "",
        hint: Hint | None = None,
    ) -> None:
        message = without_passwords(message)
        super().__init__(message)
        self.message = message
        self.cause = without_passwords(cause)
        self.hint = None if hint is None else hint.without_passwords()
        if boundary is not None:
            self.boundary = boundary

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n  {self.hint.text}"

    def to_dict(self) -> dict[str, Any]:
        """`{boundary, cause, message, hint}`: the fields of a failure event and of a failure on record."""
        hint = None if self.hint is None else self.hint.to_dict()
        return {"boundary": self.boundary, "cause": self.cause, "message": self.message, "hint": hint}


class ConfigError(VfmError):
    """Every problem of the config, of `--set` and of `.env`, one per line."""

    boundary: Boundary = "config"


class ImageError(VfmError):
    """The image that the worker runs in could not be built."""

    boundary: Boundary = "image"


class EnvironmentMissing(VfmError):
    """The environment does not exist, or could not be installed or loaded."""

    boundary: Boundary = "environment"


class ModelError(VfmError):
    """The model could not be found or loaded."""

    boundary: Boundary = "model"


class ServerError(VfmError):
    """The vLLM server did not start, died, or refused a request."""

    boundary: Boundary = "vllm"


class SyncError(VfmError):
    """The server does not answer with the trainer's weights."""

    boundary: Boundary = "sync"


class ScriptError(VfmError):
    """The user's training script is missing, cannot be read, or raises."""

    boundary: Boundary = "script"


class DiskError(VfmError):
    """A file could not be written or read."""

    boundary: Boundary = "disk"


class BackendError(VfmError):
    """A backend cannot be reached, or the user is not signed in (exit code 3)."""

    boundary: Boundary = "backend"


class RunNotFound(VfmError):
    """No run has that name, or more than one does (exit code 2)."""

    boundary: Boundary = "config"


_CLASSES: dict[str, type[VfmError]] = {
    kind.boundary: kind
    for kind in (
        ConfigError,
        ImageError,
        EnvironmentMissing,
        ModelError,
        ServerError,
        SyncError,
        ScriptError,
        DiskError,
        BackendError,
    )
}


def error_from(failure: Mapping[str, Any]) -> VfmError:
    """The error of a failure as `VfmError.to_dict` has it, in the class of its boundary."""
    hint = failure.get("hint")
    return _CLASSES.get(failure["boundary"], VfmError)(
        failure["message"],
        boundary=failure["boundary"],
        cause=failure["cause"],
        hint=Hint.from_dict(hint) if hint else None,
    )

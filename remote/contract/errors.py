"""Failures named by the boundary they crossed, each with what to do next.

Owns the one exception family that may end a run or a command. How a failure is shown
(exit code, event, screen) is left to whoever catches it.
"""

from __future__ import annotations

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
    """What to do next: a sentence, and where one config key mends it, the proposed change."""

    text: str
    key: str | None = None
    """Dotted config key, such as `vllm.max_model_len`."""
    old: Any = None
    new: Any = None

    def without_passwords(self) -> Hint:
        """The same, in which no address shows the password that it bears."""
        clean = {n: without_passwords(v) for n, v in vars(self).items() if isinstance(v, str)}
        return replace(self, **clean)


class VfmError(Exception):
    """A failure that a user can act on: what happened, where, and what to do next.

    `cause` is the original evidence (an exception's text, a log line), never a traceback. Passwords that
    addresses bear are left out of all that it says.
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


class ConfigError(VfmError):
    """Everything wrong with what the user wrote, one problem a line."""

    boundary: Boundary = "config"


class ImageError(VfmError):
    """The image that the worker runs in could not be built."""

    boundary: Boundary = "image"


class EnvironmentMissing(VfmError):
    """No such environment, or it could not be installed or loaded."""

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
    """The user's training script is not there, cannot be read, or raises."""

    boundary: Boundary = "script"


class DiskError(VfmError):
    """A file could not be written or read."""

    boundary: Boundary = "disk"


class BackendError(VfmError):
    """A backend cannot be reached, or the user is not signed in (exit code 3)."""

    boundary: Boundary = "backend"


class RunNotFound(VfmError):
    """No run answers to that name, or more than one does (exit code 2)."""

    boundary: Boundary = "config"

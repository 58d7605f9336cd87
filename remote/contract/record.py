"""What is asked of a backend, and what is known of a run.

Owns `LaunchRequest` (the worker's whole input), `RunRecord` (`record.json` of a run directory) and
the status machine. Reading and writing the files is left to the worker and the stores.
"""

from __future__ import annotations

import secrets
import string
import time
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from remote.contract.spec import ExperimentSpec

_YEAR_10000 = 253_402_300_800
Moment = Annotated[float, Field(ge=0, lt=_YEAR_10000, allow_inf_nan=False)]
"""Unix seconds, from 1970 to the end of the year 9999: what a calendar can show."""
Kind = Literal["train", "evaluate"]
Status = Literal["pending", "running", "done", "failed", "cancelled"]
FINAL: frozenset[str] = frozenset({"done", "failed", "cancelled"})
_NEXT: dict[str, frozenset[str]] = {
    "pending": frozenset({"running", "failed", "cancelled"}),
    "running": FINAL,
    "done": frozenset(),
    "failed": frozenset(),
    "cancelled": frozenset(),
}


class Provenance(BaseModel):
    """Where one value of the spec comes from."""

    layer: Literal["default", "file", "override", "set", "derived"]
    """default < file < override (`model.overrides[environment]`) < set (`--set` or the form). derived: set by
    itself, for the environment, the model and the machine of the run."""
    where: str = ""
    """`path:line` for a file, the words typed for set, `set for vf-…` for derived."""


class LaunchRequest(BaseModel):
    """Everything that a worker needs, as JSON: it looks at nothing else but its secrets."""

    model_config = ConfigDict(protected_namespaces=())

    run_id: str
    kind: Kind = "train"
    backend: str = "local"
    spec: ExperimentSpec
    provenance: dict[str, Provenance] = Field(default_factory=dict)
    """Dotted key → where its value comes from."""
    config_path: str | None = None
    """The config as the user named it."""
    model: str
    """The model that was chosen: hub id, path or `builtin/…`."""
    environment: str
    """The environment's module, such as `vf_wordle`; its package's name where it comes from elsewhere."""
    environment_source: str = ""
    """What the worker installs it from: a requirement (`some-env==1.2.3`), the absolute path of a folder or a
    wheel where the worker runs, or a wheel's path inside the run directory. Empty: a package of
    `environments/`, or a module that is installed."""
    checkpoint: str = ""
    """What an evaluation plays with in place of the model itself: the absolute path, where the worker runs,
    of a folder with an adapter or whole weights."""
    resume: str = ""
    """An evaluation that was interrupted: the absolute path of its run directory, where the worker runs. Its
    finished episodes are taken over, and only the others are played."""
    script: str = ""
    """The training script's path, in the project where it lies there; empty: the built-in training."""
    script_text: str = ""
    """The script itself, as it was when the run was planned: what runs, on whatever machine."""
    experimenter: str = "default"
    experiment: str = "default"
    outputs: str
    """The outputs volume's name."""
    cache: str
    """The cache volume's name."""
    run_dir: str = ""
    """Absolute path of the run directory where the worker runs; the backend fills it in."""
    cache_dir: str = ""
    """Absolute path of the cache volume where the worker runs; the backend fills it in."""
    project_dir: str = ""
    """Absolute path of the folder that holds `environments/`; the backend fills it in."""
    git: dict[str, Any] = Field(default_factory=dict)
    """`{"revision": …, "dirty": …}` of the project, where it is a checkout."""
    usd_per_hour: float | None = None
    """What the machine costs, by the table of prices when the run is planned; None: unknown."""


class Attempt(BaseModel):
    """One machine's go at a run: a run that was interrupted has several."""

    started: Moment
    """Unix seconds."""
    ended: Moment | None = None
    why: str | None = None
    """What ended it: a final status, or `timeout`, `server` (vLLM was lost), `preempted`, `lost`,
    after which another goes on. Before `ended`: what is about to end it."""
    offset: int = 0
    """Bytes of `logs/stream.log` that were there before it."""
    container: str | None = None
    """Modal's task id."""


class HintOnRecord(BaseModel):
    """What to do about a failure, as events have it: see `errors.Hint`."""

    text: str = ""
    key: str | None = None
    old: Any = Field(None, alias="from")
    new: Any = Field(None, alias="to")


class FailureOnRecord(BaseModel):
    """Why a run failed."""

    boundary: str = "worker"
    cause: str = ""
    message: str = ""
    hint: HintOnRecord | None = None


class Reached(BaseModel):
    """How far a run that is over had come."""

    done: int = Field(ge=0)
    total: int = Field(ge=0)
    """How many there were to be."""
    counts: Literal["steps", "episodes"] = "steps"
    """What is counted: a training's optimiser steps, an evaluation's episodes."""
    checkpoint: int | None = Field(None, ge=0)
    """The step of the newest checkpoint that was announced; None: none was, or it is an evaluation."""


class RunRecord(BaseModel):
    """`record.json`: who launched what, where it runs, and how it stands."""

    run_id: str
    kind: Kind
    backend: str
    status: Status = "pending"
    exit_code: int | None = None
    created: Moment = Field(default_factory=time.time)
    """Unix seconds."""
    started: Moment | None = None
    ended: Moment | None = None
    experimenter: str = "default"
    experiment: str = "default"
    environment: str
    model: str
    outputs: str
    """The outputs volume that holds the run directory."""
    script: str = ""
    """The training script's path; empty: none, or the built-in training."""
    config_path: str | None = None
    git: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of the packages that did the work."""
    identifiers: dict[str, str] = Field(default_factory=dict)
    """What the backend calls it: pid and start time locally; on Modal the ids of its app and call, and the
    address of the app's page."""
    attempts: list[Attempt] = Field(default_factory=list)
    """In order; one more for each time that the run was taken up."""
    usd_per_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """What its machine costs, as estimated at launch."""
    failure: dict[str, Any] | None = None
    """The failure event's boundary, cause, message and hint: as `FailureOnRecord` has them."""
    resumed_after: int = Field(0, ge=0)
    """How many attempts there were when a person last had it resumed. Those after it have the time and the
    retries of a run that is new."""
    reached: Reached | None = None
    """How far it had come when it ended; None: it is not over, or had not begun."""

    @field_validator("failure")
    @classmethod
    def _is_failure(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if value is None else FailureOnRecord.model_validate(value).model_dump(by_alias=True)

    @classmethod
    def of(cls, request: LaunchRequest) -> RunRecord:
        """The record of a run that is about to begin."""
        shared = ("run_id", "kind", "backend", "experimenter", "experiment", "environment")
        also = ("model", "outputs", "script", "config_path", "git", "usd_per_hour")
        return cls(**{name: getattr(request, name) for name in (*shared, *also)})

    @property
    def ended_already(self) -> bool:
        """Whether the run is over, one way or another."""
        return self.status in FINAL

    @property
    def interrupted(self) -> bool:
        """Whether its processes went away without a word: a kill, a power cut, a reboot."""
        return self.status == "failed" and bool(self.attempts) and self.attempts[-1].why not in FINAL

    def reopened(self) -> RunRecord:
        """A copy of a run that is over, about to go on: another attempt follows."""
        undone = {"exit_code": None, "ended": None, "failure": None, "reached": None}
        return self.model_copy(update={"status": "pending", "resumed_after": len(self.attempts), **undone})

    def with_attempt_ended(self, why: str, ended: float | None = None) -> RunRecord:
        """A copy whose last attempt is over; as it is where that has been said before."""
        if not self.attempts or self.attempts[-1].ended is not None:
            return self
        *earlier, last = self.attempts
        when = max(last.started, time.time() if ended is None else ended)
        last = last.model_copy(update={"ended": when, "why": why})
        return self.model_copy(update={"attempts": [*earlier, last]})

    def moved(self, status: Status, **also: Any) -> RunRecord:
        """A copy in another status; raises `ValueError` on a step back."""
        if status != self.status and status not in _NEXT[self.status]:
            raise ValueError(f"run {self.run_id} is {self.status}: it cannot become {status}")
        return self.model_copy(update={"status": status, **also})


def new_run_id(environment: str) -> str:
    """A short name that is easy to type: five random characters, then the environment (`k3f9x-wordle`)."""
    alphabet = string.ascii_lowercase + string.digits
    first = secrets.choice(string.ascii_lowercase)
    rest = "".join(secrets.choice(alphabet) for _ in range(4))
    return f"{first}{rest}-{environment.removeprefix('vf_').replace('_', '-')}"

"""`LaunchRequest`, the worker's whole input, and `RunRecord`, the `record.json` of a run directory.

Owns the status machine of a run. Reading and writing the files is left to the worker and the stores.
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
"""Unix seconds, from 1970 to the end of the year 9999, since others cannot be shown as a date."""
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
    """default < file < override (`model.overrides[environment]`) < set (`--set` or the form). derived: set
    automatically for the environment, the model and the machine of the run."""
    where: str = ""
    """`path:line` of a file, the text typed for set, `set for vf-…` for derived."""


class LaunchRequest(BaseModel):
    """Everything that a worker needs besides its secrets, as JSON."""

    model_config = ConfigDict(protected_namespaces=())

    run_id: str
    kind: Kind = "train"
    backend: str = "local"
    spec: ExperimentSpec
    provenance: dict[str, Provenance] = Field(default_factory=dict)
    """Dotted key → where its value comes from."""
    config_path: str | None = None
    """Path of the config as the user typed it."""
    model: str
    """The chosen model: hub id, path or `builtin/…`."""
    environment: str
    """The environment's module, such as `vf_wordle`; of one from elsewhere, its package's name."""
    environment_source: str = ""
    """What the worker installs it from: a requirement (`some-env==1.2.3`), the absolute path of a folder or a
    wheel on the worker's machine, or a wheel's path inside the run directory. Empty: a package of
    `environments/`, or a module that is installed."""
    checkpoint: str = ""
    """Absolute path, on the worker's machine, of a folder with an adapter or whole weights, which an
    evaluation plays instead of the model itself."""
    resume: str = ""
    """Absolute path, on the worker's machine, of the run directory of an interrupted evaluation, whose
    finished episodes are copied; only the others are played."""
    script: str = ""
    """Path of the training script, relative to the project if it lies there; empty: the built-in training."""
    script_text: str = ""
    """The script's text when the run was planned, which is what runs."""
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
    """Price of the machine when the run was planned; None: unknown."""


class Attempt(BaseModel):
    """One attempt at a run: one that was interrupted has several, perhaps on several machines."""

    started: Moment
    """Unix seconds."""
    ended: Moment | None = None
    why: str | None = None
    """What ended it: a final status, or `timeout`, `server` (vLLM was lost), `preempted`, `lost`,
    after which another follows. While `ended` is None: what is about to end it."""
    offset: int = 0
    """Size of `logs/stream.log` in bytes when it began."""
    container: str | None = None
    """Modal's task id."""
    exit_code: int | None = None
    """The run's, where it ended with this attempt."""
    done: int | None = None
    """The steps or episodes that were done then."""


class HintOnRecord(BaseModel):
    """What to do about a failure: see `errors.Hint`."""

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
    """How far a run had come when it ended."""

    done: int = Field(ge=0)
    total: int = Field(ge=0)
    counts: Literal["steps", "episodes"] = "steps"
    """The unit of both: a training's optimiser steps, or an evaluation's episodes."""
    checkpoint: int | None = Field(None, ge=0)
    """Step of the newest checkpoint that was announced; None: no checkpoint, or an evaluation."""


def how_to_resume(run_id: str, reached: Reached | None) -> str:
    """The advice to resume a run, with the step from which it continues where that is known."""
    if reached is not None and reached.checkpoint is not None:
        begin = f"go on from the checkpoint of step {reached.checkpoint}"
    elif reached is not None and reached.counts == "episodes":
        begin = "play the missing episodes"
    else:
        begin = "start it again in the same directory"
    return f"{begin}: vfm resume {run_id}"


class RunRecord(BaseModel):
    """`record.json`: what was launched, where it runs, and its status."""

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
    """Path of the training script; empty: none, or the built-in training."""
    config_path: str | None = None
    git: dict[str, Any] = Field(default_factory=dict)
    versions: dict[str, str] = Field(default_factory=dict)
    """Versions of the packages that the run used."""
    identifiers: dict[str, str] = Field(default_factory=dict)
    """Ids in the backend: locally pid and start time; on Modal the ids of its app and call, and the URL of
    the app's page."""
    attempts: list[Attempt] = Field(default_factory=list)
    """In order."""
    usd_per_hour: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None
    """Price of its machine, as estimated at launch."""
    failure: dict[str, Any] | None = None
    """Why it failed, in the form of `FailureOnRecord`."""
    resumed_after: int = Field(0, ge=0)
    """Number of attempts when the run was last resumed by hand. The attempts after them have the time and the
    retries of a new run."""
    reached: Reached | None = None
    """How far it had come when it ended; None: it is not over, or had not begun."""

    @field_validator("failure")
    @classmethod
    def _is_failure(cls, value: dict[str, Any] | None) -> dict[str, Any] | None:
        return None if value is None else FailureOnRecord.model_validate(value).model_dump(by_alias=True)

    @classmethod
    def of(cls, request: LaunchRequest) -> RunRecord:
        """The record of a run that is about to begin."""
        return cls(**request.model_dump(include=set(cls.model_fields)))

    @property
    def ended_already(self) -> bool:
        """Whether the run is over: done, failed or cancelled."""
        return self.status in FINAL

    @property
    def interrupted(self) -> bool:
        """Whether its processes vanished: a kill, a power cut, a reboot."""
        return self.status == "failed" and bool(self.attempts) and self.attempts[-1].why not in FINAL

    def reopened(self) -> RunRecord:
        """A copy of a run that is over, in the status before another attempt."""
        undone = {"exit_code": None, "ended": None, "failure": None, "reached": None}
        return self.model_copy(update={"status": "pending", "resumed_after": len(self.attempts), **undone})

    @property
    def failed_alike(self) -> bool:
        """Whether the last two attempts failed at the same step, or episode, with the same exit code."""
        ends = [(attempt.why, attempt.exit_code, attempt.done) for attempt in self.attempts[-2:]]
        return len(ends) == 2 and ends[0] == ends[1] and ends[0][0] == "failed" and None not in ends[0]

    def with_attempt_ended(self, why: str, ended: float | None = None, **outcome: int | None) -> RunRecord:
        """A copy whose last attempt has ended; unchanged where it had already. `ended`: Unix seconds, or
        now; `outcome`: other fields of the attempt."""
        if not self.attempts or self.attempts[-1].ended is not None:
            return self
        *earlier, last = self.attempts
        when = max(last.started, time.time() if ended is None else ended)
        last = last.model_copy(update={"ended": when, "why": why, **outcome})
        return self.model_copy(update={"attempts": [*earlier, last]})

    def moved(self, status: Status, **changes: Any) -> RunRecord:
        """A copy in another status, with other fields changed. Raises `ValueError` on a step back."""
        if status != self.status and status not in _NEXT[self.status]:
            raise ValueError(f"run {self.run_id} is {self.status}: it cannot become {status}")
        return self.model_copy(update={"status": status, **changes})


def new_run_id(environment: str) -> str:
    """A new run's name, short to type: five random characters, then the environment (`k3f9x-wordle`)."""
    alphabet = string.ascii_lowercase + string.digits
    first = secrets.choice(string.ascii_lowercase)
    rest = "".join(secrets.choice(alphabet) for _ in range(4))
    return f"{first}{rest}-{environment.removeprefix('vf_').replace('_', '-')}"

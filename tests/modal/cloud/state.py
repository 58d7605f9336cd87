"""The cloud's state: apps, functions, calls, containers, images, volumes, secrets, mounts, by their ids.

The parts that serve the protocol change it, tests read it.
"""

from __future__ import annotations

import secrets
import string
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import modal  # noqa: F401  # before modal_proto: its own import order
from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb

from tests.modal.cloud.signals import Signal

if TYPE_CHECKING:
    from tests.modal.cloud.containers import Process
    from tests.modal.cloud.logs import Log

OWNER = "tester"
ENVIRONMENT = "main"
_LETTERS = string.ascii_letters + string.digits


def new_id(prefix: str) -> str:
    """An id like Modal's: `ap-` and 22 letters or digits."""
    return f"{prefix}-" + "".join(secrets.choice(_LETTERS) for _ in range(22))


def missing(what: str) -> GRPCError:
    """The protocol's error for something that is missing."""
    return GRPCError(Status.NOT_FOUND, f"{what} not found")


@dataclass
class App:
    """An app, its functions by tag, and its log."""

    app_id: str
    name: str
    state: pb.AppState.ValueType
    tags: dict[str, str]
    log: Log
    function_ids: dict[str, str] = field(default_factory=dict)
    created: float = field(default_factory=time.time)
    stopped: float = 0.0

    @property
    def done(self) -> bool:
        """Whether the app is stopped and its log complete."""
        return self.state == pb.APP_STATE_STOPPED


@dataclass
class Function:
    """A function, or a variant of one with its options in `definition`."""

    function_id: str
    app_id: str
    tag: str
    definition: pb.Function = field(default_factory=pb.Function)
    options: pb.FunctionOptions | None = None
    base_id: str = ""
    """The function that this is a variant of; "" for none."""

    @property
    def gpu(self) -> str:
        """The GPU asked for, as `H100:2`; "" for none."""
        gpu = self.definition.resources.gpu_config
        return f"{gpu.gpu_type}:{gpu.count}" if gpu.count else ""


@dataclass
class Input:
    """One input of a call and its attempts."""

    input_id: str
    call: Call
    idx: int
    payload: pb.FunctionInput
    attempt: int = 0
    """How often it was tried again, by the function's retry policy."""
    task_id: str = ""
    started: float = 0.0
    cancelled: bool = False
    output: pb.FunctionGetOutputsItem | None = None
    shown: pb.GenericResult.GenericStatus.ValueType = pb.GenericResult.GENERIC_STATUS_UNSPECIFIED
    """What the call graph says, which is not always the truth."""


@dataclass
class Call:
    """A call of a function."""

    call_id: str
    function: Function
    parent_input_id: str = ""
    created: float = field(default_factory=time.time)
    inputs: list[Input] = field(default_factory=list)
    changed: Signal = field(default_factory=Signal)

    @property
    def unfinished(self) -> list[Input]:
        """The inputs without a result."""
        return [one for one in self.inputs if one.output is None]


@dataclass
class Container:
    """A container; it has no `process` before it is started."""

    task_id: str
    function: Function
    root: Path
    env: dict[str, str]
    """The environment that the function was given: secrets, mounts, Modal's own."""
    process: Process | None = None
    running: dict[str, Input] = field(default_factory=dict)
    stopping: bool = False
    """It takes no more inputs."""
    preempted: bool = False
    fate: pb.GenericResult | None = None
    """What its inputs come to when it ends, where somebody ended it or it could not start."""
    served: int = 0
    """How many inputs it took."""
    changed: Signal = field(default_factory=Signal)
    started: float = field(default_factory=time.time)
    ended: float = 0.0
    exit_code: int | None = None


@dataclass
class Image:
    """An image layer: its Dockerfile commands and those of the layers below it."""

    image_id: str
    commands: list[str]
    base_ids: list[str]
    files: dict[str, bytes]
    """What its commands copy, by name."""
    builder: str
    """The version of Modal's image builder that the client asked for."""
    log: Log
    result: pb.GenericResult | None = None
    """How the build ended; None while it goes on."""


@dataclass
class Volume:
    """A volume; its files are under `folder`."""

    volume_id: str
    name: str
    version: pb.VolumeFsVersion.ValueType
    folder: Path
    created: float = field(default_factory=time.time)


@dataclass
class State:
    """All of it."""

    folder: Path
    apps: dict[str, App] = field(default_factory=dict)
    functions: dict[str, Function] = field(default_factory=dict)
    calls: dict[str, Call] = field(default_factory=dict)
    inputs: dict[str, Input] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    images: dict[str, Image] = field(default_factory=dict)
    volumes: dict[str, Volume] = field(default_factory=dict)
    secrets: dict[str, dict[str, str]] = field(default_factory=dict)
    named_secrets: dict[str, str] = field(default_factory=dict)
    mounts: dict[str, list[pb.MountFile]] = field(default_factory=dict)
    container_env: dict[str, str] = field(default_factory=dict)
    billing: list[pb.WorkspaceBillingReportItem] = field(default_factory=list)
    rates: dict[str, str] = field(default_factory=dict)
    """What an hour costs this workspace, by Modal's names."""
    served: list[tuple[Path, int]] = field(default_factory=list)
    """The blocks that were asked for: file, and bytes that were sent of it."""
    serving: int = 0
    """How many are being sent."""
    volume_version: pb.VolumeFsVersion.ValueType = pb.VOLUME_FS_VERSION_V1
    """What folders that tests made are, as volumes."""

    @property
    def volumes_dir(self) -> Path:
        """Where the volumes' files are, a folder for each name."""
        return self.folder / "volumes"

    @property
    def store(self) -> Path:
        """Where uploaded contents are, a file for each digest."""
        return self.folder / "store"

    def app(self, app_id: str) -> App:
        """The app of that id; raises the protocol's error where there is none."""
        if app_id not in self.apps:
            raise missing(f"App {app_id}")
        return self.apps[app_id]

    def function(self, function_id: str) -> Function:
        """The function of that id, as `app`."""
        if function_id not in self.functions:
            raise missing(f"Function {function_id}")
        return self.functions[function_id]

    def call(self, call_id: str) -> Call:
        """The call of that id, as `app`."""
        if call_id not in self.calls:
            raise missing(f"Function call {call_id}")
        return self.calls[call_id]

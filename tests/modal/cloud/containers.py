"""Containers: real processes that run Modal's own entry point in a folder of the uploaded files.

Each has its own folder as its root, and its own environment with little of this process's. Its output goes to
its app's log.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from modal_proto import api_pb2 as pb

from tests.modal.cloud import processes
from tests.modal.cloud.faults import Faults
from tests.modal.cloud.functions import handle
from tests.modal.cloud.logs import STDERR, STDOUT, Source
from tests.modal.cloud.output import Tap
from tests.modal.cloud.state import ENVIRONMENT, Container, Function, State, new_id
from tests.modal.cloud.uploads import Uploads
from tests.modal.cloud.views import SYNCED, Views
from tests.modal.cloud.volumes import metadata
from tests.modal.cloud.wire import TASK_HEADER

PROJECT = Path(__file__).parents[3]
BOOT = Path(__file__).with_name("boot.py")
_KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "SSL_CERT_FILE", "TZ")


class Process:
    """A container's process and everything that it started."""

    def __init__(self, child: asyncio.subprocess.Process, taps: tuple[Tap, Tap]) -> None:
        self._child = child
        self._taps = taps
        self._mark = ""
        self._ended = asyncio.Event()

    @property
    def pid(self) -> int:
        """The process id."""
        return self._child.pid

    @property
    def code(self) -> int | None:
        """The exit code; None while it runs."""
        return self._child.returncode

    def give(self, container: Container, job: dict[str, Any], write: Callable[[Source, str], None]) -> None:
        """Give it its job: it becomes the container."""
        self._mark = container.task_id
        for tap, source in zip(self._taps, (STDOUT, STDERR), strict=True):
            tap.open(partial(write, source))
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(job).encode() + b"\n")

    def kill(self) -> None:
        """SIGKILL all of its processes."""
        # A dead process's number may be somebody else's by now.
        processes.kill_all(self.pid if self.code is None else None, self._mark)

    def drain(self) -> None:
        """Log what it has written so far."""
        for tap in self._taps:
            tap.drain()

    async def end(self, grace: float, *, interrupt: bool) -> None:
        """End it: by SIGINT if it has an input, and by SIGKILL after `grace` seconds."""
        if interrupt:
            with suppress(ProcessLookupError):
                os.kill(self.pid, signal.SIGINT)
        try:
            async with asyncio.timeout(grace):
                await self._ended.wait()
        except TimeoutError:
            self.kill()
            await self._ended.wait()

    async def ended(self) -> None:
        """Wait for its end, and log the last of its output."""
        await self._child.wait()
        self.kill()  # whoever it left behind
        self.drain()
        for tap in self._taps:
            tap.close()
        self._ended.set()


class Containers:
    """Starts containers; one process is kept ready, with Modal imported, for the next one."""

    def __init__(self, state: State, uploads: Uploads, views: Views, faults: Faults) -> None:
        self._state = state
        self._views = views
        self._uploads = uploads
        self._faults = faults
        self._ready: asyncio.Task[Process] | None = None
        self.url = ""

    def warm(self) -> None:
        """Start a process for the next container."""
        if self._ready is None:
            self._ready = asyncio.ensure_future(self._boot())

    def prepare(self, function: Function) -> Container:
        """A container without a process."""
        task_id = new_id("ta")
        container = Container(task_id, function, self._state.folder / "containers" / task_id, {})
        container.env = self._environment(container)
        self._state.containers[task_id] = container
        return container

    async def start(self, container: Container) -> Process:
        """Start a container's process."""
        self.warm()
        assert self._ready is not None
        ready, self._ready = self._ready, None
        process = await ready
        self._furnish(container)
        job = {"env": container.env, "cwd": str(container.root / "root"), "hidden": str(PROJECT)}
        job["synced"] = str(container.root / SYNCED)
        process.give(container, job, partial(self._log, container))
        container.process = process
        return process

    async def close(self) -> None:
        """SIGKILL every process."""
        alive = [one.process for one in self._state.containers.values() if one.process and not one.ended]
        if self._ready is not None:
            alive.append(await self._ready)
        for process in alive:
            process.kill()
        await asyncio.gather(*(process.ended() for process in alive))

    async def _boot(self) -> Process:
        kept = {name: os.environ[name] for name in _KEPT if name in os.environ}
        taps = Tap(), Tap()
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-P", str(BOOT),
            stdin=asyncio.subprocess.PIPE, stdout=taps[0].writing_end, stderr=taps[1].writing_end,
            env={**kept, "MODAL_IS_REMOTE": "1", "PYTHONUNBUFFERED": "1"},
            cwd=self._state.folder, start_new_session=True,
        )  # fmt: skip
        for tap in taps:
            os.close(tap.writing_end)
        return Process(child, taps)

    def _environment(self, container: Container) -> dict[str, str]:
        definition = container.function.definition
        env = {name: os.environ[name] for name in _KEPT if name in os.environ}
        root = container.root
        env |= {
            "HOME": str(root / "root"),
            "PYTHONPATH": f"{root / 'root'}{os.pathsep}{root / 'pkg'}",
            "PYTHONUNBUFFERED": "1",
            "MODAL_IS_REMOTE": "1",
            "MODAL_SERVER_URL": self.url,
            "MODAL_ENVIRONMENT": ENVIRONMENT,
            "MODAL_TASK_ID": container.task_id,
            "MODAL_IMAGE_ID": definition.image_id,
            "MODAL_DISABLE_API_PROXY": "1",
            "MODAL_OVERRIDE_HEADERS": f"{TASK_HEADER}:{container.task_id}",
            "MODAL_CONTAINER_ARGUMENTS_PATH": str(root / "arguments"),
        }
        for secret_id in definition.secret_ids:
            env |= self._state.secrets.get(secret_id, {})
        for mount in definition.volume_mounts:
            folder = self._views.folder(container, self._state.volumes[mount.volume_id])
            # Without root there are no bind mounts: a function is told where /outputs is by VFM_OUTPUTS_DIR.
            env[f"VFM_{PurePosixPath(mount.mount_path).name.upper()}_DIR"] = str(folder / mount.sub_path)
        return env | self._state.container_env

    def _furnish(self, container: Container) -> None:
        root = container.root
        for name in ("root", "pkg"):
            (root / name).mkdir(parents=True)
        hide = f"import sys\nsys.path[:] = [one for one in sys.path if one != {str(PROJECT)!r}]\n"
        (root / "pkg" / "sitecustomize.py").write_text(hide)
        self._uploads.link(list(container.function.definition.mount_ids), root)
        (root / "arguments").write_bytes(self._arguments(container).SerializeToString())

    def _arguments(self, container: Container) -> pb.ContainerArguments:
        function = container.function
        app = self._state.apps[function.app_id]
        layout = pb.AppLayout(function_ids=app.function_ids)
        ids = {function.function_id, *app.function_ids.values()}
        ids |= {one.object_id for one in function.definition.object_dependencies}
        for one in sorted(ids):
            layout.objects.append(self._object(one))
        return pb.ContainerArguments(
            task_id=container.task_id,
            function_id=function.function_id,
            app_id=app.app_id,
            function_def=function.definition,
            environment_name=ENVIRONMENT,
            app_layout=layout,
        )

    def _object(self, object_id: str) -> pb.Object:
        if object_id in self._state.functions:
            known = handle(self._state.functions[object_id])
            return pb.Object(object_id=object_id, function_handle_metadata=known)
        if object_id in self._state.volumes:
            return pb.Object(object_id=object_id, volume_metadata=metadata(self._state.volumes[object_id]))
        return pb.Object(object_id=object_id)

    def _log(self, container: Container, source: Source, text: str) -> None:
        size = self._faults.log_pieces or len(text) or 1
        for at in range(0, len(text), size):
            self._state.apps[container.function.app_id].log.write(
                text[at : at + size], source, container=container
            )

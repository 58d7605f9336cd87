"""The cloud: all parts on an event loop in a thread, and what tests see of them."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
import threading
from pathlib import Path
from types import TracebackType

import modal  # noqa: F401  # before modal_proto: its own import order
from grpclib.config import Configuration
from grpclib.server import Server
from modal_proto import api_pb2 as pb

from tests.modal.cloud.apps import Apps
from tests.modal.cloud.blobs import Blobs
from tests.modal.cloud.calls import Calls, InContainers
from tests.modal.cloud.containers import Containers
from tests.modal.cloud.faults import Faults, Network
from tests.modal.cloud.functions import Functions
from tests.modal.cloud.gate import Gate
from tests.modal.cloud.images import Images
from tests.modal.cloud.logs import Logs
from tests.modal.cloud.objects import Objects
from tests.modal.cloud.scheduler import Scheduler
from tests.modal.cloud.state import ENVIRONMENT, App, Call, Container, Function, Image, State
from tests.modal.cloud.uploads import Uploads
from tests.modal.cloud.views import Views
from tests.modal.cloud.volumes import Volumes
from tests.modal.cloud.wire import Service

_TOKEN = ("ak-tests", "as-tests-secret")
_WINDOW = 16 * 1024 * 1024


class Cloud:
    """A server: `with Cloud(folder) as cloud`, or `start` and `stop`."""

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = None if folder else Path(tempfile.mkdtemp(prefix="cloud-"))
        self.folder = folder or self._temporary or Path()
        self.state = State(self.folder)
        self.faults = Faults(self)
        self.loop = asyncio.new_event_loop()
        self._blobs = Blobs(self.state, self.faults)
        views = Views(self.faults)
        volumes = Volumes(self.state, self._blobs, views, self.faults)
        uploads = Uploads(self.state, volumes, self._blobs)
        self._containers = Containers(self.state, uploads, views, self.faults)
        self.scheduler = Scheduler(self.state, self._containers, self.faults)
        parts = (
            Objects(self.state), self._blobs, volumes, uploads, Images(self.state, self.faults),
            Logs(self.state, self.faults), Apps(self.state, self.scheduler),
            Functions(self.state, self._containers.warm), Calls(self.state, self.scheduler),
            InContainers(self.state, self.scheduler),
        )  # fmt: skip
        self.service = Service(parts, self.faults, _TOKEN)
        self._gates = (Gate(), Gate())
        self._thread = threading.Thread(target=self._live, name="cloud", daemon=True)
        self._open = threading.Event()
        self._closing = asyncio.Event()

    def __enter__(self) -> Cloud:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def env(self) -> dict[str, str]:
        """The variables that lead a client to this cloud."""
        return {
            "MODAL_SERVER_URL": f"http://127.0.0.1:{self._gates[0].port}",
            "MODAL_TOKEN_ID": _TOKEN[0],
            "MODAL_TOKEN_SECRET": _TOKEN[1],
            "MODAL_CONFIG_PATH": str(self.folder / "no-config.toml"),
            "MODAL_ENVIRONMENT": ENVIRONMENT,
            "MODAL_DISABLE_API_PROXY": "1",
        }

    @property
    def volumes_dir(self) -> Path:
        """The folder that has a folder for each volume."""
        return self.state.volumes_dir

    @property
    def container_env(self) -> dict[str, str]:
        """More variables of every container that starts from now on."""
        return self.state.container_env

    @property
    def apps(self) -> dict[str, App]:
        """Every app by id, oldest first."""
        return self.state.apps

    @property
    def functions(self) -> dict[str, Function]:
        """Every function and variant of one by id, oldest first."""
        return self.state.functions

    @property
    def calls(self) -> dict[str, Call]:
        """Every call by id, oldest first."""
        return self.state.calls

    @property
    def containers(self) -> dict[str, Container]:
        """Every container by id, oldest first."""
        return self.state.containers

    @property
    def images(self) -> dict[str, Image]:
        """Every image layer by id, oldest first."""
        return self.state.images

    @property
    def secrets(self) -> dict[str, dict[str, str]]:
        """Every secret by id."""
        return self.state.secrets

    @property
    def billing(self) -> list[pb.WorkspaceBillingReportItem]:
        """The lines of the billing report."""
        return self.state.billing

    def start(self) -> None:
        """Listen."""
        for place in (self.state.volumes_dir, self.state.store, self.folder / "containers"):
            place.mkdir(parents=True, exist_ok=True)
        self._thread.start()
        self._open.wait()

    def stop(self) -> None:
        """End every container and close the ports."""
        self.loop.call_soon_threadsafe(self._closing.set)
        self._thread.join()
        if self._temporary is not None:
            shutil.rmtree(self._temporary, ignore_errors=True)

    async def set_network(self, value: Network) -> None:
        """See `Faults.network`."""
        for gate in self._gates:
            if value == "refuse":
                await gate.refuse()
            else:
                await gate.open()
            if value == "stall":
                gate.stall()

    async def cut_connections(self) -> None:
        """See `Faults.reset`."""
        for gate in self._gates:
            gate.cut()

    def _live(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        config = Configuration(http2_connection_window_size=_WINDOW, http2_stream_window_size=_WINDOW)
        server = Server([self.service], config=config)
        await server.start("127.0.0.1", 0)
        assert isinstance(server._server, asyncio.Server)
        port = server._server.sockets[0].getsockname()[1]
        self._containers.url = f"http://127.0.0.1:{port}"
        await self._gates[0].open(port)
        await self._gates[1].open(await self._blobs.start())
        self._blobs.public_port = self._gates[1].port
        self._open.set()
        await self._closing.wait()
        for gate in self._gates:
            await gate.refuse()
        await self._containers.close()
        server.close()
        await self._blobs.stop()

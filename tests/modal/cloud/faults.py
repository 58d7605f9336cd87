"""Faults: switches that tests set at any time, from any thread.

Attributes stay as they are set; methods act once, on what runs at that moment.
"""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Literal

from grpclib import Status
from modal_proto import api_pb2 as pb

if TYPE_CHECKING:
    from tests.modal.cloud.server import Cloud

Network = Literal["open", "refuse", "stall"]


class Faults:
    """The switches of one cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._network: Network = "open"
        self.wrong_token = False
        """Every client is turned away, whatever its token."""
        self.errors: dict[str, Status] = {}
        """RPCs by name that fail with a status."""
        self.words = ""
        """Their message; if empty, that they fail."""
        self.delays: dict[str, float] = {}
        """RPCs by name that wait so many seconds before they answer a client."""
        self.block_delay = 0.0
        """Seconds that every block of a volume's file waits: a slow volume."""
        self.truncate_blocks = 0
        """So many of the next blocks end in the middle, and their connection with them."""
        self.damage_blocks = 0
        """So many of the next blocks come with one wrong byte."""
        self.stall_blocks = 0
        """So many of the next blocks stop in the middle, and their connection stays open."""
        self.block_digests = False
        """Blocks name their SHA-256."""
        self.private_volumes = False
        """Containers started from now on see copies of volumes: others see what they commit, and no more."""
        self.open_files_left_out = False
        """Of a container's copy, a file that a process has open for writing is committed as it was when
        it was last synced, and not at all where it never was."""
        self.version_2_refused = False
        """Volumes of version 2 cannot be made."""
        self.build_lines: list[str] = []
        """What each layer of an image prints while it is built, after the commands themselves."""
        self.build_delay = 0.0
        """Seconds between two lines of a build."""
        self.build_failure = ""
        """Builds fail with this as their last line."""
        self.build_reason = ""
        """Modal's own reason of a failed build."""
        self.build_end: pb.GenericResult.GenericStatus.ValueType = pb.GenericResult.GENERIC_STATUS_FAILURE
        """How builds that fail end: by themselves, terminated or timed out."""
        self.silent_end = False
        """Log streams give nothing more and end quietly with the app, as complete; `fetch` has the rest."""
        self.duplicate_logs = False
        """Log streams give every batch twice."""
        self.reorder_logs = False
        """Log streams give neighbouring batches in the wrong order."""
        self.drop_logs = 0
        """So many of the next entries of containers never come in log streams; `fetch` has them."""
        self.forget_logs = False
        """`fetch` does not have them either."""
        self.log_pieces = 0
        """Longest message of a log entry, in characters; 0 leaves what a container wrote at once together."""
        self.grace = 30.0
        """Seconds that a container has to end after SIGINT (Modal gives 30)."""

    @property
    def network(self) -> Network:
        """Whether clients reach the cloud: `open`, `refuse` (nothing listens) or `stall` (no answers)."""
        return self._network

    @network.setter
    def network(self, value: Network) -> None:
        self._network = value
        self._run(self._cloud.set_network(value))

    def reset(self) -> None:
        """Cut every connection of the clients once; new ones are accepted."""
        self._run(self._cloud.cut_connections())

    def crash(self) -> None:
        """SIGKILL containers that have an input, with all their processes."""
        self._end(pb.GenericResult(status=pb.GenericResult.GENERIC_STATUS_FAILURE))

    def out_of_memory(self) -> None:
        """As `crash`, by the kernel: the call graph goes on to say that the input is pending."""
        self._end(pb.GenericResult(status=pb.GenericResult.GENERIC_STATUS_KERNEL_OOM_KILL))

    def exit(self, code: int = 3) -> None:
        """End containers that have an input as if their function had called `sys.exit(code)`."""
        status = pb.GenericResult.GENERIC_STATUS_FAILURE
        said = f"SystemExit({code})"
        self._end(pb.GenericResult(status=status, exception=said, data=pickle.dumps(SystemExit(code))))

    def time_out(self) -> None:
        """Let the time of all running inputs be over."""
        self._run(self._cloud.scheduler.time_out_all())

    def preempt(self) -> None:
        """Give containers that have an input SIGINT, `grace` seconds, SIGKILL; others take their inputs."""
        self._run(self._cloud.scheduler.preempt_all())

    def _end(self, result: pb.GenericResult) -> None:
        self._run(self._cloud.scheduler.end_all(result))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._cloud.loop).result(30)

"""One of several trainers: `python -m remote.workers.rank REQUEST.json FOLDER`, started by `rank_launcher`.

Owns the differences from a worker that trains by itself: only the first trainer plays episodes, syncs
weights, reports and saves, and its events go to the worker, which numbers them. The training is
`Training._train`; accelerate finds the other trainers by the variables that `gpu_placement` sets.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar, cast

from remote.contract import layout
from remote.contract.events import Event, UnknownEvent
from remote.contract.exit_codes import CANCELLED, FAILED
from remote.contract.json_text import from_json
from remote.contract.record import LaunchRequest
from remote.environments import resolve
from remote.inference.command import SERVER_KEY, Device, Sync
from remote.inference.endpoint import Endpoint
from remote.inference.protocols import ModelServer
from remote.inference.stall_watch import is_healthy
from remote.output import redact
from remote.output.emitter import Emitter, failure_event
from remote.output.stdout_capture import take_output
from remote.processes.signals import Cancelled, Interrupted, ignore_signals
from remote.training.rank_launcher import READY, RENEW_SERVER, SAVE, START
from remote.workers.base import prepare_process
from remote.workers.failure import as_vfm_error
from remote.workers.training import Training, import_stack

if TYPE_CHECKING:
    from remote.rollouts.player import Rollouts

E = TypeVar("E", bound=Event)
POLL = 0.1  # seconds between looks for the server's address
HEALTH = 5.0  # seconds that its answer may take


class Ended(BaseException):
    """The worker ends this trainer without saving."""


class SilentEmitter(Emitter):
    """Emits nothing: only the first trainer reports."""

    def __init__(self) -> None:
        super().__init__(None)

    def emit(self, event: E) -> E:
        """Drop the event."""
        return event

    def _write(self, text: str) -> None:
        pass


class RunningServer:
    """The worker's server as a trainer sees it: a URL, known once the server answers.

    The worker restarts it when the first trainer asks for that by an event.
    """

    def __init__(
        self, folder: Path, report: Emitter, served_name: str, weight_sync: Sync, device: Device
    ) -> None:
        self._folder, self._report = folder, report
        self._start, self._proven = 0, False
        self.served_name, self.weight_sync, self.device = served_name, weight_sync, device
        self.base_url = ""
        self.key = os.environ.get(SERVER_KEY, "")

    @property
    def stopped(self) -> bool:
        """Whether the worker has asked the first trainer to save and end."""
        return (self._folder / SAVE).exists()

    def wait_ready(self) -> None:
        """Return once the worker has written the URL of a start that is new to this trainer."""
        file = self._folder / READY
        while not file.exists() or (ready := from_json(file.read_text()))["start"] <= self._start:
            time.sleep(POLL)
        self.base_url, self._start = ready["base_url"], ready["start"]

    def lost(self) -> bool:
        """Whether it does not answer; the worker finds out why."""
        return not is_healthy(self.base_url, HEALTH)

    def renew(self) -> None:
        """Have the worker restart it; returns once it answers. If that fails, the worker ends this
        process."""
        self._report.emit(UnknownEvent(data={"type": RENEW_SERVER, "proven": self._proven}))
        self._proven = False
        self.wait_ready()

    def proven(self) -> None:
        """Report that its requests have succeeded."""
        self._proven = True

    def check(self) -> None:
        """Do nothing: the worker watches the server."""


class NoRollouts:
    """The `Rollouts` of the trainers that play no episodes: all train on the first one's tasks."""

    model = ""

    def tasks(self, held_out: bool = False) -> Sequence[Any]:
        """No tasks."""
        return []


class Trainer(Training):
    """The trainer of one rank."""

    def __init__(self, request: LaunchRequest, emitter: Emitter, to_worker: Emitter, rank: int) -> None:
        super().__init__(request, emitter)
        self._to_worker = to_worker
        self.rank = rank
        self.trainers = int(os.environ["WORLD_SIZE"])

    def run_with(self, folder: Path, server: RunningServer) -> int:
        """Train the model in `folder`; returns the exit code. Failures are reported to the worker."""
        try:
            self._train(folder, server, self._pool.submit(import_stack))
            return 0
        except (Cancelled, Interrupted, Ended):
            return CANCELLED
        except BaseException as error:
            if not server.stopped:  # otherwise the first trainer has ended, as it was asked to
                self._report_failure(error)
            return FAILED
        finally:
            ignore_signals()
            self._close_all()

    def _rollouts(self, server: ModelServer | Endpoint) -> Rollouts:
        if self.rank:
            return cast("Rollouts", NoRollouts())
        # The worker has installed it.
        self.module = resolve.provide(resolve.place(self.request), lambda line: None)
        return super()._rollouts(server)

    def _say_train(self, line: str) -> None:
        self._to_worker.say("train", f"trainer {self.rank + 1}: {line}" if self.rank else line)

    def _report_failure(self, error: BaseException) -> None:
        failure = as_vfm_error(error)
        if failure.__cause__ is not None or failure is not error:
            path = Path(layout.LOGS) / f"traceback-trainer-{self.rank + 1}.txt"
            text = redact.line("".join(traceback.format_exception(error)))
            try:
                (self.dir.path / path).write_text(text, encoding="utf-8")
                self._to_worker.say("worker", f"the full traceback is in {path}")
            except OSError:
                self._to_worker.say("worker", text)
        self._to_worker.emit(failure_event(failure))


def _raise_on_signals(folder: Path) -> None:
    """Turn signals into exceptions. SIGTERM saves only where the worker has created the file `SAVE`."""

    def stop(number: int, frame: FrameType | None) -> None:
        ignore_signals()
        if number == signal.SIGUSR2:
            raise Interrupted
        raise Cancelled if (folder / SAVE).exists() else Ended

    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _disable_missing_p2p() -> None:
    """As accelerate's launcher does: NCCL hangs on cards without direct communication unless it is told."""
    from accelerate.utils import check_cuda_p2p_ib_support

    if not check_cuda_p2p_ib_support():
        os.environ.setdefault("NCCL_P2P_DISABLE", "1")
        os.environ.setdefault("NCCL_IB_DISABLE", "1")


def main(arguments: list[str]) -> int:
    """The door: see the module's docstring."""
    request = LaunchRequest.model_validate_json(Path(arguments[0]).read_bytes())
    folder, rank = Path(arguments[1]), int(os.environ["RANK"])
    if rank == 0:
        _raise_on_signals(folder)  # the others go on until they are ended
    to_worker = Emitter(None, os.dup(1))
    name = "" if rank == 0 else f"trainer {rank + 1}: "
    take_output(lambda line: to_worker.say("train", name + line))
    prepare_process(request)
    start = from_json((folder / START).read_text())
    model = Path(start.pop("model"))
    if start["device"] != "cpu":
        _disable_missing_p2p()
    trainer = Trainer(request, SilentEmitter() if rank else to_worker, to_worker, rank)
    return trainer.run_with(model, RunningServer(folder, to_worker, **start))


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # As the worker does. It also avoids waiting for a torch process group whose other members are gone.
    os._exit(code)

"""One of several trainers: `python -m remote.workers.rank REQUEST.json FOLDER`, started by `rank_launcher`.

Owns what a trainer does differently from a worker that trains by itself: only the first one plays episodes,
syncs weights, reports and saves, and its events go to the worker, which numbers them. The training is the
worker's own (`Training._train`); accelerate finds the others by the variables that `gpu_placement` sets.
"""

from __future__ import annotations

import os
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

from remote.contract import layout
from remote.contract.events import Event, UnknownEvent
from remote.contract.exit_codes import CANCELLED, FAILED
from remote.contract.json_text import from_json
from remote.contract.record import LaunchRequest
from remote.environments import resolve
from remote.inference.command import SERVER_KEY, Device, Sync
from remote.inference.stall_watch import is_healthy
from remote.output import redact
from remote.output.emitter import Emitter, failure_event
from remote.output.stdout_capture import take_output
from remote.processes.signals import Cancelled, Interrupted, ignore_signals
from remote.training.rank_launcher import CREW, READY, RENEW_SERVER, SAVE
from remote.workers.base import prepare_process
from remote.workers.failure import as_vfm_error
from remote.workers.training import Training, import_stack

E = TypeVar("E", bound=Event)
POLL = 0.1  # seconds between looks for the server's address
HEALTH = 5.0  # seconds that its answer may take


class Ended(BaseException):
    """The worker ends this trainer: what it has learnt is not wanted."""


class Quiet(Emitter):
    """What the other trainers tell everybody: nothing, since the first one says it."""

    def __init__(self) -> None:
        super().__init__(None)

    def emit(self, event: E) -> E:
        """Swallow the event."""
        return event

    def _write(self, text: str) -> None:
        pass


class RunningServer:
    """The worker's server as a trainer sees it: an address, known once it answers.

    The worker starts it again when the first trainer asks for that, by an event.
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
        """Return once the worker has told the address of a start that is not known yet."""
        file = self._folder / READY
        while not file.exists() or (told := from_json(file.read_text()))["start"] <= self._start:
            time.sleep(POLL)
        self.base_url, self._start = told["base_url"], told["start"]

    def lost(self) -> bool:
        """Whether it does not answer as it should; the worker knows why."""
        return not is_healthy(self.base_url, HEALTH)

    def renew(self) -> None:
        """Have the worker look after it; returns once it answers.

        Where it cannot be started again, the worker ends this process.
        """
        self._report.emit(UnknownEvent(data={"type": RENEW_SERVER, "proven": self._proven}))
        self._proven = False
        self.wait_ready()

    def proven(self) -> None:
        """What it was asked for has come through."""
        self._proven = True

    def check(self) -> None:
        """The worker watches the server."""


class Bystander:
    """In place of the episodes of a trainer that plays none."""

    model = ""

    def tasks(self, held_out: bool = False) -> Sequence[Any]:
        """It has no tasks: the first trainer's are everybody's."""
        return []


class Trainer(Training):
    """The trainer of one rank."""

    def __init__(self, request: LaunchRequest, emitter: Emitter, report: Emitter, rank: int) -> None:
        super().__init__(request, emitter)
        self._report = report
        self.rank = rank
        self.trainers = int(os.environ["WORLD_SIZE"])

    def run_with(self, model: Path, server: RunningServer) -> int:
        """Train; returns the exit code. What fails is reported to the worker."""
        try:
            self._train(model, server, self._pool.submit(import_stack))
            return 0
        except (Cancelled, Interrupted, Ended):
            return CANCELLED
        except BaseException as error:
            if not server.stopped:  # else the first trainer is gone, as it was asked to
                self._tell(error)
            return FAILED
        finally:
            ignore_signals()
            self._close_all()

    def _rollouts(self, server: Any) -> Any:
        if self.rank:
            return Bystander()
        # The worker has installed it.
        self.module = resolve.provide(resolve.place(self.request), lambda line: None)
        return super()._rollouts(server)

    def _say_train(self, line: str) -> None:
        self._report.say("train", f"trainer {self.rank + 1}: {line}" if self.rank else line)

    def _tell(self, error: BaseException) -> None:
        failure = as_vfm_error(error)
        if failure.__cause__ is not None or failure is not error:
            path = Path(layout.LOGS) / f"traceback-trainer-{self.rank + 1}.txt"
            text = redact.line("".join(traceback.format_exception(error)))
            try:
                (self.dir.path / path).write_text(text, encoding="utf-8")
                self._report.say("worker", f"the full traceback is in {path}")
            except OSError:
                self._report.say("worker", text)
        self._report.emit(failure_event(failure))


def _raise_on_signals(folder: Path) -> None:
    """Let signals end this trainer in order; SIGTERM saves only where the worker left word that it shall."""

    def stop(number: int, frame: Any) -> None:
        ignore_signals()
        if number == signal.SIGUSR2:
            raise Interrupted
        raise Cancelled if (folder / SAVE).exists() else Ended

    for number in (signal.SIGTERM, signal.SIGUSR2):
        signal.signal(number, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _known_trouble() -> None:
    """Cards that cannot talk to each other directly hang in NCCL; accelerate's launcher would tell it."""
    from accelerate.utils import check_cuda_p2p_ib_support

    if not check_cuda_p2p_ib_support():
        os.environ.setdefault("NCCL_P2P_DISABLE", "1")
        os.environ.setdefault("NCCL_IB_DISABLE", "1")


def main(arguments: list[str]) -> int:
    """The door: see the module's docstring."""
    request = LaunchRequest.model_validate_json(Path(arguments[0]).read_bytes())
    folder, rank = Path(arguments[1]), int(os.environ["RANK"])
    if rank == 0:
        _raise_on_signals(folder)  # the others keep it company until they are ended
    report = Emitter(None, os.dup(1))
    name = "" if rank == 0 else f"trainer {rank + 1}: "
    take_output(lambda line: report.say("train", name + line))
    prepare_process(request)
    told = from_json((folder / CREW).read_text())
    model = Path(told.pop("model"))
    if told["device"] != "cpu":
        _known_trouble()
    trainer = Trainer(request, Quiet() if rank else report, report, rank)
    return trainer.run_with(model, RunningServer(folder, report, **told))


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # As the worker does; and nobody waits for a process group whose other members are gone.
    os._exit(code)

"""A worker for tests: speaks the stream through the real emitter, and does what its environment says.

`VFM_SCRIPT` holds words, done one after another: `lines:N`, `steps:N`, `failure:MESSAGE`,
`hint:KEY=OLD>NEW` (a failure that this change mends), `raw:TEXT` (Python escapes), `wait:PATH` (until the
file exists), `touch:PATH`, `pause:SECONDS`, `kill:SIGNAL`, `orphan:SIGNAL` (to the supervisor), `exit:CODE`,
`end:STATUS`, `stubborn` (requests to stop are ignored), `polite` (SIGTERM ends it as the real worker does),
`saved:N/TOTAL` (a step and its checkpoint), `interruptible` (SIGUSR2 ends the attempt),
`spill` (says its whole environment), `child:PATH` (leaves a process in its group and writes its pid),
`env:NAME=PATH`, `litter:PATH` (leaves temporary files and says where), `environ:PATH` (its
environment and its parent's), `limit:BYTES` (the
supervisor may write no file beyond that size: a disk that is full), `attempt:N=WORD` (a word of the run's
Nth attempt alone).
"""

from __future__ import annotations

import base64
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from remote.contract import layout
from remote.contract.errors import Hint, ServerError
from remote.contract.events import CheckpointEvent, EndEvent, MetricsEvent, RolloutEvent
from remote.contract.record import LaunchRequest
from remote.output.emitter import Emitter
from remote.processes import scratch


class Script:
    """The words, as methods."""

    def __init__(self, request: LaunchRequest) -> None:
        self.run_dir = Path(request.run_dir)
        self.emit = Emitter(self.run_dir)

    def lines(self, count: str) -> None:
        for number in range(int(count)):
            self.emit.say("train", f"line {number}")

    def steps(self, count: str) -> None:
        self.emit.phase("train", "started")
        for step in range(1, int(count) + 1):
            self.emit.emit(MetricsEvent(step=step, values={"reward": step / 10}))
            self.emit.progress(step, int(count), "steps")
        self._save(int(count), layout.FINAL)
        self.emit.phase("train", "done")

    def saved(self, text: str) -> None:
        done, _, total = text.partition("/")
        self.emit.progress(int(done), int(total), "steps")
        self._save(int(done), layout.checkpoint_path(int(done)))

    def _save(self, step: int, path: str) -> None:
        (self.run_dir / path).mkdir(parents=True, exist_ok=True)
        self.emit.emit(CheckpointEvent(step=step, path=path))

    def interruptible(self, _: str) -> None:
        signal.signal(signal.SIGUSR2, lambda *_: os._exit(75))

    def failure(self, message: str) -> None:
        self.emit.failure(ServerError(message))

    def hint(self, text: str) -> None:
        key, _, change = text.partition("=")
        old, _, new = change.partition(">")
        advice = Hint("use less of it", key=key, old=json.loads(old), new=json.loads(new))
        self.emit.failure(ServerError("out of memory", hint=advice))

    def raw(self, text: str) -> None:
        os.write(1, text.encode("latin-1").decode("unicode_escape").encode("latin-1"))

    def wait(self, path: str) -> None:
        while not Path(path).exists():
            time.sleep(0.01)

    def touch(self, path: str) -> None:
        Path(path).touch()

    def pause(self, seconds: str) -> None:
        time.sleep(float(seconds))

    def kill(self, name: str) -> None:
        os.kill(os.getpid(), getattr(signal, name))

    def orphan(self, name: str) -> None:
        os.kill(os.getppid(), getattr(signal, name))

    def attempt(self, text: str) -> None:
        number, _, word = text.partition("=")
        name, _, argument = word.partition(":")
        if int(number) == len(self._attempts()):
            getattr(self, name)(argument)

    def _attempts(self) -> list[object]:
        found: list[object] = json.loads((self.run_dir / "record.json").read_bytes())["attempts"]
        return found

    def exit(self, code: str) -> None:
        os._exit(int(code))

    def end(self, status: str) -> None:
        self.emit.emit(EndEvent(status=status, exit_code=0 if status == "done" else 1))

    def stubborn(self, _: str) -> None:
        for signum in (signal.SIGTERM, signal.SIGUSR2):
            signal.signal(signum, signal.SIG_IGN)

    def polite(self, _: str) -> None:
        def stop(_signum: int, _frame: FrameType | None) -> None:
            self.emit.say("worker", "saved")
            self.end("cancelled")
            os._exit(130)

        signal.signal(signal.SIGTERM, stop)

    def litter(self, path: str) -> None:
        """Temporary files as vLLM and a weight sync leave them; their folders are written to `path`."""
        here = [folder for folder in (os.environ.get("TMPDIR"), scratch.for_weights(self.run_dir)) if folder]
        for folder in map(Path, here):
            (folder / "vfm-weights").mkdir()
            (folder / "vfm-weights" / "model.safetensors").write_bytes(b"weights")
            with socket.socket(socket.AF_UNIX) as left:
                left.bind(str(folder / "0c5f2f0e-6d4f-4b0e-9a47-5a0d0f8a5a5e"))
        Path(path).write_text("\n".join(map(str, here)))

    def spill(self, _: str) -> None:
        """What a careless environment does: every variable in lines, events, episodes and the failure."""
        everything = dict(os.environ)
        for name, value in everything.items():
            self.emit.say("env", f"{name}={value} {value!r} {json.dumps(value)}")
            self.emit.say("env", base64.b64encode(f"me:{value}".encode()).decode())
            self.emit.emit(MetricsEvent(step=1, values={value: 1.0}))
        messages = [{"role": "user", "content": str(everything)}]
        self.emit.emit(RolloutEvent(step=1, task=str(everything), messages=messages, rewards={}, reward=0.5))
        try:
            raise KeyError(everything)
        except KeyError as error:
            self.emit.failure(ServerError(f"no {everything}", cause=repr(error), hint=Hint(str(everything))))

    def child(self, path: str) -> None:
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
        Path(path).write_text(str(child.pid))

    def env(self, text: str) -> None:
        name, _, path = text.partition("=")
        Path(path).write_text(os.environ.get(name, ""))

    def environ(self, path: str) -> None:
        """What anybody who may look sees of this process and its parent."""
        both = (Path(f"/proc/{pid}/environ").read_bytes() for pid in (os.getpid(), os.getppid()))
        Path(path).write_bytes(b"\0".join(both))

    def limit(self, size: str) -> None:
        resource.prlimit(os.getppid(), resource.RLIMIT_FSIZE, (int(size), int(size)))


def main() -> None:
    """Do every word of the script."""
    script = Script(LaunchRequest.model_validate_json(Path(sys.argv[1]).read_bytes()))
    for word in os.environ["VFM_SCRIPT"].split():
        name, _, argument = word.partition(":")
        getattr(script, name)(argument)


if __name__ == "__main__":
    main()

"""The door to a run's worker: `python -m remote.worker REQUEST.json`, the same on every backend."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from remote.contract.record import LaunchRequest
from remote.output.emitter import Emitter
from remote.output.stdout_capture import take_output
from remote.processes.lifecycle import keep_files_private
from remote.processes.signals import raise_on_signals
from remote.workers.base import Worker, prepare_process


def main(arguments: list[str]) -> int:
    """Run the worker of the request; returns its exit code."""
    raise_on_signals()
    keep_files_private()
    output = os.dup(1)
    request = LaunchRequest.model_validate_json(Path(arguments[0]).read_bytes())
    emitter = Emitter(Path(request.run_dir), output)
    if request.kind == "evaluate":
        from remote.workers.evaluation import evaluator

        worker: Worker = evaluator(request, emitter)
    else:
        from remote.workers.training import Training

        take_output(lambda line: emitter.say("train", line))
        worker = Training(request, emitter)
    prepare_process(request)
    return worker.run()


if __name__ == "__main__":
    code = main(sys.argv[1:])
    sys.stdout.flush()
    # Libraries leave threads behind that would hold up an ordinary exit; everything is on file by now.
    os._exit(code)

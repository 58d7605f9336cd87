"""The door to a run's supervisor, the parent process of its worker.

    python -m remote.supervisor             start the run on stdin: {home, env, request}
    python -m remote.supervisor --resume    begin another attempt at the run on stdin, which has ended
    python -m remote.supervisor --attempt   run the next attempt in a container on Modal. Stdin: one line
                                            {request, head, container, identifiers}; its end means that the
                                            container is gone
    python -m remote.supervisor --stop DIR     ask a run to stop
    python -m remote.supervisor --kill DIR     end a run at once; nothing more is saved
    python -m remote.supervisor --settle DIR…  complete the records of runs whose processes are gone

Variables: VFM_IMAGE_PYTHON (a Python to use instead of the image's), VFM_WORKER (a command instead of
`python -m remote.worker`), VFM_STOP_GRACE (seconds that a worker has to save, 60) and VFM_TIMEOUT (seconds,
instead of modal.timeout). SIGTERM stops the run; SIGUSR1 announces that the machine will be taken away.
"""

from __future__ import annotations

import sys
from pathlib import Path

from remote.contract.errors import VfmError
from remote.contract.json_text import from_json
from remote.processes.lifecycle import keep_files_private
from remote.supervisor import control
from remote.supervisor.start import create, reopen, start, start_in_container


def main(arguments: list[str]) -> int:
    """See the module's docstring; a failure of --stop, --kill or --settle is one line on stderr."""
    keep_files_private()
    try:
        match arguments:
            case []:
                return start(from_json(sys.stdin.read()), create)
            case ["--resume"]:
                return start(from_json(sys.stdin.read()), reopen)
            case ["--attempt"]:
                return start_in_container(from_json(sys.stdin.buffer.readline()))
            case ["--stop", path]:
                control.stop(Path(path))
            case ["--kill", path]:
                control.kill(Path(path))
            case ["--settle", *paths]:
                return max(control.settle_or_report(Path(path)) for path in paths)
            case _:
                print(__doc__, file=sys.stderr)
                return 2
    except (VfmError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

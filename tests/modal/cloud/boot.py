"""The program of a container's process: imports Modal, waits for its job, then becomes Modal's entry point.

It runs as a file with `python -P`, outside the project, so that only uploaded files can be imported. The job
is one line of JSON on stdin; the pipe's end is the container's end.
"""

import json
import os
import runpy
import signal
import sys
import threading

import modal._container_entrypoint

ENTRY = "modal._container_entrypoint"


def end_with(pipe: int) -> None:
    """End this process group when the cloud is gone."""
    while os.read(pipe, 1):
        pass
    os.killpg(0, signal.SIGKILL)


def note_syncs(file: str) -> None:
    """Note each fsync of this process, an inode and a size a line: a volume would notice it."""
    fsync = os.fsync

    def noted(fd: int) -> None:
        fsync(fd)
        stat = os.fstat(fd)
        with open(file, "a") as lines:
            lines.write(f"{stat.st_ino} {stat.st_size}\n")

    os.fsync = noted  # type: ignore[assignment]


def main() -> None:
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1 << 20)
        if not byte:
            return
        line += byte
    job = json.loads(line)
    pipe = os.dup(0)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    threading.Thread(target=end_with, args=(pipe,), daemon=True).start()
    os.environ.clear()
    os.environ.update(job["env"])
    os.chdir(job["cwd"])
    note_syncs(job["synced"])
    # As `python -m` in that folder, but without the checkout that an editable install makes importable.
    sys.path[:] = [job["cwd"], *(one for one in sys.path if one != job["hidden"])]
    sys.argv = [ENTRY]
    sys.modules.pop(ENTRY, None)
    runpy.run_module(ENTRY, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    assert modal._container_entrypoint
    main()

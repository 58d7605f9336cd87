"""Checks of this machine: the data folder, the local image."""

from __future__ import annotations

import shlex
import shutil
import stat
import subprocess
import tempfile
from pathlib import Path

from tui.backends.programs import remote_command, remote_environment
from tui.doctor.finding import Result, Surroundings
from tui.private_files import make_private
from tui.text.format import size

ROOM = 10e9
"""Bytes that an image, a model and a few runs with checkpoints take together."""
_IMAGE = 2e9  # bytes; with less not even the image fits


def home(around: Surroundings) -> Result:
    """Whether the data folder can be written, has room, and is the user's alone."""
    folder = around.home
    quoted = shlex.quote(str(folder))
    try:
        make_private(folder)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"vfm")
            file.flush()
    except OSError as error:
        detail = f"{folder} cannot be written: {error.strerror or error}\nit holds runs, volumes and images"
        dotenv = shlex.quote(str(around.project_dir / ".env"))
        return Result("problem", detail, f"echo 'VFM_HOME=/a/folder/of/yours' >> {dotenv}")
    usage = shutil.disk_usage(folder)
    detail = f"{folder} (VFM_HOME): {size(usage.free)} free of {size(usage.total)}"
    if usage.free < ROOM:
        detail += f"\nthe image, a model and a few runs take about {size(ROOM)}"
        return Result(
            "problem" if usage.free < _IMAGE else "note",
            detail,
            f"du -xh --max-depth=2 {quoted} | sort -h | tail",
        )
    if readers := readable_by_others(folder):
        detail += f"\n{readers} can read the logs, episodes and weights in it"
        return Result("note", detail, f"chmod -R go= {quoted}")
    return Result("ok", detail)


def readable_by_others(path: Path) -> str:
    """Which other users of the machine can read a file or folder; empty where none can."""
    mode = path.stat().st_mode
    if mode & stat.S_IRWXO:
        return "every user of this machine"
    return "its group" if mode & stat.S_IRWXG else ""


def image(around: Surroundings) -> Result:
    """Whether the local image is built: its builder runs as a process and says."""
    if given := around.environ.get("VFM_IMAGE_PYTHON"):
        return Result("note", f"VFM_IMAGE_PYTHON is used instead: {given}")
    command = remote_command("remote.image.local", "--home", str(around.home), "--where")
    env = remote_environment(around.home, around.project_dir)
    done = subprocess.run(
        command, cwd=around.project_dir, env=env, capture_output=True, text=True, errors="replace"
    )
    if done.returncode == 0:
        return Result("ok", f"built: {Path(done.stdout.strip()).parents[1]}")
    if failure := _failure(done.stdout):
        return Result("problem", failure)
    if errors := done.stderr.strip().splitlines():
        return Result("problem", f"the image's builder does not run: {errors[-1]}")
    detail = "not built yet: the first run on this machine builds it, in a few minutes"
    return Result("note", detail, "vfm image build local", act="image")


def _failure(stream: str) -> str:
    """The failure in a builder's stream, with its hint."""
    from remote.contract.events import FailureEvent, decode_line

    for line in stream.split("\n"):  # not splitlines, which splits at the mark of an event
        event = decode_line(line)
        if isinstance(event, FailureEvent):
            return f"{event.message}\n{(event.hint or {}).get('text', '')}".strip()
    return ""

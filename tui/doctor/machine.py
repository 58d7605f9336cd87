"""What this machine brings along: Python, disk, the local image, Modal's sign-in, tools."""

from __future__ import annotations

import importlib.util
import os
import shlex
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

from remote.contract.platforms import PYTHONS, THIS_PYTHON
from tui.backends.modal import sign_in
from tui.backends.programs import remote_command, remote_environment
from tui.doctor.finding import Finding, Surroundings
from tui.private_files import make_private

ROOM = 10e9
"""Bytes that an image, a model and a few runs with checkpoints take together."""
_TIGHT = 2e9  # bytes under which not even the image fits


def python(around: Surroundings) -> Finding:
    """The client's own Python: the local image takes the same."""
    version = f"Python {'.'.join(map(str, sys.version_info[:3]))} at {sys.executable}"
    if THIS_PYTHON in PYTHONS:
        return Finding("python", "Python", "ok", version)
    told = f"{version}\nthe training stack needs 3.11 or 3.12"
    return Finding("python", "Python", "problem", told, "make install PYTHON=python3.12")


def home(around: Surroundings) -> Finding:
    """Whether runs, volumes and images can be written."""
    title, folder = "data folder", around.home
    try:
        make_private(folder)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"vfm")
            file.flush()
    except OSError as error:
        told = f"{folder} cannot be written: {error.strerror or error}\nruns, volumes and images lie there"
        fix = "echo 'VFM_HOME=/a/folder/of/yours' >> " + shlex.quote(str(around.project_dir / ".env"))
        return Finding("home", title, "problem", told, fix)
    told = f"{folder} (VFM_HOME) can be written"
    if readers := readable_by_others(folder):
        told += f"\n{readers} may look into it, so at logs, episodes and weights of your runs"
        return Finding("home", title, "note", told, f"chmod -R go= {shlex.quote(str(folder))}")
    return Finding("home", title, "ok", told)


def readable_by_others(path: Path) -> str:
    """Which other users of the machine may read a file or a folder; empty where nobody may."""
    mode = path.stat().st_mode
    if mode & stat.S_IRWXO:
        return "every user of this machine"
    return "the group that it belongs to" if mode & stat.S_IRWXG else ""


def disk(around: Surroundings) -> Finding:
    """Room for an image, models and checkpoints."""
    title, folder = "disk space", around.home
    there = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    usage = shutil.disk_usage(there)
    told = f"{_gb(usage.free)} free of {_gb(usage.total)} at {folder}"
    if usage.free >= ROOM:
        return Finding("disk", title, "ok", told)
    advice = f"the image, a model and a few runs take about {_gb(ROOM)} together"
    where = shlex.quote(str(folder))
    look = f"du -xh --max-depth=2 {where} | sort -h | tail"
    return Finding("disk", title, "problem" if usage.free < _TIGHT else "note", f"{told}\n{advice}", look)


def _gb(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count < 1e11 else f"{count / 1e9:.0f} GB"


def image(around: Surroundings) -> Finding:
    """Whether the environment that runs train in is built: its builder is asked, as a process."""
    title = "local image"
    if given := around.environ.get("VFM_IMAGE_PYTHON"):
        return Finding("image", title, "note", f"VFM_IMAGE_PYTHON takes its place: {given}")
    command = remote_command("remote.image.local", "--home", str(around.home), "--where")
    env = remote_environment(around.home, around.project_dir)
    done = subprocess.run(
        command, cwd=around.project_dir, env=env, capture_output=True, text=True, errors="replace"
    )
    if done.returncode == 0:
        return Finding("image", title, "ok", f"built: {Path(done.stdout.strip()).parents[1]}")
    if said := _failure(done.stdout):
        return Finding("image", title, "problem", said)
    if done.stderr.strip():
        told = f"the image's builder does not run: {done.stderr.strip().splitlines()[-1]}"
        return Finding("image", title, "problem", told)
    told = "not built yet: the first run on this machine builds it, which takes a few minutes"
    return Finding("image", title, "note", told, "vfm image build local", act="image")


def _failure(stream: str) -> str:
    """The failure that a builder told in its stream."""
    from remote.contract.events import FailureEvent, decode_line

    for line in stream.split("\n"):  # not splitlines: it would take the mark of an event for a line's end
        event = decode_line(line)
        if isinstance(event, FailureEvent):
            advice = str((event.hint or {}).get("text", ""))
            return f"{event.message}\n{advice}".strip()
    return ""


def modal(around: Surroundings) -> Finding:
    """Whether Modal knows who this is. Nothing of Modal is imported, and nobody is asked."""
    secrets = around.settings.secrets if around.settings else {}
    if signed_in := sign_in.describe(secrets, around.environ):
        return Finding("modal", "Modal", "ok", signed_in)
    told = "not signed in: runs on Modal cannot be launched or listed"
    return Finding("modal", "Modal", "note", told, "modal setup")


def tools(around: Surroundings) -> Finding:
    """git notes a run's revision; uv fills images."""
    title = "git and uv"
    uv = "uv" if importlib.util.find_spec("uv") else shutil.which("uv") or ""
    git = shutil.which("git") or ""
    told = [f"git: {git or 'missing: a run does not record the revision that it was launched from'}"]
    told.append(
        "uv: comes with the client" if uv == "uv" else f"uv: {uv or 'missing: no image can be built'}"
    )
    if not uv:
        fix = f"{shlex.quote(sys.executable)} -m pip install -e {shlex.quote(str(around.project_dir))}"
        return Finding("tools", title, "problem", "\n".join(told), fix)
    if not git:
        root = "" if os.geteuid() == 0 else "sudo "
        return Finding("tools", title, "note", "\n".join(told), f"{root}apt install git")
    return Finding("tools", title, "ok", "\n".join(told))

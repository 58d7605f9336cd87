"""Run uv as a child process: find it, set its variables, read its output, and explain its failures."""

from __future__ import annotations

import importlib.util
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from remote.contract.errors import Hint, ImageError
from remote.output import redact

_NOT_INHERITED = frozenset({"VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH", "PYTHONHOME"})
_FOR_THE_INDEX = ("UV_", "PIP_", "HTTP", "ALL_PROXY", "http", "all_proxy")
# pip's variables under uv's names.
_FROM_PIP = {
    "PIP_INDEX_URL": "UV_DEFAULT_INDEX",
    "PIP_EXTRA_INDEX_URL": "UV_INDEX",
    "PIP_CERT": "SSL_CERT_FILE",
}
_INDEX_NAMES = {"UV_DEFAULT_INDEX": "UV_INDEX_URL", "UV_INDEX": "UV_EXTRA_INDEX_URL"}  # uv's own older names
_GRACE = 5.0  # seconds that a child has to end after SIGTERM


def command() -> list[str]:
    """The command that starts uv. Raises `ImageError` where it is missing."""
    if importlib.util.find_spec("uv") is not None:
        return [sys.executable, "-m", "uv"]
    beside = Path(sys.executable).with_name("uv")
    path = str(beside) if beside.exists() else shutil.which("uv")
    if path is None:
        raise ImageError(
            f"uv, which builds the image, was not found beside {sys.executable} or on the PATH",
            hint=Hint(f"install it: {sys.executable} -m pip install uv"),
        )
    return [path]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables of uv: those of `environ` without secrets, except those for a package index, and pip's
    settings under uv's names."""
    result = {n: v for n, v in environ.items() if n.startswith(_FOR_THE_INDEX) or not redact.hides(n, v)}
    result = {name: value for name, value in result.items() if name not in _NOT_INHERITED}
    for pip, uv in _FROM_PIP.items():
        if environ.get(pip) and uv not in result and _INDEX_NAMES.get(uv) not in result:
            result[uv] = environ[pip]
    return result


def find_links(environ: Mapping[str, str]) -> list[str]:
    """uv's options for the existing folders of PIP_FIND_LINKS, unless UV_FIND_LINKS is set."""
    if environ.get("UV_FIND_LINKS"):
        return []
    folders = [Path(word) for word in environ.get("PIP_FIND_LINKS", "").split()]
    return [word for folder in folders if folder.is_dir() for word in ("--find-links", str(folder))]


class Child:
    """A running command, whose output is read line by line.

    `keep`: descriptors that the child inherits, such as a lock that must be held until it ends.
    """

    def __init__(
        self, arguments: list[str], cwd: Path, env: Mapping[str, str], keep: Sequence[int] = ()
    ) -> None:
        self.lines: list[str] = []
        self._queue: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._process = subprocess.Popen(
            arguments,
            cwd=cwd,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            pass_fds=keep,
        )
        threading.Thread(target=self._read, daemon=True, name="uv-output").start()

    def follow(self, on_line: Callable[[str], None], on_tick: Callable[[], None], every: float = 1.0) -> int:
        """Call `on_line` with each line, and `on_tick` after `every` seconds; returns the exit code."""
        due = time.monotonic() + every
        while True:
            try:
                line = self._queue.get(timeout=max(due - time.monotonic(), 0))
            except queue.Empty:
                on_tick()
                due = time.monotonic() + every
                continue
            if line is None:
                return self._process.wait()
            self.lines.append(line)
            on_line(line)

    def written(self) -> int:
        """Bytes that the child has written to disk so far; 0 where that is unknown."""
        try:
            text = Path(f"/proc/{self._process.pid}/io").read_text()
        except OSError:
            return 0
        match = re.search(r"^write_bytes: (\d+)", text, re.MULTILINE)
        return int(match[1]) if match else 0

    def stop(self) -> None:
        """End the child if it still runs."""
        if self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(_GRACE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as stream:
            for line in stream:
                self._queue.put(redact.line(line.rstrip()))
        self._queue.put(None)


def cause(lines: Iterable[str]) -> str:
    """uv's own error message: the output from its first line of an error on."""
    output = [line for line in lines if line.strip()]
    errors = (i for i, line in enumerate(output) if re.match(r"\s*(error:|×)", line))
    first = next(errors, max(len(output) - 8, 0))
    return "\n".join(output[first : first + 16])


_HINTS = (
    (
        r"No space left on device|os error 28|Disk quota exceeded|os error 122",
        "the disk is full: free some space, or set VFM_HOME (and UV_CACHE_DIR) to a disk with 10 GB to spare",
    ),
    (
        r"Hash mismatch",
        "the package index has another file than the one that is locked (remote/image/locks): name an index "
        "that holds what PyPI does in UV_DEFAULT_INDEX, or clear uv's cache (uv cache clean)",
    ),
    (
        r"HTTP status",
        "the package index answers with an error: check its address and password (UV_DEFAULT_INDEX)",
    ),
    (
        r"dns error|tcp connect error|error sending request|[Cc]onnection (refused|reset)|timed out|"
        r"Network is unreachable|Failed to fetch|network was disabled",
        "the package index could not be reached: check the network, or name another in UV_DEFAULT_INDEX",
    ),
    (
        r"No solution found|no version of|no wheels with a matching|not found in the package registry",
        "the index has no matching version for this machine: the local image needs Linux on x86-64 and an "
        "index that holds what PyPI does",
    ),
    (
        r"Permission denied|os error 13|Read-only file system",
        "set VFM_HOME to a writable folder",
    ),
)


def hint(text: str) -> Hint:
    """What to do about a failure, from uv's output."""
    for pattern, advice in _HINTS:
        if re.search(pattern, text):
            return Hint(advice)
    return Hint("see the lines tagged [image] above; the next launch builds it again")

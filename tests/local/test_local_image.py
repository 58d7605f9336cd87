"""The local image built for real: real uv, a real index on loopback, a recipe of small packages."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from remote.contract.errors import ImageError
from remote.contract.events import AnyEvent, PhaseEvent, decode_line
from remote.image.build import MARKER
from remote.image.local import ensure, find, folder, prune, this_recipe
from remote.image.pins import Recipe
from remote.output.emitter import Emitter
from tests.waiting import DEADLINE, block_until

PROJECT = Path(__file__).parents[2]
PYTHON = f"{sys.version_info.major}.{sys.version_info.minor}"
RECIPE = Recipe(
    device="cpu",
    python=PYTHON,
    requirements=("needy==1.0",),  # wants `plain` in a version that is nowhere
    overrides=("plain==1.0", "never ; sys_platform == 'never'"),
    without_dependencies=("alone==1.0",),  # wants something that is nowhere
    standins=(("ghost", "2.0+cpu"),),
    checks=(("the server", "import needy, plain"), ("the trainer", "import alone")),
)
ENSURE = """
import json, sys
from pathlib import Path
from remote.output.emitter import Emitter
from remote.image.pins import Recipe
from remote.image.local import ensure, _on_sigterm
import signal
signal.signal(signal.SIGTERM, _on_sigterm)
ensure(Path(sys.argv[1]), Emitter(None), Recipe(**json.loads(sys.argv[2])))
"""

FULL_DISK = """
except Exception as error:
  print(type(error).__name__, error, error.cause, [*Path(sys.argv[1]).glob("images/*/")])
"""


class Index:
    """A package index on loopback. While the gate is closed, files are withheld and `asked` is set."""

    def __init__(self, wheels: Path) -> None:
        self.wheels, self.served = wheels, list[str]()
        self.gate, self.asked = threading.Event(), threading.Event()
        self.gate.set()
        index = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body, kind = index.answer(self.path.strip("/"))
                self.send_response(200 if body is not None else 404)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/simple"

    def answer(self, path: str) -> tuple[bytes | None, str]:
        kind, _, name = path.partition("/")
        if kind == "simple":
            files = sorted(self.wheels.glob(f"{name}-*.whl"))
            link = '<a href="/files/{0}#sha256={1}" data-core-metadata="true">{0}</a>'
            links = (link.format(file.name, _digest(file)) for file in files)
            return ("".join(links).encode() if files else None), "text/html"
        if name.endswith(".metadata"):
            return _metadata(self.wheels / name.removesuffix(".metadata")), "text/plain"
        self.asked.set()
        self.gate.wait(DEADLINE)
        self.served.append(name)
        return (self.wheels / name).read_bytes(), "application/octet-stream"

    def close(self) -> None:
        self.gate.set()
        self._server.shutdown()
        self._server.server_close()


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _metadata(wheel: Path) -> bytes:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(next(name for name in archive.namelist() if name.endswith("/METADATA")))


def make_wheel(wheels: Path, name: str, *requires: str, code: str = "", version: str = "1.0") -> Path:
    """A wheel of one module."""
    info = f"{name}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    metadata += "".join(f"Requires-Dist: {requirement}\n" for requirement in requires)
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": metadata,
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
    wheel = wheels / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in files.items():
            archive.writestr(path, text)
    return wheel


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Index]:
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    make_wheel(wheels, "needy", "plain==99", "never")
    make_wheel(wheels, "plain")
    make_wheel(wheels, "alone", "nowhere==1")
    index = Index(wheels)
    for name in [name for name in os.environ if name.startswith(("UV_", "PIP_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("UV_DEFAULT_INDEX", index.url)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    monkeypatch.setenv("UV_NO_CONFIG", "1")
    yield index
    index.close()


class Stream:
    """An emitter into a file, and what was said through it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.emitter = Emitter(None, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC))

    @property
    def text(self) -> str:
        return self.path.read_text()

    @property
    def events(self) -> list[AnyEvent]:
        decoded = (decode_line(line) for line in self.text.split("\n"))
        return [event for event in decoded if not isinstance(event, str)]

    @property
    def phases(self) -> list[tuple[str, str | None]]:
        return [(e.status, e.detail) for e in self.events if isinstance(e, PhaseEvent) and e.phase == "image"]


@pytest.fixture
def stream(tmp_path: Path) -> Stream:
    return Stream(tmp_path / "stream.log")


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def launch(home: Path, tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts `ensure` in a process of its own, whose stream goes to a file."""
    started: list[subprocess.Popen[bytes]] = []

    def start(output: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-c", ENSURE, str(home), json.dumps(asdict(RECIPE))]
        with (tmp_path / output).open("wb") as file:
            started.append(subprocess.Popen(command, cwd=PROJECT, stdout=file))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait()


def leftovers(home: Path) -> list[str]:
    """What lies among the images, locks aside."""
    return sorted(path.name for path in (home / "images").glob("*") if path.suffix != ".lock")


def test_an_image_is_built_once_and_reused(index: Index, stream: Stream, home: Path, tmp_path: Path) -> None:
    python = ensure(home, stream.emitter, RECIPE)
    assert stream.phases == [("started", None), ("done", "built")]
    code = "import importlib.metadata as m, needy, alone; print(m.version('ghost'), m.version('plain'))"
    said = subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout == "2.0+cpu 1.0\n"
    downloaded = list(index.served)
    again = Stream(tmp_path / "again.log")
    assert ensure(home, again.emitter, RECIPE) == python
    assert again.phases == [("started", None), ("done", "reused")]
    assert index.served == downloaded


def test_a_build_says_what_it_does_and_how_far_it_is(index: Index, stream: Stream, home: Path) -> None:
    ensure(home, stream.emitter, RECIPE)
    assert "📦 Building the image" in stream.text
    assert "[image] Resolved 2 packages in" in stream.text
    assert "[image]  + needy==1.0" in stream.text
    assert "[image] ready: 4 packages" in stream.text
    about = json.loads((folder(home, RECIPE) / MARKER).read_text())
    assert about["packages"] == {"alone": "1.0", "ghost": "2.0+cpu", "needy": "1.0", "plain": "1.0"}


def test_a_launch_without_network_says_so_and_the_next_one_builds(
    index: Index, stream: Stream, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as offline:
        offline.setenv("UV_DEFAULT_INDEX", "http://ann:pa55@127.0.0.1:9/simple")
        with pytest.raises(ImageError) as caught:
            ensure(home, stream.emitter, RECIPE)
    assert "Connection refused" in caught.value.cause
    assert caught.value.hint is not None
    assert "could not be reached" in caught.value.hint.text
    assert "pa55" not in stream.text + caught.value.cause
    assert stream.phases[-1] == ("failed", None)
    assert leftovers(home) == []
    assert ensure(home, stream.emitter, RECIPE).exists()


def test_a_version_that_the_index_lacks_is_named(index: Index, stream: Stream, home: Path) -> None:
    with pytest.raises(ImageError) as caught:
        ensure(home, stream.emitter, replace(RECIPE, requirements=("plain==1.0", "alone==7.0")))
    assert "alone==7.0" in caught.value.cause
    assert caught.value.hint is not None
    assert "no matching version" in caught.value.hint.text
    assert leftovers(home) == []


def test_a_new_upload_changes_no_locked_image(index: Index, stream: Stream, home: Path) -> None:
    locked = [
        f"{name}==1.0 --hash=sha256:{_digest(index.wheels / f'{name}-1.0-py3-none-any.whl')}"
        for name in ("needy", "plain", "alone")
    ]
    recipe = replace(
        RECIPE, requirements=("needy",), overrides=("never ; sys_platform == 'never'", "plain>=1"),
        without_dependencies=("alone",), constraints=tuple(locked),
    )  # fmt: skip
    for name in ("needy", "plain", "alone"):
        make_wheel(index.wheels, name, "plain", version="2.0")
    ensure(home, stream.emitter, recipe)
    about = json.loads((folder(home, recipe) / MARKER).read_text())
    assert about["packages"] == {"alone": "1.0", "ghost": "2.0+cpu", "needy": "1.0", "plain": "1.0"}


def test_a_file_that_is_not_the_locked_one_is_refused(index: Index, stream: Stream, home: Path) -> None:
    locked = f"plain==1.0 --hash=sha256:{_digest(index.wheels / 'plain-1.0-py3-none-any.whl')}"
    make_wheel(index.wheels, "plain", code="import this")
    with pytest.raises(ImageError) as caught:
        ensure(home, stream.emitter, replace(RECIPE, constraints=(locked,)))
    assert "Hash mismatch for `plain==1.0`" in caught.value.cause
    assert caught.value.hint is not None
    assert "another file than the one that is locked" in caught.value.hint.text
    assert leftovers(home) == []


def test_checks_see_no_secret_and_what_they_say_shows_no_password(
    index: Index, stream: Stream, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    code = "import os, sys; sys.exit(os.environ.get('HF_TOKEN', 'no token') + ' for http://ann:pa55@index/')"
    with pytest.raises(ImageError) as caught:
        ensure(home, stream.emitter, replace(RECIPE, checks=(("the server", code),)))
    assert caught.value.cause == "no token for http://***@index/"


def test_an_image_in_which_something_does_not_start_is_not_kept(
    index: Index, stream: Stream, home: Path
) -> None:
    broken = replace(RECIPE, checks=(("the server", "import plain"), ("the trainer", "import nowhere")))
    with pytest.raises(ImageError, match="the trainer does not start") as caught:
        ensure(home, stream.emitter, broken)
    assert "No module named 'nowhere'" in caught.value.cause
    assert leftovers(home) == []


def test_a_full_disk_is_named_and_leaves_nothing(index: Index, home: Path, tmp_path: Path) -> None:
    """On a real file system of 3 MB, mounted where only the build sees it."""
    make_wheel(index.wheels, "needy", code="x = '''" + "y" * 4_000_000 + "'''")
    home.mkdir()
    unshare = shutil.which("unshare")
    mounted = [
        str(unshare),
        "-Urm",
        "sh",
        "-c",
        'mount -t tmpfs -o size=3m none "$0" && exec "$@"',
        str(home),
    ]
    if unshare is None or subprocess.run([*mounted, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets no ordinary user mount a file system")
    code = ENSURE.replace("ensure(Path", "try:\n  ensure(Path") + FULL_DISK
    command = [*mounted, sys.executable, "-c", code, str(home), json.dumps(asdict(RECIPE))]
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 0, done.stderr
    assert "the disk is full" in done.stdout
    assert "No space left on device" in done.stdout
    assert done.stdout.rstrip().endswith("[]")


def test_a_build_that_is_told_to_stop_clears_up_and_ends_uv(
    index: Index, home: Path, launch: Callable[..., subprocess.Popen[bytes]]
) -> None:
    index.gate.clear()
    building = launch("stopped.log")
    assert index.asked.wait(DEADLINE)
    assert leftovers(home) == [folder(home, RECIPE).name]
    building.send_signal(signal.SIGTERM)
    assert building.wait(DEADLINE) == 128 + signal.SIGTERM
    assert leftovers(home) == []
    assert not processes_with(str(home))


def test_what_a_killed_build_leaves_is_never_used_and_cleared_by_the_next(
    index: Index, home: Path, stream: Stream, launch: Callable[..., subprocess.Popen[bytes]]
) -> None:
    index.gate.clear()
    building = launch("killed.log")
    assert index.asked.wait(DEADLINE)
    building.kill()
    building.wait()
    assert find(home, RECIPE) is None
    assert leftovers(home) == [folder(home, RECIPE).name]
    stray = folder(home, RECIPE) / "half-made"
    stray.touch()
    index.gate.set()
    python = ensure(home, stream.emitter, RECIPE)
    assert "clearing away what an interrupted build left behind" in stream.text
    assert stream.phases[-1] == ("done", "built")
    assert python.exists()
    assert not stray.exists()


def test_two_launches_at_once_build_once(
    index: Index, home: Path, tmp_path: Path, launch: Callable[..., subprocess.Popen[bytes]]
) -> None:
    index.gate.clear()
    first = launch("first.log")
    assert index.asked.wait(DEADLINE)
    second = launch("second.log")
    block_until(
        lambda: "is building this image: waiting" in (tmp_path / "second.log").read_text(), "the notice"
    )
    assert f"process {first.pid} is building" in (tmp_path / "second.log").read_text()
    index.gate.set()
    assert (first.wait(DEADLINE), second.wait(DEADLINE)) == (0, 0)
    assert '"detail":"built"' in (tmp_path / "first.log").read_text()
    assert '"detail":"reused"' in (tmp_path / "second.log").read_text()
    assert len(set(index.served)) == len(index.served)


def test_pruning_keeps_this_machines_image_and_those_named(home: Path) -> None:
    for key in ("aaaaaaaaaaaa", "bbbbbbbbbbbb", this_recipe().key):
        (home / "images" / f"local-{key}").mkdir(parents=True)
    removed = prune(home, keep=["bbbbbbbbbbbb"])
    assert [path.name for path in removed] == ["local-aaaaaaaaaaaa"]
    assert leftovers(home) == sorted(["local-bbbbbbbbbbbb", f"local-{this_recipe().key}"])


def test_the_command_tells_where_and_fails_with_a_reason(home: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "remote.image.local", "--home", str(home), *arguments]
        return subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, timeout=DEADLINE)

    assert (run("--where").returncode, run("--where").stdout) == (1, "")
    home.write_text("a file where a folder should be")
    failed = run()
    assert failed.returncode == 1
    assert '"boundary":"image"' in failed.stdout
    assert "VFM_HOME" in failed.stdout
    assert "Traceback" not in failed.stdout + failed.stderr


def processes_with(word: str) -> list[str]:
    """The command lines of processes that name something."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:  # it ended meanwhile
            continue
        if word in line:
            found.append(line)
    return found

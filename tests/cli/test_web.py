"""`vfm-tui --web` over real sockets: who may look, what the page fetches, what the app's process does."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.cli.browser import CHROMIUM, browse
from tests.cli.conftest import Vfm
from tests.waiting import DEADLINE, until
from tui.web import STATICS, WebServer


class Web:
    """A server of the app in a process of its own."""

    def __init__(self, vfm: Vfm, *args: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tui", "--web", *args],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=vfm.folder,
            env=vfm.env("", {}),
        )
        vfm.started.append(self.process)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().strip()

    @property
    def root(self) -> str:
        """The address without the token."""
        return self.address.split("/", 3)[0] + "//" + self.address.split("/", 3)[2]

    def apps(self) -> set[int]:
        """The app processes that the server started and that still run."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return {int(pid) for pid in children.split()}

    def end(self, number: int = signal.SIGINT) -> int:
        """Send a signal; returns the exit code."""
        self.process.send_signal(number)
        return self.process.wait(DEADLINE)


@pytest.fixture
def web(vfm: Vfm) -> Iterator[Web]:
    """The app, served."""
    made = Web(vfm)
    yield made
    if made.process.poll() is None:
        made.end(signal.SIGTERM)


async def status(url: str, **headers: str) -> int:
    async with aiohttp.ClientSession() as session, session.get(url, headers=headers) as answer:
        return answer.status


async def socket_status(url: str, **headers: str) -> int:
    """101 where the websocket opens."""
    async with aiohttp.ClientSession() as session:
        try:
            async with session.ws_connect(url, headers=headers):
                return 101
        except aiohttp.WSServerHandshakeError as error:
            return error.status


async def test_nothing_is_served_without_the_token(web: Web) -> None:
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/[\w-]{43}/", web.address)
    assert await status(web.address) == 200
    nearly = web.address[:-2] + ("a" if web.address[-2] != "a" else "b") + "/"
    for base in (f"{web.root}/", nearly, f"{web.root}/%00/"):
        for path in ("", "ws", "static/js/textual.js", "download/x", "nowhere"):
            assert await status(base + path) == 403, base + path
        assert await socket_status(base + "ws", Origin=web.root) == 403


async def test_other_names_of_this_machine_are_refused(web: Web) -> None:
    port = web.root.rpartition(":")[2]
    assert await status(web.address, Host=f"localhost:{port}") == 200
    for name in (f"rebound.example:{port}", "127.0.0.1.example", "127.0.0.1:x", "[::1]", ""):
        assert await status(web.address, Host=name) == 403, name


async def test_another_sites_page_cannot_open_the_socket(web: Web) -> None:
    assert await socket_status(web.address + "ws", Origin=web.root) == 101
    for origin in (
        "http://rebound.example",
        "null",
        web.root.replace("http:", "https:"),
        "http://127.0.0.1:1",
    ):
        assert await socket_status(web.address + "ws", Origin=origin) == 403, origin
    assert await socket_status(web.address + "ws") == 403
    assert await status(web.address, Origin="http://rebound.example") == 403


def test_it_listens_on_loopback_alone(web: Web) -> None:
    port = f"{int(web.root.rpartition(':')[2]):04X}"
    rows = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    listening = {row.split()[1] for row in rows.splitlines() if row.split()[3] == "0A"}
    assert {where for where in listening if where.endswith(f":{port}")} == {f"0100007F:{port}"}


async def test_the_page_fetches_nothing_from_elsewhere(web: Web) -> None:
    async with aiohttp.ClientSession() as session:
        async with session.get(web.address) as answer:
            page, policy = await answer.text(), answer.headers["Content-Security-Policy"]
        for name in STATICS:
            async with session.get(web.address + "static/" + name) as answer:
                assert answer.status == 200, name
                if name.endswith(".css"):
                    assert not re.search(r"url\(|@import", await answer.text())
        assert (await session.get(web.address + "static/../server.py")).status != 200
    outside = {
        url for url in re.findall(r"\w+://[^\s\"'<>]+", page) if not url.startswith(f"ws{web.root[4:]}/")
    }
    assert not outside
    fetched = set(re.findall(r'(?:src|href)="([^"]+)"|url\("([^"]+)"\)', page))
    assert {a or b for a, b in fetched} == {f"static/{name}" for name in STATICS} | {"data:,"}
    assert "default-src 'none'" in policy


@asynccontextmanager
async def page_of(web: Web) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """A page's websocket, as the browser opens it."""
    async with (
        aiohttp.ClientSession(headers={"Origin": web.root}) as session,
        session.ws_connect(web.address + "ws?width=100&height=30") as page,
    ):
        yield page


async def gone(pid: int) -> None:
    """Wait until a process is over; one that its parent has not waited for is over all the same."""
    stat = Path(f"/proc/{pid}/stat")
    await until(
        lambda: not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z", f"{pid} to end"
    )


async def test_the_socket_carries_the_app(web: Web) -> None:
    async with page_of(web) as page:
        seen = b""
        while b"vfm" not in seen:
            seen += await page.receive_bytes(timeout=DEADLINE)
        assert b"\x1b[30;1H" in seen  # as many rows as the page asked for
        (app,) = web.apps()
        await page.send_json(["stdin", "\x11"])  # ctrl+q
        async for _ in page:
            pass
    await gone(app)


async def test_the_rest_of_the_command_line_holds_for_the_page(vfm: Vfm) -> None:
    assert vfm.launch(script="steps:1 end:done").returncode == 0
    web = Web(vfm, "--readonly", "--theme", "vfm-light", "last")
    async with page_of(web) as page:
        seen = b""
        while not (b"read-only" in seen and b"rollouts" in seen):  # the run's panes
            seen += await page.receive_bytes(timeout=DEADLINE)
    assert b"48;2;250;250;250m" in seen  # the light theme's background
    assert web.end() == 0


async def test_a_closed_page_ends_its_app(web: Web) -> None:
    async with page_of(web) as page:
        await page.receive_bytes(timeout=DEADLINE)
        (app,) = web.apps()
    await gone(app)


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143), (signal.SIGKILL, -signal.SIGKILL)]
)
async def test_the_servers_end_is_the_apps_end(web: Web, number: signal.Signals, code: int) -> None:
    async with page_of(web) as page:
        await page.receive_bytes(timeout=DEADLINE)
        (app,) = web.apps()
        assert await asyncio.to_thread(web.end, number) == code
        await gone(app)
    assert web.process.stderr is not None
    assert "Traceback" not in web.process.stderr.read()


async def test_an_app_that_cannot_start_ends_its_page(web: Web, vfm: Vfm) -> None:
    (vfm.project / ".env").write_bytes(b"\xff")
    async with page_of(web) as page:
        message = await page.receive(DEADLINE)
    assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
    assert web.end() == 0


def test_a_taken_port_is_told(vfm: Vfm) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = Web(vfm, "--port", str(port))
        assert refused.process.wait(DEADLINE) == 2
        assert refused.process.stderr is not None
        assert f"cannot listen on 127.0.0.1:{port}" in refused.process.stderr.read()


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (Debian: apt install chromium)")
async def test_chromium_shows_the_app_and_passes_keys_on(web: Web, tmp_path: Path) -> None:
    async with browse(web.address, tmp_path / "browser") as page:
        await page.until(lambda: b"vfm" in page.received, "the app's first frame")
        await page.until_script("document.body?.classList.contains('-first-byte')")
        async with asyncio.timeout(DEADLINE):
            while await page.colours() <= 8:  # letters are drawn in many shades
                pass
        assert not page.complaints
        assert page.asked_for
        assert all(url.startswith((web.root, f"ws{web.root[4:]}", "data:")) for url in page.asked_for)
        await page.press("q", 81, ctrl=True)
        await page.until_script("document.body?.classList.contains('-closed')")
        assert "Runs go on" in await page.evaluate("document.body.innerText")


GIVING = """
import io
from textual.app import App

class Giving(App):
    def key_c(self):
        self.copy_to_clipboard("copied ✓")
        self.notify("has copied")
    def key_d(self):
        self.deliver_text(io.StringIO("delivered ✓"), save_filename="ü file.txt")

Giving().run()
"""


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium (Debian: apt install chromium)")
async def test_chromium_takes_copied_text_and_files(tmp_path: Path) -> None:
    (tmp_path / "giving.py").write_text(GIVING)
    server = WebServer([sys.executable, str(tmp_path / "giving.py")])
    async with browse(await server.start(0), tmp_path / "browser") as page:
        await page.until_script("document.body?.classList.contains('-first-byte')")
        await page.send(
            "Browser.grantPermissions", permissions=["clipboardReadWrite", "clipboardSanitizedWrite"]
        )
        await page.send("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path))
        await page.press("c", 67, text="c")
        await page.until(lambda: b"has copied" in page.received, "the notice")
        await page.until_script("navigator.clipboard.readText().then(text => text == 'copied ✓')")
        await page.press("d", 68, text="d")
        file = tmp_path / "ü file.txt"
        await until(lambda: file.exists() and file.read_text(), "the download")
        assert file.read_text() == "delivered ✓"
    await server.stop()

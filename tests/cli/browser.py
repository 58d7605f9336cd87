"""A headless Chromium, driven over its DevTools socket."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64decode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.waiting import DEADLINE, until

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--enable-unsafe-swiftshader",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-port=0",
    "--window-size=1200,700",
)
# How many colours a picture has: one that shows nothing has one or two.
COLOURS = """
new Promise(done => {
    const picture = new Image();
    picture.onload = () => {
        const canvas = document.createElement("canvas");
        canvas.width = picture.width; canvas.height = picture.height;
        const pen = canvas.getContext("2d");
        pen.drawImage(picture, 0, 0);
        const dots = pen.getImageData(0, 0, picture.width, picture.height).data;
        done(new Set(new Uint32Array(dots.buffer)).size);
    };
    picture.src = "data:image/png;base64,%s";
})
"""


class Page:
    """One page: what it asked for, what went over its sockets, its keys and pictures."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._answers: dict[int, dict[str, Any]] = {}
        self.asked_for: list[str] = []
        """Every address that the page requested or connected to."""
        self.complaints: list[str] = []
        """What the console holds: refused requests, errors."""
        self.received = b""
        """What came over the page's own websocket."""

    async def send(self, method: str, **params: Any) -> dict[str, Any]:
        """A DevTools command and its result."""
        number = len(self._answers) + 1
        self._answers[number] = {}
        await self._socket.send_json({"id": number, "method": method, "params": params})
        await self.until(lambda: bool(self._answers[number]), method)
        answer = self._answers[number]
        assert "error" not in answer, answer
        result: dict[str, Any] = answer["result"]
        return result

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        """Take in what the browser says until a condition holds."""

        async def told() -> bool:
            if not condition():
                message = await self._socket.receive(DEADLINE)
                assert message.type is aiohttp.WSMsgType.TEXT, f"the browser left before {what}"
                self._take(json.loads(message.data))
            return condition()

        await until(told, what, shows=lambda: repr(self.received[-2000:]))

    async def evaluate(self, script: str) -> Any:
        """A script's value."""
        done = await self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in done, done
        return done["result"].get("value")

    async def until_script(self, script: str) -> None:
        """Ask a script again and again until it is true."""
        await until(lambda: self.evaluate(script), script)

    async def press(self, key: str, code: int, *, ctrl: bool = False, text: str = "") -> None:
        """One key, down and up."""
        fields = {"key": key, "windowsVirtualKeyCode": code, "modifiers": 2 if ctrl else 0}
        await self.send(
            "Input.dispatchKeyEvent", type="keyDown", **fields, **({"text": text} if text else {})
        )
        await self.send("Input.dispatchKeyEvent", type="keyUp", **fields)

    async def picture(self) -> str:
        """A PNG of the page, in base64."""
        return str((await self.send("Page.captureScreenshot"))["data"])

    async def colours(self) -> int:
        """How many colours the page shows."""
        return int(await self.evaluate(COLOURS % await self.picture()))

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._answers[message["id"]] = message
            return
        method, params = message["method"], message["params"]
        if method == "Network.requestWillBeSent":
            self.asked_for.append(params["request"]["url"])
        elif method == "Network.webSocketCreated":
            self.asked_for.append(params["url"])
        elif method == "Network.webSocketFrameReceived" and params["response"]["opcode"] == 2:
            self.received += b64decode(params["response"]["payloadData"])
        elif method == "Log.entryAdded":
            self.complaints.append(params["entry"]["text"])


@asynccontextmanager
async def browse(address: str, folder: Path) -> AsyncIterator[Page]:
    """An address in a fresh browser."""
    assert CHROMIUM
    folder.mkdir()
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen(
            [CHROMIUM, *QUIET, f"--user-data-dir={folder}", "about:blank"], stdout=log, stderr=log
        )
    try:
        async with aiohttp.ClientSession() as session:
            target = await _target(session, folder / "DevToolsActivePort")
            async with session.ws_connect(target, max_msg_size=0) as socket:
                page = Page(socket)
                for domain in ("Network", "Page", "Log"):
                    await page.send(f"{domain}.enable")
                await page.send("Page.navigate", url=address)
                yield page
    finally:
        process.terminate()
        process.wait()


async def _target(session: aiohttp.ClientSession, port_file: Path) -> str:
    await until(lambda: port_file.exists() and port_file.read_text().count("\n"), "the browser's start")
    port = port_file.read_text().split("\n")[0]
    async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
        pages = [target for target in await answer.json() if target["type"] == "page"]
    return str(pages[0]["webSocketDebuggerUrl"])

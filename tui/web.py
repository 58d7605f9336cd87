"""`vfm-tui --web`: the app in a browser of this machine, over textual-serve.

The server listens on 127.0.0.1 only, and every address contains a token that is printed once and stored
nowhere. Each page has its own app process, which ends with the page or the server. The page is `web.html`;
its terminal is textual-serve's, and nothing is loaded from other hosts.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import secrets
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from string import Template

from aiohttp import WSCloseCode, web
from textual_serve.app_service import AppService
from textual_serve.server import Server, to_int

from remote.contract.errors import ConfigError, Hint

HOST = "127.0.0.1"
NAMES = frozenset({HOST, "localhost"})
"""Names of this machine; a request by another name may be an attack (DNS rebinding)."""
STATICS = frozenset(
    {
        "css/xterm.css",
        "js/textual.js",
        "fonts/RobotoMono-VariableFont_wght.ttf",
        "fonts/RobotoMono-Italic-VariableFont_wght.ttf",
    }
)
"""Files of textual-serve that the page needs."""
PATIENCE = 5.0
"""Seconds in which an app process must exit by itself."""
_PAGE = Path(__file__).with_suffix(".html")
_SIZES = range(1, 1001)  # columns or rows that a browser may ask for
_NOTES = (
    "Ctrl-C ends it; runs go on.\n"
    "In the browser, Ctrl-W, Ctrl-N and Ctrl-T stay the browser's own. Downloads land on this machine."
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
# xterm.js writes style elements of its own, so styles cannot be told apart by a nonce.
_POLICY = (
    "default-src 'none'; script-src 'self' 'nonce-{nonce}'; style-src 'self' 'unsafe-inline'; "
    "font-src 'self'; img-src 'self' data:; connect-src 'self' ws://{host}; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def serve(command: Sequence[str], port: int) -> int:
    """Serve an app, given as a command, until a signal arrives; returns the exit code.

    Raises `ConfigError` where the port is in use.
    """
    return asyncio.run(_serve(WebServer(command), port))


async def _serve(server: WebServer, port: int) -> int:
    loop = asyncio.get_running_loop()
    signalled: asyncio.Future[int] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, _resolve, signalled, int(number))
    try:
        print(await server.start(port), flush=True)
        print(_NOTES, file=sys.stderr)
        signal_number = await signalled
    finally:
        await server.stop()
    return 0 if signal_number == signal.SIGINT else 128 + signal_number


def _resolve(signalled: asyncio.Future[int], number: int) -> None:
    if signalled.done():
        os._exit(128 + number)  # asked twice: the app processes see the server gone, and end
    signalled.set_result(number)


class WebServer(Server):
    """Serves textual-serve's terminal to requests with the token."""

    def __init__(self, command: Sequence[str]) -> None:
        super().__init__(" ".join(command), host=HOST)
        self.token = secrets.token_urlsafe(32)
        self._command = list(command)
        self._pages = set[web.WebSocketResponse]()
        self._runner: web.AppRunner | None = None

    async def start(self, port: int) -> str:
        """Listen on a port (0: any free one); returns the address to open. Raises `ConfigError`."""
        self._runner = web.AppRunner(await self._make_app(), access_log=None, shutdown_timeout=2 * PATIENCE)
        await self._runner.setup()
        site = web.TCPSite(self._runner, HOST, port)
        try:
            await site.start()
        except OSError as error:
            hint = Hint("leave --port out for a free one")
            raise ConfigError(
                f"cannot listen on {HOST}:{port}", cause=error.strerror or str(error), hint=hint
            ) from None
        return f"http://{HOST}:{self._runner.addresses[0][1]}/{self.token}/"

    async def stop(self) -> None:
        """Close every page, end its app, and stop listening."""
        if self._runner:
            await self._runner.cleanup()

    async def _make_app(self) -> web.Application:
        app = web.Application(middlewares=[self._guard])
        # The token is a variable of the routes: it is compared in `_guard`, and nowhere else.
        app.router.add_get("/{token}", self._slash)
        app.router.add_get("/{token}/", self._page)
        app.router.add_get("/{token}/ws", self.handle_websocket)
        app.router.add_get("/{token}/static/{name:.+}", self._static)
        app.router.add_get("/{token}/download/{key}", self.handle_download)
        app.on_response_prepare.append(_harden)
        app.on_shutdown.append(self.on_shutdown)
        return app

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if not (_is_ours(request) and self._has_token(request)):
            raise web.HTTPForbidden(text="403: this address needs the token that `vfm-tui --web` printed\n")
        return await handler(request)

    def _has_token(self, request: web.Request) -> bool:
        given = request.raw_path[1:].partition("?")[0].partition("/")[0]
        return hmac.compare_digest(given.encode(errors="surrogateescape"), self.token.encode())

    async def _slash(self, request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound(f"/{self.token}/")

    async def _page(self, request: web.Request) -> web.StreamResponse:
        nonce, host = secrets.token_urlsafe(16), request.headers["Host"]
        text = Template(_PAGE.read_text(encoding="utf-8")).substitute(
            nonce=nonce,
            socket=f"ws://{host}/{self.token}/ws",
            size=to_int(request.query.get("fontsize", ""), 16),
        )
        headers = {"Content-Security-Policy": _POLICY.format(nonce=nonce, host=host)}
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def _static(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        if name not in STATICS:
            raise web.HTTPNotFound
        return web.FileResponse(Path(self.statics_path) / name)

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run an app process while a page is open."""
        socket = web.WebSocketResponse(heartbeat=15)
        await socket.prepare(request)
        app = _AppProcess(self._command, socket, self)
        self._pages.add(socket)
        try:
            await app.start(_size(request, "width", 80), _size(request, "height", 24))
            await self._process_messages(socket, app)
        finally:
            self._pages.discard(socket)
            await app.stop()
        return socket

    async def on_shutdown(self, app: web.Application) -> None:
        """Close the pages; their handlers end the apps."""
        for socket in list(self._pages):
            await socket.close(code=WSCloseCode.GOING_AWAY)


class _AppProcess(AppService):
    """The process of one app, started without a shell; it is gone after `stop`."""

    def __init__(self, command: list[str], socket: web.WebSocketResponse, server: WebServer) -> None:
        super().__init__(
            server.command,
            write_bytes=socket.send_bytes,
            write_str=socket.send_str,
            close=lambda: _closed(socket),
            download_manager=server.download_manager,
        )
        self._words = command

    async def _open_app_process(self, width: int = 80, height: int = 24) -> Process:
        environment = self._build_environment(width=width, height=height)
        self._process = process = await asyncio.create_subprocess_exec(
            *self._words, stdin=PIPE, stdout=PIPE, stderr=PIPE, env=environment, start_new_session=True
        )
        self._stdin = process.stdin
        return process

    async def run(self) -> None:
        """Send the app's output to the page, and at last its end, whatever the cause."""
        try:
            await super().run()
        finally:
            await self.remote_close()

    async def stop(self) -> None:
        """End the app, by force if need be."""
        if self._process is None:
            return
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                await super().stop()
                await self._process.wait()
        with suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()


async def _closed(socket: web.WebSocketResponse) -> None:
    await socket.close()


def _size(request: web.Request, name: str, default: int) -> int:
    given = to_int(request.query.get(name, ""), default)
    return min(max(given, _SIZES.start), _SIZES.stop - 1)


def _is_ours(request: web.Request) -> bool:
    """Whether a request names this machine, and does not come from another site's page."""
    host = request.headers.get("Host", "")
    name, _, port = host.partition(":")
    origin = request.headers.get("Origin")
    expected = origin == f"http://{host}" if origin or _is_socket(request) else True
    return name in NAMES and (not port or port.isdigit()) and expected


def _is_socket(request: web.Request) -> bool:
    return request.headers.get("Upgrade", "").lower() == "websocket"


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_HEADERS)

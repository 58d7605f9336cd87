"""Package indexes on 127.0.0.1: one that has nothing and remembers what it was asked, one that trickles."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def recording_index() -> Iterator[tuple[dict[str, str], list[str]]]:
    """Variables under which it is the only index, and the names of the packages that were asked for."""
    asked: list[str] = []

    class Index(_Quiet):
        def do_GET(self) -> None:
            asked.append(self.path.strip("/").rpartition("/")[2])
            self.send_error(404)

        do_HEAD = do_GET

    with _serving(Index) as variables:
        yield variables, asked


@contextmanager
def trickling_index() -> Iterator[dict[str, str]]:
    """Variables under which the only index sends a byte now and then, so that no silence ever ends it."""
    closed = threading.Event()

    class Index(_Quiet):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            with suppress(OSError):  # whoever asked has gone
                while not closed.wait(0.05):
                    self.wfile.write(b" ")

    with _serving(Index) as variables:
        yield variables
        closed.set()


class _Quiet(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Nobody reads it."""


@contextmanager
def _serving(handler: type[BaseHTTPRequestHandler]) -> Iterator[dict[str, str]]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = False  # its end waits for theirs
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/simple"
    try:
        yield {"UV_DEFAULT_INDEX": address, "PIP_FIND_LINKS": "", "UV_HTTP_RETRIES": "0"}
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

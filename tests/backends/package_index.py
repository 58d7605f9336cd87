"""A package index on 127.0.0.1 that has nothing, and remembers what it was asked."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@contextmanager
def recording_index() -> Iterator[tuple[dict[str, str], list[str]]]:
    """Variables under which it is the only index, and the names of the packages that were asked for."""
    asked: list[str] = []

    class Index(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path.strip("/").rpartition("/")[2])
            self.send_error(404)

        do_HEAD = do_GET

        def log_message(self, format: str, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Index)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}/simple"
    try:
        yield {"UV_DEFAULT_INDEX": address, "PIP_FIND_LINKS": "", "UV_HTTP_RETRIES": "0"}, asked
    finally:
        server.shutdown()
        server.server_close()
        thread.join()

"""A program that stands in for `vllm` where a test is about the server's life and not about vLLM.

`stand_in_vllm.py BEHAVIOUR LOG serve MODEL … --port N …`: prints the lines of LOG, then
`answers` serves /health on the port · `dies` exits with code 1 · `dies once` does so the first time
only (it leaves a mark beside LOG) · `hangs` never answers · `ends` answers until it is asked for
/end, then prints what follows a line `=== end` in LOG and exits with code 0 · `lingers` prints that
too, but goes on answering · `hangs at the end` prints it, and never answers /end.

Of those that answer: /work is not answered; /vfm/activity says how many such requests there are, and /metrics
what was posted to it last.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


class Handler(BaseHTTPRequestHandler):
    last_words = ""
    lingers = False
    hangs = False

    working = 0
    metrics = b"vllm:tokens 0"

    def do_POST(self) -> None:
        Handler.metrics = self.rfile.read(int(self.headers["Content-Length"]))
        self.do_GET()

    def do_GET(self) -> None:
        if self.path == "/work":
            Handler.working += 1
            time.sleep(600)
        if self.path == "/end" and self.hangs:
            print(self.last_words, flush=True)
            time.sleep(600)
        self.send_response(200)
        self.end_headers()
        activity = json.dumps({"outstanding": Handler.working, "finished": 0}).encode()
        self.wfile.write({"/vfm/activity": activity, "/metrics": Handler.metrics}.get(self.path, b""))
        if self.path == "/end":
            print(self.last_words, flush=True)
        if self.path == "/end" and not self.lingers:
            threading.Thread(target=self.server.shutdown).start()

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not logged."""


def main(behaviour: str, log: str, *arguments: str) -> int:
    before, _, Handler.last_words = Path(log).read_text().partition("=== end\n")
    print(before, flush=True)
    mark = Path(log + ".died")
    if behaviour == "dies" or (behaviour == "dies once" and not mark.exists()):
        mark.touch()
        return 1
    if behaviour == "hangs":
        time.sleep(600)
    subprocess.Popen(["sleep", "600"])  # an engine process
    Handler.lingers = behaviour == "lingers"
    Handler.hangs = behaviour == "hangs at the end"
    port = int(arguments[arguments.index("--port") + 1])
    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever(poll_interval=0.05)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

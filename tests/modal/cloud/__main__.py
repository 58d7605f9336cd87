"""Serves a cloud until Ctrl-C, and prints the variables that lead a client to it."""

import signal
import sys
import threading
from pathlib import Path

from tests.modal.cloud.server import Cloud


def main() -> None:
    folder = Path(sys.argv[1]).absolute() if len(sys.argv) > 1 else None
    over = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: over.set())
    with Cloud(folder) as cloud:
        for name, value in cloud.env.items():
            print(f"export {name}={value}", flush=True)
        print(f"# volumes: {cloud.volumes_dir}", flush=True)
        over.wait()


main()

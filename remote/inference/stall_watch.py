"""Detect that a running vLLM server hangs.

The server's API process counts requests (`gate.py`), and vLLM's metrics change with every step of the engine,
a part of a long prompt included. A server hangs where requests wait and nothing changes, or where it does not
answer.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
import urllib.request
from collections.abc import Callable

from remote.contract.json_text import from_json
from remote.contract.spec import ExperimentSpec
from remote.inference.gate import ACTIVITY, HEALTH

POLLS = 20
"""Polls of the server within the time after which it counts as hung."""
SHORTEST, LONGEST = 0.2, 10.0
"""Bounds of the seconds between two polls."""
ANSWER_TIMEOUT = 10.0  # seconds
# No proxy stands between this machine and itself.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def is_healthy(base_url: str, timeout: float) -> bool:
    """Whether a server answers `/health` with 200 within `timeout` seconds."""
    try:
        with HTTP.open(base_url + HEALTH, timeout=timeout) as reply:
            return bool(reply.status == 200)
    except (OSError, http.client.HTTPException):  # refused, silent, or cut off in mid-answer
        return False


def stall_limit(spec: ExperimentSpec) -> float:
    """Seconds without a token after which the server counts as hung.

    Less than `training.episode_timeout`: requests of episodes that have timed out are withdrawn, and a server
    without requests does not count as hung.
    """
    return min(spec.vllm.stall_timeout, spec.training.episode_timeout / 2)


class StallWatch:
    """Polls a server until `stop`, on a thread of its own.

    Calls `on_stall` once, with a description, when nothing has changed for `limit` seconds. Time during which
    this process was suspended (a laptop's lid, Ctrl-Z) does not count.
    """

    def __init__(self, base_url: str, key: str, limit: float, on_stall: Callable[[str], None]) -> None:
        self._base_url, self._key, self._limit, self._on_stall = base_url, key, limit, on_stall
        self._every = min(max(limit / POLLS, SHORTEST), LONGEST)
        self._over = threading.Event()
        self._moved = ""
        self._trouble = ""
        threading.Thread(target=self._poll, name="stall-watch", daemon=True).start()

    def stop(self) -> None:
        """Stop polling. Safe to repeat."""
        self._over.set()

    def _poll(self) -> None:
        still, last = 0.0, time.monotonic()
        while not self._over.wait(self._every):
            moved = self._has_moved()
            now = time.monotonic()
            still = 0.0 if moved else still + min(now - last, self._every + 2 * ANSWER_TIMEOUT)
            last = now
            if still >= self._limit and not self._over.is_set():
                return self._on_stall(f"{self._trouble} for {still:.0f} s")

    def _has_moved(self) -> bool:
        """Whether no request waits, or something has changed since the last poll."""
        try:
            activity = from_json(self._get(ACTIVITY))
            outstanding, finished = int(activity["outstanding"]), int(activity["finished"])
            if not outstanding:
                return True
            lines = self._get("/metrics").split(b"\n")
        except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
            self._trouble = "it has not answered"
            return False
        self._trouble = f"no token while {outstanding} request{'s' * (outstanding > 1)} waited"
        engine = b"\n".join(line for line in lines if line.startswith(b"vllm:"))
        before, self._moved = self._moved, f"{finished} {hashlib.sha256(engine).hexdigest()}"
        return self._moved != before

    def _get(self, path: str) -> bytes:
        headers = {"Authorization": f"Bearer {self._key}"}
        request = urllib.request.Request(self._base_url + path, headers=headers)
        with HTTP.open(request, timeout=min(ANSWER_TIMEOUT, self._limit)) as reply:
            return bytes(reply.read())

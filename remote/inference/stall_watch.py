"""Notices that a running vLLM server hangs, and says what a server that may be started again is to its users.

Owns the question whether requests get on. The server's API process counts them (`vllm_gate`), and vLLM's
metrics move with every step of the engine, a part of a long prompt included: a server on which requests wait
while nothing moves, or that answers nobody, hangs. What follows from that is `vllm_server`'s.
"""

from __future__ import annotations

import hashlib
import http.client
import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from remote.contract.json_text import from_json
from remote.contract.spec import ExperimentSpec
from remote.inference.gate import ACTIVITY, HEALTH

LOOKS = 20
"""Looks at the server within the time after which it counts as hung."""
OFTEN, SELDOM = 0.2, 10.0
"""Seconds between two looks, at least and at most."""
PATIENCE = 10.0
"""Seconds that an answer may take."""
# No proxy stands between this machine and itself.
HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@runtime_checkable
class RestartableServer(Protocol):
    """A server whose users ask for another start of it when it died or hangs."""

    def lost(self) -> bool:
        """Whether it died or hangs. Call it when a request failed; returns within seconds."""
        ...

    def renew(self) -> None:
        """Start it again, with the weights that it started with; returns once it answers.

        Raises `ServerError` with the cause where it has been started again as often as it may be.
        """
        ...

    def proven(self) -> None:
        """What it was asked for has come through: starts are counted anew."""
        ...


class ServerLost(Exception):
    """The server died or hangs: what was under way there has to be repeated."""


def is_healthy(base_url: str, timeout: float) -> bool:
    """Whether a server answers `/health` as it should, within so many seconds."""
    try:
        with HTTP.open(base_url + HEALTH, timeout=timeout) as reply:
            return bool(reply.status == 200)
    except (OSError, http.client.HTTPException):  # refused, silent, or cut off in mid-answer
        return False


def stall_limit(spec: ExperimentSpec) -> float:
    """Seconds without a token after which the server counts as hung: before the episodes that wait are over.

    Requests of episodes that have timed out are withdrawn, and a server without requests does not hang.
    """
    return min(spec.vllm.stall_timeout, spec.training.episode_timeout / 2)


class StallWatch:
    """Looks at a server until `stop`, on a thread of its own.

    `on_stall` is told once, in words, when nothing has moved for `limit` seconds. A process that was
    suspended meanwhile (a laptop's lid, Ctrl-Z) has looked at nothing, so that time does not count.
    """

    def __init__(self, base_url: str, key: str, limit: float, on_stall: Callable[[str], None]) -> None:
        self._base_url, self._key, self._limit, self._on_stall = base_url, key, limit, on_stall
        self._every = min(max(limit / LOOKS, OFTEN), SELDOM)
        self._over = threading.Event()
        self._moved = ""
        self._trouble = ""
        threading.Thread(target=self._look_on, name="stall-watch", daemon=True).start()

    def stop(self) -> None:
        """Look no more. Safe to repeat."""
        self._over.set()

    def _look_on(self) -> None:
        still, last = 0.0, time.monotonic()
        while not self._over.wait(self._every):
            moved = self._has_moved()
            now = time.monotonic()
            still = 0.0 if moved else still + min(now - last, self._every + 2 * PATIENCE)
            last = now
            if still >= self._limit and not self._over.is_set():
                return self._on_stall(f"{self._trouble} for {still:.0f} s")

    def _has_moved(self) -> bool:
        """Whether nothing waits, or something has got on since the last look."""
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
        with HTTP.open(request, timeout=min(PATIENCE, self._limit)) as reply:
            return bytes(reply.read())

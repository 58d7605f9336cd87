"""Read vLLM's log line by line: the sub-phase of its start, and the line with the cause of a failure. Pure.

What a cause means for the config is in `failures.py`.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass
from typing import Literal

from remote.inference.failures import Diagnosis, Setting, diagnose, is_known

_PREFIX = re.compile(
    r"\((?P<process>[\w.-]+) pid=\d+\) (?:(?P<level>[A-Z]+) [\d-]+ [\d:]+ \[[\w.]+:\d+\] ?)?(?P<text>.*)"
)
_EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w*\.)*_?[A-Z]\w*(?:Error|Exception|Interrupt|OutOfMemory)\w*(?:: .*|$)"
)
_USAGE = re.compile(r"vllm(?: \w+)?: error: .*")
_DIED = re.compile(r"Worker proc \S+ died unexpectedly|engine core exited unexpectedly")
_FATAL = "EngineCore encountered a fatal error"
_HEADLINE = re.compile(r"\d+ validation errors? for \w+$")
_CHAINED = "During handling of the above exception"
_SAYS_NOTHING = re.compile(
    r"Engine core initialization failed|Executor failed\.|EngineDeadError|EngineGenerateError"
    r"|KeyboardInterrupt|CancelledError|SystemExit|BrokenPipeError"
)
_RELAYED = re.compile(r"Worker failed with error '(?P<text>.*)', please check the stack trace")
_NOISE = re.compile(
    r"\s|Traceback|INFO:|usage:|During handling|The above exception|Process \w+:|.*\[shutdown\]|.*Route: "
    r"|.*(?:resource_tracker|warnings?\.warn|Warning)\b|\[?[IW]\d{4} |$"
)
_ROTARY = re.compile(r" WARNING .*\] RotaryEmbedding: Failed to load weights$")
LONGEST = 2000  # characters of a cause

# Lines that begin or end a sub-phase of the start, in vLLM's order.
_STEPS: tuple[tuple[re.Pattern[str], str, Literal["started", "done"]], ...] = tuple(
    (re.compile(pattern), step, status)  # type: ignore[misc]
    for pattern, step, status in (
        (r"Resolved architecture", "resolving", "done"),
        (r"Resolved architecture", "starting engine", "started"),
        (r"Starting to load model", "loading weights", "started"),
        (r"Loading weights took|Model loading took", "loading weights", "done"),
        (r"Starting torch\.compile|Using cache directory: .* torch\.compile", "compiling", "started"),
        (r"torch\.compile took", "compiling", "done"),
        (r"(?:Explicitly set|Auto set) .* for KV cache|Available KV cache memory", "KV cache", "started"),
        (r"KV cache size: ", "KV cache", "done"),
        (r"KV cache size: ", "warm-up", "started"),
        (r"Capturing (?:CUDA|cuda)\s*graphs?", "capturing graphs", "started"),
        (r"Graph capturing finished", "capturing graphs", "done"),
        (r"init engine \(profile", "warm-up", "done"),
        (r"Starting vLLM server on", "ready", "started"),
        (r"Application startup complete", "ready", "done"),
    )
)


@dataclass(frozen=True)
class Step:
    """A sub-phase of the start-up began or ended."""

    name: str
    status: Literal["started", "done"]


def calmed(line: str) -> str:
    """A line of vLLM with a meaningless warning changed to information: each weight update looks for rotary
    tables, which are computed and in no checkpoint, warns that there are none, and keeps the old ones."""
    if not _ROTARY.search(line):
        return line
    return line.replace(" WARNING ", " INFO ", 1) + " (they are computed, and stay)"


class LogReader:
    """Reads the log of one server: `feed` it every line, in order."""

    def __init__(self, setting: Setting) -> None:
        self._setting = setting
        self.step = ""
        """The current sub-phase; "" between two of them and once the server is ready."""
        self.ready = False
        self.dying = False
        """Whether the log shows that a server that was ready cannot go on."""
        self._opened: set[str] = set()
        self._causes: list[tuple[str, bool]] = []
        self._replaces = False
        self._tail: deque[str] = deque(maxlen=3)

    def feed(self, line: str) -> list[Step]:
        """Read a line; returns the sub-phases that it begins and ends."""
        process, text = _split_prefix(line)
        self._look_for_cause(text, from_engine=process not in ("", "APIServer"))
        if not _NOISE.match(text):
            self._tail.append(text.strip())
        if self.ready:
            return []
        steps = [] if self._opened else self._open("resolving")
        return steps + [step for pattern, *to in _STEPS if pattern.search(text) for step in self._move(*to)]

    def mark_ready(self) -> list[Step]:
        """Call it when the server answers; returns the sub-phases that this ends."""
        return [] if self.ready else self._move("ready", "done")

    def failure(self, exit_code: int | None, requested: bool = False) -> Diagnosis | None:
        """Why the server died; None where its end was requested. `exit_code` None: it hangs."""
        if requested:
            return None
        return diagnose(self._cause(), list(self._tail), exit_code, self._setting, running=self.ready)

    @property
    def last(self) -> str:
        """The last line that is not noise."""
        return self._tail[-1] if self._tail else ""

    # --- sub-phases --------------------------------------------------------------------------------

    def _move(self, name: str, status: str) -> list[Step]:
        moved = self._open(name) if name not in self._opened else []
        if status == "done" and self.step == name:
            moved += self._close()
        if name == "ready" and status == "done":
            self.ready = True
            self._causes.clear()  # earlier errors did not keep it from starting
        return moved

    def _open(self, name: str) -> list[Step]:
        closed = self._close()
        self._opened.add(name)
        self.step = name
        return [*closed, Step(name, "started")]

    def _close(self) -> list[Step]:
        closed, self.step = self.step, ""
        return [Step(closed, "done")] if closed else []

    # --- causes ------------------------------------------------------------------------------------

    def _cause(self) -> str:
        """The most likely cause: known ones before unknown ones, the engine's before the server's."""
        engine = [cause for cause, from_engine in self._causes if from_engine]
        causes = engine or [cause for cause, _ in self._causes]
        if not engine:
            causes.reverse()  # the server's last exception ended it; the engine's first caused the others
        return next(filter(is_known, causes), causes[0] if causes else "")

    def _look_for_cause(self, text: str, from_engine: bool) -> None:
        if _FATAL in text or _DIED.search(text):
            self.dying = self.ready
        self._replaces |= _CHAINED in text
        if not self._may_name_it(text):
            return
        if self._replaces and self._causes:
            self._causes.pop()
        relayed = _RELAYED.search(text)
        cause: str = relayed["text"] if relayed else text.strip()
        self._causes.append((cause[:LONGEST], from_engine))
        self._replaces = bool(_HEADLINE.search(text))  # pydantic's explanation is on the next line

    def _may_name_it(self, text: str) -> bool:
        if _SAYS_NOTHING.search(text):
            return False
        # A server that is ready also logs exceptions for bad requests, which do not end it.
        if self.ready and not self.dying:
            return False
        named = _EXCEPTION.match(text) or _USAGE.match(text) or text.startswith("  Value error, ")
        return bool(named or _DIED.search(text))


def _split_prefix(line: str) -> tuple[str, str]:
    """The process in a line's prefix ("" without one), and the rest."""
    prefixed = _PREFIX.match(line)
    return (prefixed["process"], prefixed["text"]) if prefixed else ("", line)

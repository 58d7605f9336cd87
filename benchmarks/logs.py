"""The log pane against its budgets: taking in a burst, opening 100 MB, memory, search against grep.

Everything runs headless over a file that is made for it, Textual's own Log and RichLog beside it. How
quickly keys answer meanwhile is `log_keys.py`'s. Run with the light client's Python:
`.venv/bin/python -m benchmarks.logs`; `ingest`, `open`, `memory` or `search` behind it runs one part.
"""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from textual.app import App, ComposeResult
from textual.widget import Widget

from benchmarks.common import PROJECT, machine, spread, verdict
from tui.store.logs.log_file import LogFile
from tui.store.logs.query import LogQuery
from tui.store.logs.search import LogMatches
from tui.widgets.logs.pane import LogPane

LINES = 1_000_000
ROUNDS = 5
PATTERNS = (
    ("few", "step 999999 "),
    ("some", r"loss=0\.99"),
    ("all", "request"),
    ("ignoring case", "(?i)ERROR|fatal|traceback"),
    ("class", "[a-z]+ 77777 "),
)


def line(number: int) -> str:
    """A line as vLLM and the trainer write them: about 100 bytes."""
    source = ("vllm", "train", "env", "worker")[number % 4]
    level = "ERROR" if number % 5000 == 0 else "INFO"
    return (
        f"[{source}] {level} 11-22 20:22:{number % 60:02d} [core.py:{number % 900}] step {number} "
        f"loss={number % 977 / 977:.4f} tokens/s {number % 5003} request finished"
    )


def chunks(count: int, size: int) -> Iterator[list[str]]:
    """So many lines, `size` at a time."""
    for start in range(0, count, size):
        yield [line(number) for number in range(start, min(start + size, count))]


class Host(App[None]):
    """An app of one widget."""

    def __init__(self, widget: Callable[[], Widget]) -> None:
        super().__init__()
        self._widget = widget

    def compose(self) -> ComposeResult:
        """The widget alone."""
        yield self._widget()


async def reached(condition: Callable[[], bool]) -> None:
    """Look every millisecond."""
    while not condition():
        await asyncio.sleep(0.001)


def shows(app: App[None], text: str) -> Callable[[], bool]:
    """Whether the pane's last row holds a text."""
    view = app.query_one(LogPane).view
    return lambda: text in view.render_line(view.size.height - 1).text


async def ingest_pane(count: int) -> float:
    """Lines a second, from the first byte appended to the last line drawn."""
    data = [("\n".join(part) + "\n").encode() for part in chunks(count, 10_000)]
    with tempfile.TemporaryDirectory() as folder:
        log_file = LogFile(Path(folder) / "stream.log")
        app = Host(lambda: LogPane(log_file))
        async with app.run_test(size=(120, 40)) as pilot:
            await pilot.pause()
            pane = app.query_one(LogPane)

            def write() -> None:
                with log_file.path.open("ab", buffering=0) as file:
                    for piece in data:
                        file.write(piece)
                        app.call_later(pane.log_grew)

            began = time.perf_counter()
            writer = threading.Thread(target=write)
            writer.start()
            await reached(lambda: len(pane.view.rows) == count)
            await reached(shows(app, f"step {count - 1} "))
            taken = time.perf_counter() - began
            writer.join()
        log_file.close()
    return count / taken


async def ingest_log(count: int) -> float:
    """Lines a second of Textual's `Log.write_lines`, a thousand at a time."""
    from textual.widgets import Log

    app, data = Host(Log), list(chunks(count, 1000))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        log, began = app.query_one(Log), time.perf_counter()
        for part in data:
            log.write_lines(part)
            await asyncio.sleep(0)
        await pilot.pause()
        return count / (time.perf_counter() - began)


async def ingest_rich_log(count: int) -> float:
    """Lines a second of Textual's `RichLog.write`."""
    from textual.widgets import RichLog

    app, data = Host(RichLog), list(chunks(count, 100))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        log, began = app.query_one(RichLog), time.perf_counter()
        for part in data:
            for text in part:
                log.write(text)
            await asyncio.sleep(0)
        await pilot.pause()
        return count / (time.perf_counter() - began)


def ingest(_: Path) -> None:
    """A burst, interleaved with Textual's own widgets."""
    ways: dict[str, tuple[Callable[[int], Awaitable[float]], int]] = {
        "log pane": (ingest_pane, LINES),
        "Textual Log.write_lines": (ingest_log, 100_000),
        "Textual RichLog.write": (ingest_rich_log, 3_000),
    }
    rates: dict[str, list[float]] = {name: [] for name in ways}
    for _round in range(3):
        for name, (way, count) in ways.items():
            rates[name].append(asyncio.run(_rate(way, count)))
    for name, found in rates.items():
        print(f"ingest, {name}: {spread(found, 'lines/s')}")
    print(verdict("ingest, 200,000 / log pane", 200_000 / median(rates["log pane"]), 1))
    log = median(rates["Textual Log.write_lines"])
    print(f"ingest, log pane / Log.write_lines: {median(rates['log pane']) / log:.1f}")


async def _rate(way: Callable[[int], Awaitable[float]], count: int) -> float:
    return await way(count)


@dataclass(frozen=True)
class Opened:
    """Seconds from putting a pane up."""

    tail: float
    """Until the last lines were painted."""
    loop: float
    """Processor time of the event loop's thread until then."""
    whole: float
    """Until all lines were there."""


async def open_pane(path: Path) -> Opened:
    """Put a pane up in an app that runs."""
    log_file = LogFile(path)
    app: App[None] = App()
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        gc.collect()  # what is left of the app before is not this pane's
        began, loop = time.perf_counter(), time.thread_time()
        pane = LogPane(log_file)
        await app.mount(pane)
        await reached(lambda: len(pane.view.rows) > 0)
        painted = asyncio.Event()
        pane.call_after_refresh(painted.set)
        await painted.wait()
        tail, loop = time.perf_counter() - began, time.thread_time() - loop
        if not shows(app, f"step {LINES - 1} ")():
            sys.exit("what was painted is not the end of the log")
        await reached(lambda: len(pane.view.rows) == LINES)
        whole = time.perf_counter() - began
    log_file.close()
    return Opened(tail, loop, whole)


def opening(path: Path) -> None:
    """The tail at once, then the index."""
    asyncio.run(open_pane(path))
    found = [asyncio.run(open_pane(path)) for _ in range(2 * ROUNDS)]
    tails = [opened.tail for opened in found]
    index = []
    for _ in range(ROUNDS):
        log_file, began = LogFile(path), time.perf_counter()
        log_file.refresh()
        index.append(time.perf_counter() - began)
        log_file.close()
    print(f"open {path.stat().st_size / 1e6:.0f} MB, tail painted after: {spread(tails)}")
    print(f"open, of that the loop's processor time: {spread([opened.loop for opened in found])}")
    print(f"open, all lines there after: {spread([opened.whole for opened in found])}")
    print(f"index: {spread(index)}")
    print(verdict("open, tail / 50 ms", median(tails) / 0.05, 1))
    print(verdict("index / 300 ms", median(index) / 0.3, 1))


async def use_pane(path: Path) -> int:
    """Resident bytes of a process that opened a log, scrolled all over it, and searched it."""
    app = Host(lambda: LogPane(LogFile(path)))
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        pane = app.query_one(LogPane)
        await reached(lambda: pane.log_file.lines > 0 and len(pane.view.rows) == pane.log_file.lines)
        pane.view.focus()
        for row in range(0, pane.log_file.lines, max(1, pane.log_file.lines // 200)):
            pane.view.go_to(row)
            await asyncio.sleep(0)
        pane.search("error|fatal")
        await reached(lambda: pane.view.cursor == 0 or pane.view.line is not None)
        await app.workers.wait_for_complete([w for w in app.workers if w.group == "log-go"])
        await pilot.press("end")
    fields = Path("/proc/self/status").read_text().split()
    return int(fields[fields.index("VmRSS:") + 1]) * 1024


def memory(path: Path) -> None:
    """A million lines against a hundred, each in a process of its own."""
    small = path.with_name("small.log")
    small.write_bytes(b"".join(path.open("rb").readlines(20_000)[:100]))
    used: dict[Path, list[float]] = {small: [], path: []}
    for _ in range(3):
        for log, found in used.items():
            command = [sys.executable, "-m", "benchmarks.logs", "use", str(log)]
            done = subprocess.run(command, check=True, cwd=PROJECT, capture_output=True, text=True)
            found.append(int(done.stdout.split()[-1]) / 1e6)
    print(f"memory, 100 lines: {spread(used[small], 'MB')}; {LINES:,} lines: {spread(used[path], 'MB')}")
    more = median(used[path]) - median(used[small])
    print(verdict(f"memory, {more:.1f} MB more / 25 MB", more / 25, 1))


async def scan_with_lag(path: Path, pattern: str) -> tuple[float, float, int]:
    """Seconds of a search off the loop, how late the loop was meanwhile at worst, and hits."""
    log_file = LogFile(path)
    log_file.refresh()
    matches = LogMatches(log_file, LogQuery(None, (pattern,)))
    taken, late = await lateness(asyncio.to_thread(matches.scan))
    log_file.close()
    return taken, late, len(matches)


async def lateness(work: Awaitable[object]) -> tuple[float, float]:
    """Seconds that some work takes, and how late the loop was meanwhile at worst."""
    late, done = 0.0, asyncio.Event()

    async def tick() -> None:
        nonlocal late
        while not done.is_set():
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            late = max(late, time.perf_counter() - began - 0.001)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    began = time.perf_counter()
    await work
    taken = time.perf_counter() - began
    done.set()
    await ticking
    return taken, late


def grep(path: Path, pattern: str) -> tuple[float, int]:
    """Seconds and hits of `grep -cE`, with `-i` where the pattern ignores case as ours does."""
    plain = pattern.removeprefix("(?i)")
    flags = "-ciE" if plain != pattern or pattern == pattern.lower() else "-cE"
    began = time.perf_counter()
    done = subprocess.run(["grep", flags, plain, str(path)], capture_output=True, text=True)
    return time.perf_counter() - began, int(done.stdout)


def search(path: Path) -> None:
    """Patterns that match few, many and all lines."""
    asyncio.run(scan_with_lag(path, "request"))
    lates: list[float] = []
    idle: list[float] = []
    for name, pattern in PATTERNS:
        ours: list[float] = []
        greps: list[float] = []
        for _ in range(ROUNDS):
            taken, late, hits = asyncio.run(scan_with_lag(path, pattern))
            seconds, count = grep(path, pattern)
            if hits != count:
                sys.exit(f"{pattern}: {hits} lines, and grep says {count}")
            ours.append(taken)
            greps.append(seconds)
            lates.append(late)
            idle.append(asyncio.run(lateness(asyncio.sleep(taken)))[1])
        print(f"search, {name} ({hits:,} hits): {spread(ours)}; grep: {spread(greps)}")
        print(verdict(f"search, {name}, pane / grep", median(ours) / median(greps), 3))
    print(f"search, loop late at worst: {spread(lates)}; with nothing to do: {spread(idle)}")
    print(verdict("search, loop late / 25 ms", median(lates) / 0.025, 1))


PARTS = {"ingest": ingest, "open": opening, "memory": memory, "search": search}


def main() -> None:
    """Make the file, and run the parts that are asked for."""
    if sys.argv[1:2] == ["use"]:
        print(asyncio.run(use_pane(Path(sys.argv[2]))), flush=True)
        os._exit(0)
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stream.log"
        with path.open("w") as file:
            for part in chunks(LINES, 10_000):
                file.write("\n".join(part) + "\n")
        for name in sys.argv[1:] or PARTS:
            PARTS[name](path)


if __name__ == "__main__":
    main()

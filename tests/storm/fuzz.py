"""Odd inputs: what users, runs and networks hand over, mutated at random.

Each target takes any input and either succeeds or refuses in its own words (`VfmError`, pydantic's and YAML's
errors where its callers catch them); any other exception is a violation, with the input that makes it again.
"""

from __future__ import annotations

import json
import random
import string
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from remote.contract import layout
from remote.contract.errors import VfmError
from remote.contract.events import MetricsEvent, PhaseEvent, RolloutEvent, encode_line
from remote.contract.json_text import from_json, to_json
from remote.contract.log_frames import Frame, FrameReader, encode_frame
from remote.contract.record import RunRecord
from remote.contract.redaction import Redactor
from tests.backends.conftest import PROJECT, request
from tests.storm.report import Report
from tui.config.overrides import parse_one
from tui.config.resolve import resolve
from tui.config.yaml_edit import edit
from tui.store.charts.series import Metrics
from tui.store.logs.log_file import LogFile
from tui.store.logs.query import LogQuery
from tui.store.logs.stream import events_of, split_lines
from tui.store.runs.filter import parse_filter
from tui.store.runs.row import RunRow
from tui.store.runs.state import RunState
from tui.text import format
from tui.widgets.logs.ansi import plain_line, read_terminal

ODD = (
    *("\0", "\x1b[31m", "\x1b]0;x\x07", "\x1e", "\r", "\n", "\t", "\u202e", "\ud800", "世", "👨\u200d👩"),
    *("{", "}", "[", "]", ":", ",", "&a", "*a", "!!python/object:os.system", "|", ">", "- ", "? ", "#", "'"),
    *("null", "true", "1e999", "-0", "0x1f", ".inf", ".nan", "NaN", "1" * 400, "[" * 300, '{"a":' * 300),
    *("\\", "..", "/", "~", "=", "%s", "${x}", "\u2028", "\x85", "--set", " ", '"', "é"),
)
ROW = RunRow("k3f9x-wordle", status="running", environment="vf_wordle", created=1e9, reward=0.5)


async def storm(rng: random.Random, deadline: float, home: Path, report: Report) -> None:
    """Input after input until the deadline (`time.monotonic`)."""
    home.mkdir(parents=True, exist_ok=True)
    fuzz = Fuzz(rng, home)
    while time.monotonic() < deadline:
        for target in fuzz.targets:
            try:
                target()
            except (VfmError, ValidationError):
                pass  # refused, in words
            except Exception as error:
                what = f"{target.__name__}: {type(error).__name__}: {error}"
                report.violate("unforeseen errors", f"{what} of {fuzz.made[:300]!r}")
            report.add("inputs")


class Fuzz:
    """The targets, and what they are fed with."""

    def __init__(self, rng: random.Random, home: Path) -> None:
        self._rng, self._home = rng, home
        self.made = ""
        """The last input."""
        self._configs = [path.read_text() for path in sorted((PROJECT / "configs").glob("*.yaml"))]
        record = RunRecord.of(request()).model_dump_json()
        events = (
            PhaseEvent(phase="train", status="started"),
            MetricsEvent(step=1, values={"reward": 0.5, "loss": float("nan")}),
            RolloutEvent(step=1, task="t", messages=[{"role": "user"}], rewards={}, reward=1.0),
        )
        self._record = record
        self._stream = "".join(f"{encode_line(event)}\n[train] a line\n" for event in events)
        self.targets: tuple[Callable[[], None], ...] = (
            *(self.config, self.override, self.stream, self.frames, self.log_file, self.run_filter),
            *(self.log_query, self.names, self.record, self.terminal, self.yaml, self.json, self.redaction),
        )

    def mutated(self, text: str) -> str:
        """The text with some of it removed, repeated or replaced by something odd."""
        for _ in range(self._rng.choice((1, 1, 2, 3, 8))):
            at = self._rng.randrange(len(text) + 1)
            length = self._rng.randrange(0, 20)
            new = self._rng.choice((self._rng.choice(ODD), "", text[at : at + length] * 2, self._words()))
            text = text[:at] + new + text[at + self._rng.randrange(0, length + 1) :]
        self.made = text
        return text

    def _words(self) -> str:
        return "".join(self._rng.choices(string.printable, k=self._rng.randrange(12)))

    def config(self) -> None:
        """A config file is read and resolved, or refused with file and line."""
        path = self._home / "fuzzed.yaml"
        path.write_bytes(self.mutated(self._rng.choice(self._configs)).encode(errors="surrogatepass"))
        resolve(path)

    def override(self) -> None:
        """Words after `--set`, and what they are spelt as."""
        text = self.mutated(self._rng.choice(("training.steps=3", "training.environment_args.x={a: [1, 2]}")))
        override = parse_one(text)
        assert parse_one(override.argument).argument == override.argument
        resolve(None, [text])

    def stream(self) -> None:
        """A stream's bytes: lines, events, state and numbers."""
        data = self.mutated(self._stream).encode(errors="replace")
        state, metrics = RunState(), Metrics()
        for event in events_of(split_lines(data)):
            state.add(event)
            metrics.add(event)
        metrics.rows()
        state.eta(100)

    def frames(self) -> None:
        """A container's output with frames in it: what is not whole is not given."""
        sent = [Frame(1, n * 10, self._rng.randbytes(10)) for n in range(4)]
        reader = FrameReader()
        found = reader.feed(self.mutated("".join(map(encode_frame, sent))) + "\nx\n")
        assert all(frame in sent for frame in found if isinstance(frame, Frame))

    def log_file(self) -> None:
        """A log file on disk: every byte of it is some line's."""
        data = self.mutated(self._stream * self._rng.randrange(1, 4)).encode(errors="replace")
        path = self._home / "fuzzed.log"
        path.write_bytes(data)
        log_file = LogFile(path)
        try:
            before = -1
            while (found := log_file.refresh(over=True)) != before:
                before = found
            count = len(log_file.read(0, 10_000))
            assert count <= data.count(b"\n") + 1
            for line in log_file.read(0, 100):
                assert isinstance(line.text, str)
        finally:
            log_file.close()

    def run_filter(self) -> None:
        """The runs table's filter line."""
        parse_filter(self.mutated('status:running reward>0.5 -env:wordle "two words" age<3d')).matches(
            ROW, 1e9
        )

    def log_query(self) -> None:
        """The log's filter: a pattern of RE2's language."""
        LogQuery(None).also(self.mutated(r"(?i)step \d+/[0-9]{1,3}(a|b)*$")).matches_text(
            b"[train] step 3/10\n"
        )

    def names(self) -> None:
        """Names of volumes, apps and people."""
        name = self.mutated("alice-1")
        layout.outputs_volume(layout.safe_name(name)[:20].strip("-._") or "x", "first")
        format.named(name)
        format.escape_controls(name)
        layout.outputs_volume(name, "first")

    def record(self) -> None:
        """A run's record, and how a list shows it."""
        record = RunRecord.model_validate_json(self.mutated(self._record).encode(errors="replace"))
        format.moment(record.created)
        format.moment(record.started)
        record.model_dump_json()

    def terminal(self) -> None:
        """A line of a log as a terminal gets it: nothing in it acts."""
        text = self.mutated("loading \x1b[32mweights\x1b[0m 10%\r20%\ttabs").replace("\n", "")
        read_terminal(text)
        assert not any(char < " " or char == "\x7f" for char in plain_line(text))

    def yaml(self) -> None:
        """A value put into a config and taken out again."""
        text = self.mutated(self._rng.choice(self._configs))
        key = ("training", self._rng.choice(("steps", "environment", "seed")))
        new = edit(text, [(key, self._rng.choice((3, "x: y", None, 1e-6)))])
        edit(new, gone=[key])

    def json(self) -> None:
        """JSON of anybody's."""
        try:
            value = from_json(self.mutated(self._record))
        except ValueError:
            return
        json.loads(to_json(value))

    def redaction(self) -> None:
        """A secret in any surroundings."""
        secret = "".join(self._rng.choices(string.ascii_letters + string.digits, k=24))
        text = self.mutated(self._stream)
        at = self._rng.randrange(len(text) + 1)
        clean = Redactor({"MY_KEY": secret}).text(text[:at] + secret + text[at:])
        assert secret not in clean
        assert secret[:16] not in clean

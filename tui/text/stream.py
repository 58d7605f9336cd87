"""A run's stream as lines for people: log lines made safe, events in a few words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from remote.contract import events as ev
from tui.store.episodes.scores import EPISODES, FAILED
from tui.store.logs.event_text import event_line
from tui.store.logs.stream import LastSeq
from tui.text.format import colourless, duration, number, plain, scores_line, visible

_FIRST = ("reward", "eval/total", "eval/solved", "loss", "kl", "entropy", "grad_norm")
_MOST = 5


class StreamText:
    """Turns a stream into lines for people, one after another.

    With `source`, only the log lines of that source are shown, and no events.
    """

    def __init__(self, source: str | None = None, *, colours: bool = True) -> None:
        self.failure: ev.FailureEvent | None = None
        self.end: ev.EndEvent | None = None
        self._source = source
        self._visible = visible if colours else colourless
        self._metrics_event: ev.MetricsEvent | None = None
        """Metrics not shown yet: a log line may say the same."""
        self._seq = LastSeq()
        self._steps = 0.0
        self._began: dict[str, float] = {}
        self._shown: dict[str, tuple[float, float]] = {}

    def lines(self, line: str) -> list[str]:
        """The lines to print for a line of the stream: often one, sometimes none."""
        decoded = ev.decode_line(line)
        if isinstance(decoded, str):
            return self._text(decoded)
        if self._seq.repeats(decoded):
            return []
        if isinstance(decoded, ev.MetricsEvent):
            before, self._metrics_event = self.flush(), decoded
            return before
        text = self._event(decoded)
        return [] if self._source or text is None else [*self.flush(), plain(text)]

    def flush(self) -> list[str]:
        """The metrics held back; call it when no more lines are at hand."""
        event, self._metrics_event = self._metrics_event, None
        return [] if event is None or self._source else [plain(self._metrics(event))]

    def _text(self, line: str) -> list[str]:
        source, text = ev.split_source(line)
        if self._source:
            return [self._visible(line)] if source == self._source else []
        # Trainers tend to print a step's metrics right after the event: once is enough.
        if (
            self._metrics_event is not None
            and source == "train"
            and f"step {self._metrics_event.step}" in text
        ):
            self._metrics_event = None
        return [*self.flush(), self._visible(line)]

    def _event(self, event: ev.Event) -> str | None:
        texts: dict[type[ev.Event], Callable[[Any], str | None]] = {
            ev.PhaseEvent: self._phase,
            ev.ProgressEvent: self._progress,
            ev.CheckpointEvent: event_line,
            ev.FailureEvent: self._remember_failure,
            ev.EndEvent: self._remember_end,
            ev.AttemptEvent: self._attempt,
            ev.RestartEvent: event_line,
        }
        text = texts.get(type(event))
        return None if text is None else text(event)

    def _phase(self, event: ev.PhaseEvent) -> str | None:
        name = event.phase if event.detail is None else f"{event.phase} · {event.detail}"
        if event.status == "started":
            self._began[name] = event.t
            return f"▶ {name}"
        if event.status == "failed":
            return f"✗ {name}"
        # The end of a sub-phase shows as the beginning of the next one.
        began = self._began.get(name) or self._began.get(event.phase)
        if name != event.phase and name in self._began:
            return None
        return f"✓ {name}" + ("" if began is None else f" · {duration(event.t - began)}")

    def _progress(self, event: ev.ProgressEvent) -> str | None:
        if event.what == "steps":
            self._steps = event.total
            return None
        share = event.done / event.total if event.total else 0.0
        shown_at, shown_share = self._shown.get(event.what, (float("-inf"), -1.0))
        complete = event.total and event.done >= event.total
        if not complete and event.t - shown_at < 2 and share - shown_share < 0.1:
            return None
        self._shown[event.what] = (event.t, share)
        of = f"/{number_of(event.total)}" if event.total else ""
        return f"  {number_of(event.done)}{of} {event.what}"

    def _metrics(self, event: ev.MetricsEvent) -> str:
        if EPISODES in event.values:
            return f"  {scores_line(event.values)} · {_episodes(event)}"
        of = f"/{self._steps:.0f}" if self._steps else ""
        return f"step {event.step}{of} " + " · ".join(
            f"{k} {number(v)}" for k, v in main_metrics(event.values)
        )

    def _attempt(self, event: ev.AttemptEvent) -> str:
        """Forget the attempt before."""
        self.failure = self.end = None
        self._began.clear()
        self._shown.clear()
        return event_line(event)

    def _remember_failure(self, event: ev.FailureEvent) -> None:
        self.failure = event

    def _remember_end(self, event: ev.EndEvent) -> None:
        self.end = event


def _episodes(event: ev.MetricsEvent) -> str:
    failed = event.values.get(FAILED, 0.0)
    return f"{number_of(event.step)} episodes" + (f", {number_of(failed)} failed" if failed else "")


def main_metrics(values: dict[str, float]) -> list[tuple[str, float]]:
    """The few metrics that fit on a line: the best known ones, or else the first."""
    known = [name for name in _FIRST if name in values]
    others = [name for name in values if name not in known]
    return [(name, values[name]) for name in [*known, *([] if known else others)][:_MOST]]


def number_of(count: float) -> str:
    """A count, without decimals where it is whole."""
    return f"{count:,.0f}" if float(count).is_integer() else number(count)

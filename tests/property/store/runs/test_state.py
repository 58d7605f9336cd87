"""The fold gives the same state however its events arrive."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from remote.contract.events import (
    AnyEvent,
    CheckpointEvent,
    EndEvent,
    FailureEvent,
    MetricsEvent,
    PhaseEvent,
    ProgressEvent,
    RolloutEvent,
    SystemEvent,
    encode_line,
    from_dict,
)
from tui.store.charts.series import Metrics
from tui.store.logs.stream import events_of, split_lines
from tui.store.runs.state import RunState

words = st.text(max_size=8)
numbers = st.floats(allow_nan=False, width=32)
times = st.floats(0, 4e9)
counts = st.floats(-1e9, 1e9)
steps = st.integers(0, 20)
values = st.dictionaries(st.sampled_from(["reward", "loss", "kl"]), numbers, max_size=3)
statuses = st.sampled_from(["started", "done", "failed"])
kinds = st.one_of(
    st.builds(PhaseEvent, phase=words, status=statuses, detail=st.none() | words, t=times),
    st.builds(ProgressEvent, done=counts, total=counts, what=words, t=times),
    st.builds(MetricsEvent, step=steps, values=values, t=times),
    st.builds(
        RolloutEvent, step=steps, task=words, messages=st.just([]), rewards=values, reward=numbers, t=times
    ),
    st.builds(CheckpointEvent, step=steps, path=words, t=times),
    st.builds(SystemEvent, values=values, t=times),
    st.builds(FailureEvent, boundary=words, cause=words, message=words, t=times),
    st.builds(EndEvent, status=words, exit_code=steps, t=times),
    st.builds(lambda t: from_dict({"v": 9, "type": "later", "t": t}), times),
)


def renumbered(event: AnyEvent, seq: int) -> AnyEvent:
    """The event as it is read back with that number."""
    [found] = events_of([encode_line(event)])
    object.__setattr__(found, "seq", seq)
    if hasattr(found, "data"):
        found.data["seq"] = seq
    return found


numbered = st.lists(kinds, max_size=30).map(lambda found: [renumbered(e, n) for n, e in enumerate(found)])


@given(numbered, st.data())
def test_events_that_come_again_change_nothing(events: list[AnyEvent], data: st.DataObject) -> None:
    seen: list[AnyEvent] = []
    for number, event in enumerate(events):
        seen.append(event)
        back = data.draw(st.integers(0, min(5, number)), label="follow again from")
        seen.extend(events[number - back : number + 1])
    assert RunState().add_all(seen) == RunState().add_all(events)
    assert Metrics(seen).rows() == Metrics(events).rows()


@given(numbered, st.integers(0, 10_000))
def test_a_torn_tail_costs_at_most_its_own_event(events: list[AnyEvent], end: int) -> None:
    lines = [f"{encode_line(event)}\n".encode() for event in events]
    data = b"".join(lines)[:end]
    found = events_of(split_lines(data))
    whole, size = 0, 0
    for line in lines:
        size += len(line)
        whole += size - 1 <= len(data)  # the newline itself may be torn off
    assert RunState().add_all(found) == RunState().add_all(events[:whole])


@given(numbered, st.sets(st.integers(0, 29)))
def test_gaps_are_tolerated(events: list[AnyEvent], lost: set[int]) -> None:
    kept = [event for event in events if event.seq not in lost]
    state = RunState().add_all(kept)
    assert state.last_seq == max((event.seq for event in kept), default=-1)
    assert state.rollouts == sum(isinstance(event, RolloutEvent) for event in kept)
    assert state.eta(100) is None or state.eta(100) >= 0  # type: ignore[operator]

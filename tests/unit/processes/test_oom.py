"""Memory is blamed for a kill where a counter of the kernel's says so: files as the kernel lays them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote.processes.oom import OomWatch, kills, who_killed

EVENTS = "low 0\nhigh 0\nmax 3\noom 1\noom_kill {}\noom_group_kill 0\n"
CONTROL = "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n"
LAYOUTS = [
    ("0::/user.slice/session-3.scope", "sys/fs/cgroup/user.slice/session-3.scope/memory.events", EVENTS),
    ("0::/\n4:memory:/pods/a", "sys/fs/cgroup/memory/pods/a/memory.oom_control", CONTROL),
    ("0::/elsewhere/on/the/host", "sys/fs/cgroup/memory.events", EVENTS),
    ("4:cpu,memory:/elsewhere", "sys/fs/cgroup/memory/memory.oom_control", CONTROL),
    ("", "proc/vmstat", "pgfault 7\noom_kill {}\n"),
]


@pytest.mark.parametrize(("group", "counter", "text"), LAYOUTS)
def test_a_counter_that_goes_up_is_evidence(tmp_path: Path, group: str, counter: str, text: str) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/self").mkdir()
    (tmp_path / "proc/self/cgroup").write_text(group)
    file = tmp_path / counter
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text.format(4))
    assert kills(tmp_path) == 4
    watch = OomWatch(tmp_path)
    assert watch.killed() is False
    file.write_text(text.format(5))
    assert watch.killed() is True
    file.unlink()
    assert watch.killed() is None


def test_a_system_without_counters_tells_nothing(tmp_path: Path) -> None:
    assert OomWatch(tmp_path).killed() is None


def test_the_words_differ() -> None:
    assert len({who_killed(seen) for seen in (True, False, None)}) == 3

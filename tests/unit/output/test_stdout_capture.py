"""Lines of libraries become lines of the stream."""

from __future__ import annotations

import os
import threading

from remote.output import stdout_capture


def heard(data: bytes) -> list[str]:
    read, write = os.pipe()
    lines: list[str] = []
    thread = threading.Thread(target=stdout_capture.pump, args=(os.fdopen(read, "rb"), lines.append))
    thread.start()
    with open(write, "wb") as out:
        out.write(data)
    thread.join(10)
    assert not thread.is_alive()
    return lines


def test_lines_pass_whole_and_in_order() -> None:
    assert heard(b"one\n\ntwo\nlast without newline") == ["one", "", "two", "last without newline"]


def test_a_progress_bar_ends_as_its_last_state() -> None:
    lines = heard(b"10%\r50%\r100%\ndone\n")
    assert lines[-2:] == ["100%", "done"]
    assert len(lines) <= 3


def test_invalid_utf8_is_shown_not_lost() -> None:
    assert heard(b"a\xffb\n") == ["a�b"]


def test_a_bar_that_never_ends_does_not_pile_up() -> None:
    bar = b"".join(b"%d%%\r" % i for i in range(100_000))
    lines = heard(bar)
    assert lines[-1] == "99999%"
    assert len(lines) < 200

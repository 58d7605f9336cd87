"""Where the project runs, and what is said elsewhere."""

from __future__ import annotations

import sys

import pytest

from remote.contract.platforms import unsupported


@pytest.mark.parametrize(
    ("platform", "version", "said"),
    [
        ("linux", (3, 11, 7), ""),
        ("darwin", (3, 12, 1), ""),
        ("linux", (3, 10, 14), "this is 3.10"),
        ("linux", (3, 13, 0), "this is 3.13"),
        ("win32", (3, 12, 1), "run it in WSL"),
    ],
)
def test_elsewhere_it_is_said_what_to_do(
    monkeypatch: pytest.MonkeyPatch, platform: str, version: tuple[int, int, int], said: str
) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setattr(sys, "version_info", version)
    assert said in unsupported()
    assert bool(unsupported()) is bool(said)

"""A short storm: the program of `make storm` with a smaller bound, each part a test of its own."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.storm.__main__ import storm
from tests.storm.report import VIOLATIONS, Report

SEED = 20
PARTS = [("kills", 0.8), ("network", 0.6), ("fuzz", 0.4), ("canaries", 0.1)]


@pytest.mark.parametrize(
    ("part", "minutes"), [("kills", 0.8), ("network", 0.6), ("fuzz", 0.4), ("canaries", 0.1)]
)
def test_it_holds(part: str, minutes: float, tmp_path: Path) -> None:
    report = asyncio.run(storm(minutes, SEED, tmp_path, part))
    assert report.held, report.text()
    assert report.counts["runs"] + report.counts["inputs"] > 0, "nothing was tried"


@pytest.mark.parametrize("what", VIOLATIONS)
def test_a_violation_is_told_and_ends_the_program_in_failure(what: str) -> None:
    report = Report(1)
    assert report.held
    report.violate(what, "there")
    assert not report.held
    assert f"{what}: there" in report.text()

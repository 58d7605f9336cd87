"""What every suite shares, those of the environments among them (`environments/<name>/tests`)."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest
from hypothesis import settings

from remote.evaluation.scripted_model import ScriptedModel

# A time limit for each example would fail on a slow moment, and say nothing about the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# A shell starts its background jobs deaf to SIGINT, and every process under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def model() -> Iterator[ScriptedModel]:
    """A server whose replies a test writes."""
    model = ScriptedModel()
    yield model
    model.close()

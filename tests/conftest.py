"""What every suite shares: how patient property tests are on a machine that is busy with other things."""

from __future__ import annotations

from hypothesis import settings

# A time limit for each example would fail on a slow moment, and say nothing about the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

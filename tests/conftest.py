"""What every suite shares: patience for property tests on a busy machine, and interrupts that arrive."""

from __future__ import annotations

import signal

from hypothesis import settings

# A time limit for each example would fail on a slow moment, and say nothing about the code.
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")

# A shell starts its background jobs deaf to SIGINT, and every process under test would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

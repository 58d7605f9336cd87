"""Exit codes by which a worker, and a supervisor in a container, tell how they ended. 0: the run is done."""

from __future__ import annotations

FAILED = 1
INTERRUPTED = 75
"""The attempt is over, the run is not: another attempt continues it (EX_TEMPFAIL of sysexits.h)."""
SERVER_LOST = 76
"""Of a worker: vLLM was restarted `vllm.restarts` times in vain, and another attempt may follow."""
TIMED_OUT = 124
"""As timeout(1) has it."""
CANCELLED = 143
"""As of a process that SIGTERM ended."""

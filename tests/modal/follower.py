"""A program that watches a run, for tests to kill: `follower.py HOME ENV_FILE OUTPUTS RUN`."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tui.backends.modal.backend import ModalBackend


async def main() -> None:
    """Watch the run to its end."""
    home, env_file, outputs, run_id = sys.argv[1:]
    backend = ModalBackend(Path(home), Path(__file__).parents[2], {}, Path(env_file))
    [run] = [run for run in await backend.runs() if (run.outputs, run.run_id) == (outputs, run_id)]
    async for _ in backend.watch(run):
        pass


if __name__ == "__main__":
    asyncio.run(main())

"""A launcher in a process of its own, for tests to kill: `launcher.py REQUEST.json HOME ENV.json`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from remote.contract.record import LaunchRequest
from tui.backends.local.backend import LocalBackend


async def main() -> None:
    """Launch and follow, as `vfm launch` does; the first byte of output says that it is under way."""
    request = LaunchRequest.model_validate_json(Path(sys.argv[1]).read_bytes())
    env = json.loads(Path(sys.argv[3]).read_text())
    backend = LocalBackend(Path(sys.argv[2]), Path(__file__).parents[2], env)
    print("launching", flush=True)
    run = await backend.launch(request)
    print("launched", flush=True)
    async for batch in backend.follow(run):
        print(*batch.lines, sep="\n", flush=True)


if __name__ == "__main__":
    asyncio.run(main())

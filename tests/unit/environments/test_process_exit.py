"""An environment's code that ends its process: the call is named, and the process goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[3]
PROGRAM = """
import os, sys
from remote.environments.process_exit import keep_alive
keep_alive("vf_ends")
try:
    import vf_ends
    vf_ends.reward()
except SystemExit as error:
    print("went on:", error, flush=True)
if not (child := os.fork()):
    vf_ends.reward()
print("a child ended with", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
os._exit(7)
"""


@pytest.mark.parametrize(("call", "child"), [("os._exit(3)", 3), ("os.abort()", -6)])
def test_the_environments_own_call_raises_and_no_other_does(tmp_path: Path, call: str, child: int) -> None:
    (tmp_path / "vf_ends.py").write_text(f"import os\ndef reward():\n    {call}\n")
    env = {**os.environ, "PYTHONPATH": f"{PROJECT}:{tmp_path}"}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=env, capture_output=True, text=True)
    assert done.stdout.splitlines() == [
        f"went on: the environment's code called {call}, which ends the whole process",
        f"a child ended with {child}",
    ], done.stderr
    assert done.returncode == 7

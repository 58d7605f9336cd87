"""Make `vf_bfcl_single_turn/data` again from the wheel on PyPI, or see that it is unchanged.

    python environments/vf_bfcl_single_turn/vendor_data.py [--check]

Each file is the original's, byte for byte, in gzip; no other file of the package is taken. `--check`
writes nothing, and fails where a file's content is not the original's.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import original

PACKAGE = Path(__file__).parent / "vf_bfcl_single_turn"
sys.path.insert(0, str(PACKAGE.parent))

from vf_bfcl_single_turn.checker import CATEGORIES  # noqa: E402


def main(check: bool) -> int:
    wrong = 0
    with original.unpacked() as folder:
        for name in _names():
            source = folder / "bfcl_eval" / "data" / name
            if not source.is_file():
                continue  # irrelevance and relevance have no answers
            target = PACKAGE / "data" / f"{name}.gz"
            content = source.read_bytes()
            if not check:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(gzip.compress(content, 9, mtime=0))
            same = target.is_file() and gzip.decompress(target.read_bytes()) == content
            wrong += not same
            print(f"{'same' if same else 'DIFFERS':8}{len(content):>9} bytes  {name}")
    return 1 if wrong else 0


def _names() -> list[str]:
    files = [f"BFCL_v4_{category}.json" for category in CATEGORIES]
    return files + [f"possible_answer/{name}" for name in files]


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))

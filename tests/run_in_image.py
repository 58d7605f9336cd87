"""Runs pytest with the image's Python: `IMAGE_PYTHON tests/run_in_image.py FOLDER PYTEST_ARGUMENT…`.

FOLDER holds pytest and its plugins. It goes last on the path, so that the image's own packages win and
the image itself is never changed; processes that the tests start do not see it at all.
"""

from __future__ import annotations

import os
import sys


def main() -> int:
    """Lend the folder's packages to this process and run pytest; returns its exit code."""
    folder, arguments = sys.argv[1], sys.argv[2:]
    sys.path.append(os.path.abspath(folder))
    import pytest

    return int(pytest.main(arguments))


if __name__ == "__main__":
    sys.exit(main())

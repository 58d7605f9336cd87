"""PYTHONPATH of a run's programs: the folder that holds this `remote/`, then the project.

They may differ: a client that is installed runs projects that hold no `remote/`. The launcher decides which
`remote/` a run has, and what it starts hands the same one on.
"""

from __future__ import annotations

import os

import remote


def python_path(*folders: str) -> str:
    """The value of PYTHONPATH under which `remote` is this package, and the folders are searched after it."""
    return os.pathsep.join(dict.fromkeys((str(remote.PARENT), *folders)))

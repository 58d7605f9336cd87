"""Pin the environment's package to a version before a run is launched.

Owns the question, asked once per process and package, and the hint where the index has no such package. The
look-up runs as `remote.environments.pin`, which knows the training stack that a package has to fit.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from remote.contract.errors import EnvironmentMissing, Hint
from remote.contract.record import LaunchRequest
from tui.backends.programs import Program
from tui.planning.environments import KEY, spoken_names

_known: dict[tuple[str, str, str | None], dict[str, str]] = {}


def pinned(request: LaunchRequest, *, home: Path, project_dir: Path) -> LaunchRequest:
    """The request with a source that any machine can install from. Blocks for about a second.

    Raises `EnvironmentMissing` where the package index has no such package, cannot be reached, or has no
    version that fits the training stack.
    """
    source = request.environment_source
    if not source or (request.backend == "local" and Path(source).is_absolute()):
        return request
    found = look_up(source, request.backend, home, project_dir, request.spec.image.python)
    return request.model_copy(update={"environment_source": found["source"]})


def look_up(
    source: str, backend: str, home: Path, project_dir: Path, python: str | None = None
) -> dict[str, str]:
    """`{"source": …}` for `LaunchRequest.environment_source`. Raises as `pinned`."""
    key = (source, backend, python)
    if key in _known:
        return _known[key]
    program = Program("remote.environments.pin", home, project_dir)
    try:
        found = program.start({"source": source, "backend": backend, "home": str(home), "python": python})
    except EnvironmentMissing as error:
        raise _advised(error, source, project_dir) from None
    if not Path(source).is_absolute():  # a folder may change between two launches
        _known[key] = found
    return found


def _advised(error: EnvironmentMissing, source: str, project_dir: Path) -> EnvironmentMissing:
    if error.hint is not None:
        return error
    names = spoken_names(project_dir)
    bare = {name.removeprefix("vf-"): name for name in names}
    near = difflib.get_close_matches(source.lower().replace("_", "-").removeprefix("vf-"), bare, 1, 0.5)
    guess = f"did you mean {bare[near[0]]}? " if near else ""
    listing = f"there are: {', '.join(names)}" if names else "environments/ is empty"
    new = bare[near[0]] if near else None
    hint = Hint(f"{guess}{listing}; give a folder or a wheel by its path", key=KEY, old=source, new=new)
    return EnvironmentMissing(error.message, cause=error.cause, hint=hint)

"""Finds an environment by any of its names, and installs it where only this run sees it.

Owns names (`wordle` → `vf_wordle`), which overlay folder a run's environment lies in and whether it is
there already, and naming the user's line when an environment's code raises. Installing is
`environment_packages`', building the verifiers objects and playing episodes `rollouts`'.
"""

from __future__ import annotations

import difflib
import hashlib
import importlib
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from remote import environment_packages as packages
from remote.contract.errors import EnvironmentMissing, Hint
from remote.contract.models import module_names
from remote.contract.record import LaunchRequest
from remote.environment_packages import Say
from remote.environment_siblings import siblings

_KEYS = ".vfm-installed"  # folder of the overlay that notes what each package was installed from
_NOT_SOURCE = {"__pycache__", ".git", ".venv", "dist", "build", ".mypy_cache", ".pytest_cache", ".ruff_cache"}


@dataclass(frozen=True)
class Place:
    """Where a run's environment comes from, and where it is installed."""

    name: str
    """Its module, or what its distribution is called until it is installed."""
    source: str
    """A requirement, or the absolute path of a folder or wheel; empty: of the folder, or installed."""
    folder: Path
    """The project's `environments/`."""
    overlay: Path


def place(request: LaunchRequest) -> Place:
    """Where a run's environment is to be had. Raises `EnvironmentMissing` where it is nowhere."""
    folder, overlays = Path(request.project_dir, "environments"), Path(request.cache_dir, "environments")
    name, source = request.environment, request.environment_source
    if not source:
        module = resolve(name, folder)
        return Place(module, "", folder, overlays / module)
    if source.endswith(".whl"):
        source = str(Path(request.run_dir, source))
    # Two versions, or two folders of one name, are two environments: each has an overlay of its own.
    which = hashlib.sha256(source.encode()).hexdigest()[:10]
    return Place(name, source, folder, overlays / f"{name}@{which}")


def provide(where: Place, say: Say) -> str:
    """Install the environment if it is not there, and let this process import it; returns its module."""
    if where.source:
        module = _install_source(where, say)
    else:
        module = where.name
        install(module, where.folder, where.overlay, say)
    activate(where.overlay)
    return module


def available(folder: Path) -> list[str]:
    """The package folders of `environments/`, sorted; empty where there is no such folder."""
    return sorted(path.parent.name for path in folder.glob("*/pyproject.toml"))


def resolve(name: str, folder: Path) -> str:
    """The module that a name stands for: a package of the folder, or else an installed module.

    Case, hyphens and a missing `vf-` do not matter. Raises `EnvironmentMissing` with the nearest name.
    """
    names, there = module_names(name), available(folder)
    for known in (there.__contains__, _importable):
        for module in names:
            if known(module):
                return module
    raise _unknown(name, names[0], folder, there)


def install(module: str, folder: Path, target: Path, say: Say) -> None:
    """Install a package of the folder, and what it needs and is not installed, into the overlay `target`.

    What it needs may be other packages of the folder. Unchanged packages stay as they are; a module that is
    no package of the folder is taken as installed. `say` gets each line of output. Raises
    `EnvironmentMissing` with the installer's words.
    """
    source = folder / module
    if not (source / "pyproject.toml").is_file():
        say(f"{module} is an installed module")
        return
    if new := packages.alias_of(source):
        say(f"{module} is the legacy name of {new}, which has taken its place")
    needed = siblings(source)
    note, key = target / _KEYS / module, _key(source, *needed)
    if note.is_file() and note.read_text() == key:
        say(f"{module} is unchanged since it was installed")
        return
    for sibling in needed:
        say(f"{module} needs {sibling.name}: installing it from {sibling}")
        packages.install_package(sibling.name, str(sibling), target, say)
    say(f"installing {module} from {source}")
    packages.install_package(module, str(source), target, say)
    if not packages.holds_module(target, module):
        raise EnvironmentMissing(
            f"the package in {source} installs no module {module}",
            hint=Hint(f"name its module {module}, as its folder is called"),
        )
    note.parent.mkdir(exist_ok=True)
    note.write_text(key)


def _install_source(where: Place, say: Say) -> str:
    """Install what is no package of the folder; returns its module."""
    note, key = where.overlay / _KEYS / "source", _source_key(where.source)
    known, _, module = note.read_text().partition(" ") if note.is_file() else ("", "", "")
    if known == key:
        say(f"{where.source} is unchanged since it was installed")
        return module
    say(f"installing {where.source}")
    distribution = packages.install_package(where.name, where.source, where.overlay, say)
    module = packages.module_of(distribution, where.overlay)
    note.parent.mkdir(exist_ok=True)
    note.write_text(f"{key} {module}")
    return module


def activate(target: Path) -> None:
    """Let this process import from the overlay, before everything else, and programs that it starts, too.

    verifiers starts the servers of an environment's tools as programs.
    """
    path = str(target)
    if path in sys.path:
        sys.path.remove(path)
    sys.path.insert(0, path)
    inherited = [
        part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part not in ("", path)
    ]
    os.environ["PYTHONPATH"] = os.pathsep.join([*inherited, path])
    importlib.invalidate_caches()


@contextmanager
def user_code(module: str, doing: str = "be loaded") -> Iterator[None]:
    """Around calls into an environment: what they raise becomes `EnvironmentMissing`.

    `cause` is `file:line: Error: text` of the innermost line of the environment's own code. Options that
    its config refuses are named as keys of `training.environment_args`.
    """
    try:
        yield
    except EnvironmentMissing:
        raise
    except (Exception, SystemExit) as error:
        refused = _refused_options(error)
        raise EnvironmentMissing(
            f"the environment {module} cannot {doing}: {'; '.join(refused) or _text(error)}",
            cause=where(error, module),
            hint=Hint("mend training.environment_args", key=refused[0].split(":")[0])
            if refused
            else Hint(f"mend the environment's code: {where(error, module)}"),
        ) from error


def where(error: BaseException, module: str) -> str:
    """`file:line: Error: text`, the line being the environment's own where one was running."""
    home = _home(module)
    last = error
    chain: BaseException | None = error
    while chain is not None:
        last = chain
        if isinstance(chain, SyntaxError) and chain.filename:
            return f"{chain.filename}:{chain.lineno}: {type(chain).__name__}: {chain.msg}"
        frames = traceback.extract_tb(chain.__traceback__)
        own = [f for f in frames if home is not None and Path(f.filename).is_relative_to(home)]
        if own:
            return f"{own[-1].filename}:{own[-1].lineno}: {_text(chain)}"
        chain = chain.__cause__ or chain.__context__
    frames = traceback.extract_tb(last.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{place}{_text(last)}"


def _text(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _home(module: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent if spec.submodule_search_locations else Path(spec.origin)


def _refused_options(error: BaseException) -> list[str]:
    if not isinstance(error, ValidationError):
        return []
    problems = error.errors(include_url=False, include_context=False)
    if any(p["loc"][:1] != ("taskset",) for p in problems):
        return []  # not the options: the environment's own data
    keys = [".".join(("training.environment_args", *map(str, p["loc"][1:]))) for p in problems]
    return [f"{key}: {p['msg']} (got {p['input']!r})" for key, p in zip(keys, problems, strict=True)]


def _importable(module: str) -> bool:
    # The standard library holds no environments, but many a name that one may be mistyped as.
    if not module.isidentifier() or module in sys.stdlib_module_names:
        return False
    return _shipped(module) or importlib.util.find_spec(module) is not None


def _shipped(module: str) -> bool:
    """Whether verifiers brings the taskset along: it looks among its own first."""
    spec = importlib.util.find_spec("verifiers")  # without importing it, which takes seconds
    if spec is None or spec.origin is None:
        return False
    return (Path(spec.origin).parent / "v1" / "tasksets" / module).is_dir()


def _unknown(name: str, plain: str, folder: Path, there: list[str]) -> EnvironmentMissing:
    spoken = [module.replace("_", "-") for module in there]
    if not there:
        return EnvironmentMissing(
            f"there is no environment {name!r}: {folder} holds none",
            hint=Hint(f"put a package into {folder}", key="training.environment", old=name),
        )
    known = {form: m for m, s in zip(there, spoken, strict=True) for form in (m, m.removeprefix("vf_"))}
    near = difflib.get_close_matches(plain, known, n=1, cutoff=0.5)
    nearest = known[near[0]].replace("_", "-") if near else None
    guess = f"; did you mean {nearest!r}?" if nearest else ""
    return EnvironmentMissing(
        f"there is no environment {name!r} in {folder}{guess}",
        hint=Hint(f"there are: {', '.join(spoken)}", key="training.environment", old=name, new=nearest),
    )


def _source_key(source: str) -> str:
    path = Path(source)
    if path.is_dir():
        return _key(path)
    data = path.read_bytes() if path.is_absolute() and path.is_file() else source.encode()
    return hashlib.sha256(f"{sys.version} {sys.prefix} ".encode() + data).hexdigest()


def _key(*sources: Path) -> str:
    """A digest of packages' files and of the Python that they are installed for."""
    digest = hashlib.sha256(f"{sys.version} {sys.prefix}".encode())
    for source in sources:
        for path in sorted(source.rglob("*")):
            parts = path.relative_to(source).parts
            if path.is_file() and not _NOT_SOURCE.intersection(parts) and path.suffix != ".pyc":
                digest.update(f"\0{'/'.join(parts)}\0".encode() + path.read_bytes())
    return digest.hexdigest()

"""Finds an environment by any of its names, and installs it where only this run sees it.

Owns names (`wordle` → `vf_wordle`) and what a run began with. Where it is installed is
`environment_overlays`', installing `environment_packages`', what its code raises `environment_errors`',
building the verifiers objects and playing episodes `rollouts`'.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from remote.contract import layout
from remote.contract.environment_package import check_module, is_package, packages_in
from remote.contract.errors import EnvironmentMissing, Hint
from remote.contract.json_text import from_json, to_json
from remote.contract.model_choice import module_names
from remote.contract.old_environment import check_age
from remote.contract.record import LaunchRequest
from remote.environments import install as packages
from remote.environments import overlays as overlays
from remote.environments.install import Say
from remote.environments.siblings import siblings
from remote.output.run_dir import write_atomic


@dataclass(frozen=True)
class Place:
    """Where a run's environment comes from, and where it is installed."""

    name: str
    """Its module, or what its distribution is called until it is installed."""
    source: str
    """A requirement, or the absolute path of a folder or wheel; empty: of the folder, or installed."""
    folder: Path
    """The project's `environments/`."""
    overlays: Path
    """Holds one overlay for each content that was ever installed."""
    note: Path | None = None
    """The run's file that says which overlay it began with."""

    @property
    def path(self) -> Path | None:
        """The folder that it is installed from, where it is one."""
        path = Path(self.source) if self.source else self.folder / self.name
        return path if path.is_absolute() and is_package(path) else None

    def sources(self) -> list[Path | str]:
        """Everything that decides what is installed: the package, and those beside it that it needs."""
        path = self.path
        return [self.source] if path is None else [*siblings(path), path]


def place(request: LaunchRequest) -> Place:
    """Where a run's environment is to be had. Raises `EnvironmentMissing` where it is nowhere."""
    folder, cache = Path(request.project_dir, "environments"), Path(request.cache_dir, "environments")
    name, source = request.environment, request.environment_source
    note = Path(request.run_dir, layout.ENVIRONMENT) if request.run_dir else None
    if not source:
        name = resolve(name, folder)
    elif source.endswith(".whl"):
        source = str(Path(request.run_dir, source))
    return Place(name, source, folder, cache, note)


def provide(where: Place, say: Say) -> str:
    """Install the environment if it is not there, and let this process import it; returns its module.

    A run keeps what it began with: a later attempt takes the same overlay, whatever became of the source.
    """
    began = _noted(where)
    if began and (module := overlays.take(where.overlays / began, say)) is not None:
        activate(where.overlays / began)
        return module
    if not where.source and where.path is None:
        say(f"{where.name} is an installed module")
        return where.name
    overlay, module = _installed(where, say)
    if began and overlay.name != began:
        say(f"{where.name} is not what this run began with, which is gone: {overlay.name}, not {began}")
    if where.note is not None:
        write_atomic(where.note, to_json({"overlay": overlay.name, "module": module}) + "\n")
    activate(overlay)
    return module


def _noted(where: Place) -> str:
    """The name of the overlay that the run began with."""
    try:
        name = from_json(where.note.read_bytes())["overlay"] if where.note else ""
    except (OSError, ValueError, KeyError, TypeError):
        return ""
    return name if isinstance(name, str) and Path(name).name == name else ""


def _installed(where: Place, say: Say) -> tuple[Path, str]:
    overlay = where.overlays / f"{where.name}@{overlays.digest(*where.sources())}"
    if (module := overlays.take(overlay, say)) is not None:
        say(f"{where.source or where.name} is unchanged since it was installed")
        return overlay, module

    def fill(target: Path) -> str:
        if where.source:
            return _install_source(where, target, say)
        install(where.name, where.folder, target, say)
        return where.name

    made = overlays.make(where.overlays, where.name, where.sources, fill)
    overlays.prune(where.overlays)
    return made


def available(folder: Path) -> list[str]:
    """The package folders of `environments/`, sorted; empty where there is no such folder."""
    return [path.name for path in packages_in(folder)]


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
    """Install a package of the folder, and what it needs and is not there, into the empty folder `target`.

    What it needs may be other packages of the folder. `say` gets each line of output. Raises
    `EnvironmentMissing` with the installer's words.
    """
    source = folder / module
    if new := packages.alias_of(source):
        say(f"{module} is the legacy name of {new}, which has taken its place")
    _install_siblings(module, source, target, say)
    say(f"installing {module} from {source}")
    packages.install_package(module, str(source), target, say)
    if not packages.holds_module(target, module):
        raise EnvironmentMissing(
            f"the package in {source} installs no module {module}",
            hint=Hint(f"name its module {module}, as its folder is called"),
        )
    _check_own(module, target)


def _install_source(where: Place, target: Path, say: Say) -> str:
    """Install what is no package of the folder; returns its module."""
    if where.path is not None:
        _install_siblings(where.name, where.path, target, say)
    say(f"installing {where.source}")
    distribution = packages.install_package(where.name, where.source, target, say)
    module = packages.module_of(distribution, target)
    _check_own(module, target)
    return module


def _install_siblings(name: str, source: Path, target: Path, say: Say) -> None:
    for sibling in siblings(source):
        say(f"{name} needs {sibling.name}: installing it from {sibling}")
        packages.install_package(sibling.name, str(sibling), target, say)


def _check_own(module: str, target: Path) -> None:
    """Refuse an environment's module that would not be the one that is loaded, or that is too old for it."""
    check_module(module)
    folder = target / module
    check_age(folder if folder.is_dir() else target / f"{module}.py", module)
    if _shipped(module):
        raise EnvironmentMissing(
            f"the environment's module is called {module}, as a taskset of verifiers is, "
            "which would be loaded in its place",
            hint=Hint(f"call the package and its module otherwise, such as vf_{module}"),
        )
    others = [path for path in sys.path if Path(path).parent != target.parent]
    if there := packages.file_of(module, others):
        raise EnvironmentMissing(
            f"the environment's module is called {module}, as one that is installed already ({there}), "
            "which would be loaded in its place",
            hint=Hint(f"call the package and its module otherwise, such as vf_{module}"),
        )


def activate(target: Path) -> None:
    """Let this process import from the overlay, and programs that it starts, too: behind everything else.

    Nothing in it can take the place of a module of the training stack. verifiers starts the servers of an
    environment's tools as programs.
    """
    path = str(target)
    if path in sys.path:
        sys.path.remove(path)
    sys.path.append(path)
    inherited = [
        part for part in os.environ.get("PYTHONPATH", "").split(os.pathsep) if part not in ("", path)
    ]
    os.environ["PYTHONPATH"] = os.pathsep.join([*inherited, path])
    importlib.invalidate_caches()


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

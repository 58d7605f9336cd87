"""Find an environment by any spelling of its name (`wordle` → `vf_wordle`), and provide it to this process.

A run keeps the overlay that it began with, whatever happens to the environment's source.
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
from remote.environments import install as installer
from remote.environments import overlays
from remote.environments.install import Say
from remote.environments.siblings import siblings
from remote.output.run_dir import write_atomic


@dataclass(frozen=True)
class Place:
    """Where a run's environment comes from, and where it is installed."""

    name: str
    """Its module; until it is installed, its distribution's name."""
    source: str
    """A requirement, or the absolute path of a folder or wheel; empty: of `folder`, or installed."""
    folder: Path
    """The project's `environments/`."""
    overlays: Path
    """Folder of the overlays."""
    note: Path | None = None
    """The run's file that names the overlay with which it began."""

    @property
    def path(self) -> Path | None:
        """The folder of the package; None where it is installed from something else."""
        path = Path(self.source) if self.source else self.folder / self.name
        return path if path.is_absolute() and is_package(path) else None

    def sources(self) -> list[Path | str]:
        """What is installed: the package, and those beside it that it needs."""
        path = self.path
        return [self.source] if path is None else [*siblings(path), path]


def place(request: LaunchRequest) -> Place:
    """The place of a run's environment. Raises `EnvironmentMissing` where there is none."""
    folder, cache = Path(request.project_dir, "environments"), Path(request.cache_dir, "environments")
    name, source = request.environment, request.environment_source
    note = Path(request.run_dir, layout.ENVIRONMENT) if request.run_dir else None
    if not source:
        name = resolve(name, folder)
    elif source.endswith(".whl"):
        source = str(Path(request.run_dir, source))
    return Place(name, source, folder, cache, note)


def provide(where: Place, say: Say) -> str:
    """Install the environment if necessary, and make it importable; returns its module.

    A later attempt at a run takes the same overlay, whatever happened to the source meanwhile.
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
        say(
            f"⚠ the version of {where.name} that this run began with is gone: "
            f"using {overlay.name}, not {began}"
        )
    if where.note is not None:
        write_atomic(where.note, to_json({"overlay": overlay.name, "module": module}) + "\n")
    activate(overlay)
    return module


def _noted(where: Place) -> str:
    """Name of the overlay with which the run began; empty: it has none yet."""
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
    """Names of the packages of `environments/`, sorted; empty where there is no such folder."""
    return [path.name for path in packages_in(folder)]


def resolve(name: str, folder: Path) -> str:
    """The module of a name: a package of the folder, or an installed module.

    Ignores case, hyphens and a missing `vf-`. Raises `EnvironmentMissing` with the most similar name.
    """
    names, packages = module_names(name), available(folder)
    for exists in (packages.__contains__, _importable):
        for module in names:
            if exists(module):
                return module
    raise _unknown(name, names[0], folder, packages)


def install(module: str, folder: Path, target: Path, say: Say) -> None:
    """Install a package of the folder, with its missing dependencies, into the empty folder `target`.

    Dependencies may be other packages of the folder. `say`: called with each line of output. Raises
    `EnvironmentMissing` with uv's error.
    """
    source = folder / module
    if new := installer.alias_of(source):
        say(f"{module} is the legacy name of {new}, which has taken its place")
    _install_siblings(module, source, target, say)
    say(f"installing {module} from {source}")
    installer.install_package(module, str(source), target, say)
    if not installer.holds_module(target, module):
        raise EnvironmentMissing(
            f"the package in {source} installs no module {module}",
            hint=Hint(f"name its module {module}, like its folder"),
        )
    _check_own(module, target)


def _install_source(where: Place, target: Path, say: Say) -> str:
    """Install an environment from elsewhere; returns its module."""
    if where.path is not None:
        _install_siblings(where.name, where.path, target, say)
    say(f"installing {where.source}")
    distribution = installer.install_package(where.name, where.source, target, say)
    module = installer.module_of(distribution, target)
    _check_own(module, target)
    return module


def _install_siblings(name: str, source: Path, target: Path, say: Say) -> None:
    for sibling in siblings(source):
        say(f"{name} needs {sibling.name}: installing it from {sibling}")
        installer.install_package(sibling.name, str(sibling), target, say)


def _check_own(module: str, target: Path) -> None:
    """Raise `EnvironmentMissing` where another module of that name would be imported, or it is too old."""
    check_module(module)
    folder = target / module
    check_age(folder if folder.is_dir() else target / f"{module}.py", module)
    if _shipped(module):
        raise EnvironmentMissing(
            f"the environment's module is called {module}, as a taskset of verifiers is, "
            "which would be imported instead",
            hint=Hint(f"rename the package and its module, for example to vf_{module}"),
        )
    others = [path for path in sys.path if Path(path).parent != target.parent]
    if installed := installer.file_of(module, others):
        raise EnvironmentMissing(
            f"the environment's module is called {module}, as an installed one is ({installed}), "
            "which would be imported instead",
            hint=Hint(f"rename the package and its module, for example to vf_{module}"),
        )


def activate(target: Path) -> None:
    """Add the overlay to the end of the import path, of this process and of programs that it starts.

    At the end, so that it cannot replace modules of the training stack. verifiers starts tool servers as
    programs.
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
    # Names of the standard library are typing errors, not environments.
    if not module.isidentifier() or module in sys.stdlib_module_names:
        return False
    return _shipped(module) or importlib.util.find_spec(module) is not None


def _shipped(module: str) -> bool:
    """Whether it is a taskset of verifiers itself, which takes precedence."""
    spec = importlib.util.find_spec("verifiers")  # without importing it, which takes seconds
    if spec is None or spec.origin is None:
        return False
    return (Path(spec.origin).parent / "v1" / "tasksets" / module).is_dir()


def _unknown(name: str, plain: str, folder: Path, packages: list[str]) -> EnvironmentMissing:
    names = [module.replace("_", "-") for module in packages]
    if not packages:
        return EnvironmentMissing(
            f"there is no environment {name!r}: {folder} holds none",
            hint=Hint(f"put a package into {folder}", key="training.environment", old=name),
        )
    spellings = {form: m for m, s in zip(packages, names, strict=True) for form in (m, m.removeprefix("vf_"))}
    near = difflib.get_close_matches(plain, spellings, n=1, cutoff=0.5)
    nearest = spellings[near[0]].replace("_", "-") if near else None
    guess = f"; did you mean {nearest!r}?" if nearest else ""
    return EnvironmentMissing(
        f"there is no environment {name!r} in {folder}{guess}",
        hint=Hint(f"there are: {', '.join(names)}", key="training.environment", old=name, new=nearest),
    )

"""Find environments by name, and read what their packages declare.

A name is a spelling of a package of `environments/`, a path, a taskset of verifiers itself, or a package of
the index, if written as one (`index:NAME`, `NAME==VERSION`). Nothing is loaded, and the index is asked only
at a launch (`tui/backends/environment_pin.py`).
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remote.contract.environment_package import (
    allows_python,
    check_module,
    is_package,
    module_name,
    owner_of,
    package_name,
    packages_in,
    project_of,
    required_python,
    table,
)
from remote.contract.errors import EnvironmentMissing, Hint
from remote.contract.model_choice import choose_model, is_ours, module_names
from remote.contract.old_environment import check_age
from remote.contract.platforms import MODAL_PYTHON, PYTHONS, THIS_PYTHON
from remote.contract.spec import ExperimentSpec
from tui.config.resolve import Resolved

SHIPPED = ("harbor", "nemo_gym", "openenv", "textarena")
"""Modules of the tasksets inside verifiers 0.4 itself."""
KEY = "training.environment"
INDEX = "index:"
"""The prefix of a package of the index."""

_REQUIREMENT = re.compile(
    r"([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(\[[\w.,\s-]*\])?\s*((?:===?|~=|!=|<=?|>=?)\s*[^;\s][^;]*)?",
    re.ASCII,
)
_HUB_ID = re.compile(r"[\w-]+/[\w.-]+(@[\w.]+)?|[\w.-]+@[\w.]+", re.ASCII)
_NEAR = 0.75  # similarity from which a name counts as a typo


@dataclass(frozen=True)
class Declared:
    """What a package declares in `[tool.vfm]` and `[project]` of its pyproject.toml."""

    summary: str = ""
    version: str = ""
    model: str | None = None
    """The model where no config names one."""
    function_calling: bool = False
    """Whether its episodes call functions."""
    native_tools_unless: Mapping[str, Any] = field(default_factory=dict)
    """Options with which functions are not sent as a request's tools, such as `{"tools": "prompt"}`."""
    alias_of: str = ""
    """The environment that replaces it."""

    def native_tools(self, arguments: Mapping[str, Any]) -> bool:
        """Whether the server has to parse calls, with these `training.environment_args`."""
        unless = self.native_tools_unless
        return self.function_calling and not any(arguments.get(key) == unless[key] for key in unless)


@dataclass(frozen=True)
class Environment:
    """An environment before a run has installed it."""

    name: str
    """Its module; of a package of the index, the package's name with underscores."""
    source: str = ""
    """As `LaunchRequest.environment_source`; a requirement may lack its version."""
    folder: Path | None = None
    """The package's folder, if on this machine."""

    @property
    def declared(self) -> Declared:
        """What its package declares. Raises `EnvironmentMissing` where its pyproject.toml is invalid."""
        return declared(self.folder) if self.folder else Declared()

    def lookup_name(self, typed: str) -> str:
        """The name to look up models and scripts by: as typed, or the module of a path or package."""
        return self.name if self.source else typed

    @property
    def spoken(self) -> str:
        """Its name with hyphens: `vf-wordle`."""
        return _spoken(self.name)

    @property
    def kind(self) -> str:
        """Where it comes from."""
        if not self.source:
            return "environments/" if self.folder else "verifiers"
        return "path" if Path(self.source).is_absolute() else "package index"

    @property
    def notices(self) -> list[str]:
        """What to know before a launch."""
        if self.kind == "package index":
            return [
                f"{self.source} comes from the package index: its code is not of this project, and runs with "
                "the run's keys"
            ]
        successor = self.declared.alias_of
        return [f"{_spoken(self.name)} is the legacy name of {successor}, its successor"] if successor else []


def list_environments(project_dir: Path) -> list[str]:
    """The packages in `environments/`, by folder name."""
    return [path.name for path in packages_in(project_dir / "environments")]


def spoken_names(project_dir: Path) -> list[str]:
    """The packages in `environments/`, with hyphens: `vf-wordle`."""
    return [_spoken(folder) for folder in list_environments(project_dir)]


def known(project_dir: Path) -> list[Environment]:
    """The environments of the project and of verifiers itself."""
    folder = project_dir / "environments"
    ours = [Environment(name, folder=folder / name) for name in list_environments(project_dir)]
    return [*ours, *(Environment(name) for name in SHIPPED)]


def default_model(environment: Environment) -> str:
    """The model where no config names one."""
    return choose_model(ExperimentSpec(), environment.name, environment.declared.model)[0]


def find_environment(resolved: Resolved, project_dir: Path) -> Environment:
    """Find the spec's environment. Raises `EnvironmentMissing`, with the known ones."""
    where = resolved.provenance[KEY].where
    return find(resolved.spec.training.environment, project_dir, f"{where}: " if where else "")


def find(name: str, project_dir: Path, place: str = "") -> Environment:
    """Find an environment by name. Raises `EnvironmentMissing`, whose message begins with `place`."""
    folders = list_environments(project_dir)
    by_module = {folder.lower().replace("-", "_"): folder for folder in folders}
    for module in module_names(name):
        if module in by_module:
            return _checked(
                Environment(by_module[module], folder=project_dir / "environments" / by_module[module]), place
            )
    plain = name.strip()
    if plain.startswith(INDEX):
        return _of_index(plain.removeprefix(INDEX).strip(), name, place)
    if address := _address(plain, place):
        raise address
    if "/" in name or "\\" in name or name.startswith(("~", ".")) or name.endswith(".whl"):
        return _at(name, project_dir, place)
    shipped = plain.lower().replace("-", "_")
    if shipped in SHIPPED:
        return Environment(shipped)
    match = _REQUIREMENT.fullmatch(plain)
    if match and match[3] and match[3].startswith("=="):
        return _of_index(plain, name, place)
    raise _unknown(name, match, folders, project_dir, place)


def check_python(environment: Environment, backend: str, configured: str | None, place: str = "") -> None:
    """Raise `EnvironmentMissing` where the environment needs another Python than the image's.

    configured: `image.python`.
    """
    required = required_python(environment.folder) if environment.folder else ""
    version = configured or (MODAL_PYTHON if backend == "modal" else THIS_PYTHON)
    if allows_python(required, version):
        return
    fitting = next((python for python in PYTHONS if allows_python(required, python)), None)
    advice = f"set image.python to {fitting}" if fitting else f"the image can have {' or '.join(PYTHONS)}"
    raise EnvironmentMissing(
        f"{place}the environment {environment.spoken} needs Python {required}, and the image has {version}",
        hint=Hint(advice, "image.python", configured, fitting),
    )


def declared(folder: Path) -> Declared:
    """What the package in a folder declares. Raises `EnvironmentMissing`."""
    file = folder / "pyproject.toml"
    try:
        document = project_of(folder)
        project, ours = table(document, "project"), table(document, "tool", "vfm")
        return Declared(
            summary=str(ours.get("summary") or project.get("description") or ""),
            version=str(project.get("version", "")),
            model=ours.get("model"),
            function_calling=bool(ours.get("function-calling", False)),
            native_tools_unless=dict(ours.get("native-tools-unless", {})),
            alias_of=str(ours.get("alias-of", "")),
        )
    except (ValueError, TypeError) as error:
        raise EnvironmentMissing(f"{file} cannot be used: {error}", hint=Hint(f"fix {file}")) from error


def _at(name: str, project_dir: Path, place: str) -> Environment:
    """The package's folder or wheel at a path; in `environments/`, the same as by its name."""
    path = Path(name).expanduser().absolute()
    shown = name if name == str(path) else f"{name} ({path})"
    if path.is_file() and path.suffix == ".whl":
        return _checked(Environment(module_name(path.name.split("-")[0]), str(path)), place)
    if project_dir.resolve().is_relative_to(path.resolve()):
        raise EnvironmentMissing(
            f"{place}the environment {shown} is the folder of this project, and no environment",
            hint=Hint("name one of its environments: vfm env list", key=KEY, old=name),
        )
    if is_package(path):
        module = module_name(package_name(path))
        if path.resolve().parent == (project_dir / "environments").resolve():
            return Environment(path.resolve().name, folder=path)
        return _checked(Environment(module, str(path), path), place)
    if path.is_dir():
        reason = "is a folder without pyproject.toml or setup.py"
    else:
        reason = "is a file, but no wheel" if path.exists() else "does not exist"
    advice = f"name a package's folder, a wheel, or a package of the package index: {INDEX}NAME"
    raise EnvironmentMissing(f"{place}the environment {shown} {reason}", hint=Hint(advice, key=KEY, old=name))


def _checked(environment: Environment, place: str) -> Environment:
    """The environment, unless its name or its age prevents loading it: `EnvironmentMissing`."""
    check_module(environment.name, place)
    check_age(environment.folder or Path(environment.source), environment.spoken, place)
    return environment


def _of_index(requirement: str, name: str, place: str) -> Environment:
    """A package of the index, written as one."""
    match = _REQUIREMENT.fullmatch(requirement)
    if match is None:
        raise EnvironmentMissing(
            f"{place}the environment {name!r} is no package of the index",
            hint=Hint(f"write it as {INDEX}NAME, {INDEX}NAME[EXTRA]>=1.2, or NAME==VERSION", KEY, name),
        )
    if is_ours(match[1]):
        own = _spoken(module_name(match[1]))
        raise EnvironmentMissing(
            f"{place}{own} is an environment of this project, and is never taken from the package index",
            hint=Hint("name it without a version: environments/ holds it", KEY, name, own),
        )
    check_module(module_name(match[1]), place)
    return Environment(module_name(match[1]), requirement)


def _address(name: str, place: str) -> EnvironmentMissing | None:
    """The error for an address: of a git repository, or of a hub of environments."""
    if "://" in name or name.startswith("git+"):
        advice = "clone it and name the package's folder in it (./NAME), or a wheel of it"
        return EnvironmentMissing(
            f"{place}the environment {name!r} is an address: environments are not fetched from the network",
            hint=Hint(advice, key=KEY, old=name),
        )
    if not _HUB_ID.fullmatch(name) or Path(name).exists():
        return None
    own = name.partition("@")[0].rpartition("/")[2]
    return EnvironmentMissing(
        f"{place}the environment {name!r} is no existing path, and none is fetched from a hub",
        hint=Hint(f"download it (prime env pull {name}) and name its folder: ./{own}", key=KEY, old=name),
    )


def _unknown(
    name: str, match: re.Match[str] | None, folders: list[str], project_dir: Path, place: str
) -> EnvironmentMissing:
    """The error for an unknown name. The index is not asked, unless the name is written for it."""
    known = [*folders, *SHIPPED]
    near = _nearest(match[1] if match else name, known)
    names = [_spoken(folder) for folder in folders]
    listing = f"there are: {', '.join(names)}" if names else "there are none"
    advice = f"did you mean {near}?" if near else f"add it as {project_dir / 'environments' / '<name>'}/"
    if match and is_ours(match[1]):
        advice = "it comes with the project: restore its folder there (git checkout environments)"
    elif match and (owner := owner_of(module_name(match[1]))):
        advice = f"{name.strip()} is a module of {owner}, and no environment"
    elif match:
        listing += f" (a package of the package index is written {INDEX}{name.strip()})"
    return EnvironmentMissing(
        f"{place}no environment {name!r} in {project_dir / 'environments'}; {listing}",
        hint=Hint(advice, key=KEY, old=name, new=near),
    )


def _nearest(name: str, folders: list[str]) -> str | None:
    bare = [_spoken(folder).removeprefix("vf-") for folder in folders]
    typed = module_names(name)[0].replace("_", "-").removeprefix("vf-")
    close = difflib.get_close_matches(typed, bare, 1, _NEAR)
    return _spoken(folders[bare.index(close[0])]) if close else None


def _spoken(folder: str) -> str:
    return folder.replace("_", "-")

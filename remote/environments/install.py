"""Install an environment's package with uv into an overlay folder, with the dependencies that are missing.

Never installs another version of an installed package. Also finds out which module a package contains.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from remote.contract.environment_package import project_of, table
from remote.contract.errors import EnvironmentMissing, Hint, ImageError
from remote.contract.model_choice import OURS
from remote.environments.siblings import beside
from remote.processes import uv

Say = Callable[[str], None]


def install_package(name: str, source: str, target: Path, say: Say) -> str:
    """Install `source` (a folder, a wheel or a requirement) and its missing dependencies into `target`.

    `name`: for messages. Returns the distribution's canonical name. Raises `EnvironmentMissing` with uv's
    error.
    """
    target.mkdir(parents=True, exist_ok=True)
    into = ["--no-deps", "--target", str(target), "--link-mode", "copy"]
    with tempfile.TemporaryDirectory(prefix="vfm-environment-") as scratch:
        # uv caches builds by the time stamp of pyproject.toml, but a changed module must be built again too.
        installable = _built(name, source, scratch, say) if _is_folder(source) else source
        distribution = distribution_of(installable)
        _uv(["pip", "install", *into, "--reinstall-package", distribution, installable], name, say)
    _Needs(name, source, target, into, say).install(distribution)
    # Python may have cached the folder's content.
    importlib.invalidate_caches()
    return distribution


def _is_folder(source: str) -> bool:
    return Path(source).is_absolute() and Path(source).is_dir()


def _built(name: str, folder: str, scratch: str, say: Say) -> str:
    """The wheel of a package's folder. Raises `EnvironmentMissing`."""
    project_of(Path(folder))  # raises a better error than uv's
    _uv(["build", "--wheel", "--out-dir", scratch, folder], name, say)
    wheels = sorted(Path(scratch).glob("*.whl"))
    if len(wheels) != 1:
        raise EnvironmentMissing(
            f"{folder} builds {len(wheels)} wheels instead of one", hint=Hint("mend its pyproject.toml")
        )
    return str(wheels[0])


def holds_module(target: Path, module: str) -> bool:
    """Whether the overlay has a module."""
    return importlib.machinery.PathFinder.find_spec(module, [str(target)]) is not None


def file_of(module: str, path: list[str]) -> str:
    """The file from which a module would be imported; empty where none of the folders has it."""
    spec = importlib.machinery.PathFinder.find_spec(module, path)
    return (spec.origin if spec else None) or ""


def module_of(distribution: str, target: Path) -> str:
    """The module of an installed distribution: the one with its name, or its only one.

    Raises `EnvironmentMissing` where it has several others, or none.
    """
    installed = _installed(distribution, target)
    tops = {
        str(file).split("/")[0].removesuffix(".py") for file in installed.files or [] if file.suffix == ".py"
    }
    modules = sorted(m for m in tops if m.isidentifier() and holds_module(target, m))
    own = distribution.replace("-", "_")
    for likely in (own, f"vf_{own}", own.removeprefix("vf_")):
        if likely in modules:
            return likely
    if len(modules) == 1:
        return modules[0]
    has = f"the modules {', '.join(modules)}" if modules else "no module"
    raise EnvironmentMissing(
        f"the package {distribution} has {has}, and none is called {own}: which one is the environment?",
        hint=Hint("verifiers loads an environment by its module, which must have the package's name"),
    )


def distribution_of(source: str) -> str:
    """The canonical name of a wheel's or a requirement's distribution. Raises `EnvironmentMissing`."""
    path = Path(source)
    if path.suffix == ".whl":
        return canonicalize_name(path.name.split("-")[0])
    try:
        return canonicalize_name(Requirement(source).name)
    except InvalidRequirement as error:
        raise EnvironmentMissing(f"{source!r} names no package", cause=str(error)) from error


def alias_of(source: Path) -> str:
    """The environment that replaces the package in a folder (`tool.vfm.alias-of`); empty: none."""
    return str(table(project_of(source), "tool", "vfm").get("alias-of", ""))


def _excluded(source: str) -> list[str]:
    """uv's `exclude-dependencies` of a folder's package."""
    names = table(project_of(Path(source)), "tool", "uv").get("exclude-dependencies", [])
    return [str(name) for name in names] if isinstance(names, list) else []


class _Needs:
    """Installs the missing dependencies of a package, at versions that fit the installed ones.

    Names of this project's environments, and of packages beside this one, are never looked up in an index.
    """

    def __init__(self, module: str, source: str, target: Path, into: list[str], say: Say) -> None:
        self.module, self.target, self.into, self.say = module, target, into, say
        self.path = [path for path in sys.path if path != str(target)]
        self.have = _versions(self.path)
        self.excluded = _excluded(source) if _is_folder(source) else []
        siblings_and_self = beside(Path(source)) if _is_folder(source) else ()
        self.own = {*OURS, *siblings_and_self}

    def install(self, name: str) -> None:
        """Raises `EnvironmentMissing`."""
        missing = [str(need) for need in self._missing(name)]
        if missing:
            self.say(f"{self.module} also needs {', '.join(missing)}")
            absent = [str(pin) for pin in self._pins(missing) if canonicalize_name(pin.name) not in self.have]
            if absent:
                _uv(["pip", "install", *self.into, *absent], self.module, self.say)
        self._check_own()

    def _pins(self, missing: list[str]) -> list[Requirement]:
        with tempfile.TemporaryDirectory(prefix="vfm-environment-") as scratch:
            requirements, constraints, excluded = (
                Path(scratch, f"{n}.txt") for n in ("wanted", "constraints", "excluded")
            )
            requirements.write_text("\n".join(missing) + "\n")
            constraints.write_text("".join(f"{n}=={v.public}\n" for n, v in sorted(self.have.items())))
            excluded.write_text("".join(f"{name}\n" for name in (*self.excluded, *sorted(self.own))))
            plain = [
                "--no-header",
                "--no-annotate",
                "--constraints",
                str(constraints),
                "--excludes",
                str(excluded),
            ]
            compiled = _uv(["pip", "compile", *plain, str(requirements)], self.module, self.say)
        return [pin for line in compiled if (pin := _pin(line)) is not None]

    def _missing(self, name: str) -> list[Requirement]:
        versions = {**_versions([str(self.target)]), **self.have}
        missing = []
        for need, reason in self._needs(name):
            key = canonicalize_name(need.name)
            version = versions.get(key)
            if key in self.have and not _fits(need, self.have[key]):
                raise EnvironmentMissing(
                    f"the environment {self.module} needs {need}{reason}, "
                    f"but the training stack has {need.name} {self.have[key]}",
                    hint=Hint(f"widen the dependency on {need.name} in the environment's pyproject.toml"),
                )
            if version is None or not _fits(need, version):
                if key in self.own:
                    raise self._absent(need, version)
                missing.append(need)
        return missing

    def _needs(self, name: str) -> Iterator[tuple[Requirement, str]]:
        """The requirements of a distribution, and those of the extras that it requires of installed packages.

        Each with its reason for messages: `, by verifiers[ta]`, or empty.
        """
        todo, visited = [(need, "") for need in _requires(name, [str(self.target)])], set[tuple[str, str]]()
        while todo:
            need, reason = todo.pop(0)
            yield need, reason
            for extra in sorted(need.extras):
                key = canonicalize_name(need.name), extra
                if key not in visited:
                    visited.add(key)
                    extras = _requires(need.name, [*self.path, str(self.target)], extra)
                    todo += [(extra_need, f", by {need.name}[{extra}]") for extra_need in extras]

    def _check_own(self) -> None:
        """Check what packages of the index need of our own, which was excluded from their resolution."""
        versions = {**_versions([str(self.target)]), **self.have}
        for distribution in metadata.distributions(path=[str(self.target)]):
            for need in _requires(distribution.metadata["Name"], [str(self.target)]):
                version = versions.get(name := canonicalize_name(need.name))
                if name in self.own and (version is None or not _fits(need, version)):
                    raise self._absent(need, version)

    def _absent(self, need: Requirement, version: Version | None) -> EnvironmentMissing:
        if version is not None:
            found_instead = f"the package of that name beside it is {version}"
        else:
            found_instead = (
                "which is not there: it is no package of an index but of this project's environments/"
            )
        return EnvironmentMissing(
            f"the environment {self.module} needs {need}, {found_instead}",
            hint=Hint(f"put {need.name} beside it, at a version that fits, or drop the dependency"),
        )


def _requires(name: str, path: list[str], extra: str = "") -> list[Requirement]:
    """The requirements of an installed distribution on this machine; with `extra`, those that it adds."""
    distribution = next(iter(metadata.Distribution.discover(name=name, path=path)), None)
    requirements = []
    for text in (distribution.requires if distribution else None) or []:
        need = Requirement(text)
        marker, need.marker = need.marker, None
        plain = marker is None or marker.evaluate({"extra": ""})
        if plain if not extra else not plain and marker is not None and marker.evaluate({"extra": extra}):
            requirements.append(need)
    return requirements


def _fits(need: Requirement, version: Version) -> bool:
    return need.specifier.contains(version, prereleases=True)


def _installed(name: str, target: Path) -> metadata.Distribution:
    return next(iter(metadata.Distribution.discover(name=name, path=[str(target)])))


def _versions(path: list[str]) -> dict[str, Version]:
    """Installed distributions by canonical name; the first on the path counts, as it does for imports."""
    versions: dict[str, Version] = {}
    for distribution in metadata.distributions(path=path):
        try:
            versions.setdefault(
                canonicalize_name(distribution.metadata["Name"]), Version(distribution.version)
            )
        except (InvalidVersion, TypeError):
            continue  # half-removed or hand-made: it has no valid version
    return versions


def _pin(line: str) -> Requirement | None:
    line = line.strip()
    return Requirement(line) if "==" in line or " @ " in line else None


def _uv(arguments: list[str], module: str, say: Say) -> list[str]:
    """Run uv and return its output; offline first, where its cache may be enough."""
    command = [*_uv_command(), *arguments, *uv.find_links(os.environ)]
    command += ["--python", sys.executable, "--color", "never", "--no-progress"]
    code, lines = _run([*command, "--offline"], None)
    if code == 0:
        for line in lines:
            say(line)
        return lines
    code, lines = _run(command, say)
    if code != 0:
        raise EnvironmentMissing(
            f"the environment {module} could not be installed",
            cause=uv.cause(lines),
            hint=Hint("mend its pyproject.toml, or the connection to the package index, and launch again"),
        )
    return lines


def _uv_command() -> list[str]:
    try:
        return uv.command()
    except ImageError as error:
        raise EnvironmentMissing(
            "environments are installed with uv, and the image has none",
            cause=error.message,
            hint=error.hint,
        ) from error


def _run(command: list[str], say: Say | None) -> tuple[int, list[str]]:
    # Without the run's secrets, since a build runs the package's code.
    child = uv.Child(command, Path.cwd(), uv.environment(os.environ))
    try:
        code = child.follow(say or (lambda line: None), lambda: None)
    finally:
        child.stop()  # an interrupted caller must not leave an installer behind
    return code, child.lines

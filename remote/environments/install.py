"""Packages of environments: installed with uv into an overlay folder that only their run sees.

Owns uv's part: the package itself, what it needs and is not there, never another version of what is
there, and which module a package brings. Names and errors of an environment's code are `environments`'.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import subprocess
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
from remote.output import redact
from remote.processes import uv

Say = Callable[[str], None]


def install_package(name: str, source: str, target: Path, say: Say) -> str:
    """Install `source` (a folder, a wheel or a requirement) and what it lacks into the overlay `target`.

    `name` is what people call it. Returns the distribution's canonical name. Raises `EnvironmentMissing`
    with the installer's words.
    """
    target.mkdir(parents=True, exist_ok=True)
    into = ["--no-deps", "--target", str(target), "--link-mode", "copy"]
    with tempfile.TemporaryDirectory(prefix="vfm-environment-") as scratch:
        # uv keeps builds by the time stamp of pyproject.toml: a changed module alone must be built again too.
        what = _built(name, source, scratch, say) if _is_folder(source) else source
        distribution = distribution_of(what)
        _uv(["pip", "install", *into, "--reinstall-package", distribution, what], name, say)
    _Needs(name, source, target, into, say).install(distribution)
    # A folder that was looked into a moment ago is remembered as it was.
    importlib.invalidate_caches()
    return distribution


def _is_folder(source: str) -> bool:
    return Path(source).is_absolute() and Path(source).is_dir()


def _built(name: str, folder: str, scratch: str, say: Say) -> str:
    """The wheel of a package's folder. Raises `EnvironmentMissing`."""
    project_of(Path(folder))  # says what is wrong with it in its own words
    _uv(["build", "--wheel", "--out-dir", scratch, folder], name, say)
    wheels = sorted(Path(scratch).glob("*.whl"))
    if len(wheels) != 1:
        raise EnvironmentMissing(
            f"{folder} builds {len(wheels)} wheels in place of one", hint=Hint("mend its pyproject.toml")
        )
    return str(wheels[0])


def holds_module(target: Path, module: str) -> bool:
    """Whether the overlay has a module."""
    return importlib.machinery.PathFinder.find_spec(module, [str(target)]) is not None


def file_of(module: str, path: list[str]) -> str:
    """The file that a module would be loaded from; empty where none of these folders has it."""
    spec = importlib.machinery.PathFinder.find_spec(module, path)
    return (spec.origin if spec else None) or ""


def module_of(distribution: str, target: Path) -> str:
    """The module that an installed distribution brings: the one of its own name, else its only one.

    Raises `EnvironmentMissing` where it brings several others, or none.
    """
    found = _installed(distribution, target)
    tops = {str(file).split("/")[0].removesuffix(".py") for file in found.files or [] if file.suffix == ".py"}
    modules = sorted(m for m in tops if m.isidentifier() and holds_module(target, m))
    own = distribution.replace("-", "_")
    for likely in (own, f"vf_{own}", own.removeprefix("vf_")):
        if likely in modules:
            return likely
    if len(modules) == 1:
        return modules[0]
    has = f"the modules {', '.join(modules)}" if modules else "no module"
    raise EnvironmentMissing(
        f"the package {distribution} has {has}, and none is called {own}: its environment cannot be told",
        hint=Hint("verifiers loads an environment by its module: the package has to name it as itself"),
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
    """The environment that has taken the place of the package in a folder, by its own words, or nothing."""
    return str(table(project_of(source), "tool", "vfm").get("alias-of", ""))


def _excluded(source: str) -> list[str]:
    """What a folder's package says that its dependencies need not: uv's own `exclude-dependencies`."""
    names = table(project_of(Path(source)), "tool", "uv").get("exclude-dependencies", [])
    return [str(name) for name in names] if isinstance(names, list) else []


class _Needs:
    """What one package needs and this Python has not, installed at versions that fit what it has.

    No name of this project's environments, nor of a package beside this one, is looked up on an index.
    """

    def __init__(self, module: str, source: str, target: Path, into: list[str], say: Say) -> None:
        self.module, self.target, self.into, self.say = module, target, into, say
        self.path = [path for path in sys.path if path != str(target)]
        self.have = _versions(self.path)
        self.excluded = _excluded(source) if _is_folder(source) else []
        near = beside(Path(source)) if _is_folder(source) else ()
        self.own = {*OURS, *near}

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
            wanted, limits, never = (Path(scratch, f"{n}.txt") for n in ("wanted", "constraints", "excluded"))
            wanted.write_text("\n".join(missing) + "\n")
            limits.write_text("".join(f"{n}=={v.public}\n" for n, v in sorted(self.have.items())))
            never.write_text("".join(f"{name}\n" for name in (*self.excluded, *sorted(self.own))))
            plain = ["--no-header", "--no-annotate", "--constraints", str(limits), "--excludes", str(never)]
            found = _uv(["pip", "compile", *plain, str(wanted)], self.module, self.say)
        return [pin for line in found if (pin := _pin(line)) is not None]

    def _missing(self, name: str) -> list[Requirement]:
        there = {**_versions([str(self.target)]), **self.have}
        missing = []
        for need, because in self._needs(name):
            key = canonicalize_name(need.name)
            version = there.get(key)
            if key in self.have and not _fits(need, self.have[key]):
                raise EnvironmentMissing(
                    f"the environment {self.module} needs {need}{because}, "
                    f"but the training stack has {need.name} {self.have[key]}",
                    hint=Hint(f"widen the dependency on {need.name} in the environment's pyproject.toml"),
                )
            if version is None or not _fits(need, version):
                if key in self.own:
                    raise self._absent(need, version)
                missing.append(need)
        return missing

    def _needs(self, name: str) -> Iterator[tuple[Requirement, str]]:
        """What a distribution needs, and what the extras that it asks for need of those that are there.

        The second of each pair is `, by verifiers[ta]`, or empty.
        """
        todo, seen = [(need, "") for need in _requires(name, [str(self.target)])], set[tuple[str, str]]()
        while todo:
            need, because = todo.pop(0)
            yield need, because
            for extra in sorted(need.extras):
                key = canonicalize_name(need.name), extra
                if key not in seen:
                    seen.add(key)
                    also = _requires(need.name, [*self.path, str(self.target)], extra)
                    todo += [(more, f", by {need.name}[{extra}]") for more in also]

    def _check_own(self) -> None:
        """What packages of the index need of our own was left out when they were looked up."""
        there = {**_versions([str(self.target)]), **self.have}
        for distribution in metadata.distributions(path=[str(self.target)]):
            for need in _requires(distribution.metadata["Name"], [str(self.target)]):
                version = there.get(name := canonicalize_name(need.name))
                if name in self.own and (version is None or not _fits(need, version)):
                    raise self._absent(need, version)

    def _absent(self, need: Requirement, version: Version | None) -> EnvironmentMissing:
        if version is not None:
            there = f"the package of that name beside it is {version}"
        else:
            there = "which is not there: it is no package of an index but of this project's environments/"
        return EnvironmentMissing(
            f"the environment {self.module} needs {need}, {there}",
            hint=Hint(f"put {need.name} beside it, at a version that fits, or drop the dependency"),
        )


def _requires(name: str, path: list[str], extra: str = "") -> list[Requirement]:
    """What an installed distribution needs on this machine; with `extra`, what that adds."""
    found = next(iter(metadata.Distribution.discover(name=name, path=path)), None)
    wanted = []
    for text in (found.requires if found else None) or []:
        need = Requirement(text)
        marker, need.marker = need.marker, None
        plain = marker is None or marker.evaluate({"extra": ""})
        if plain if not extra else not plain and marker is not None and marker.evaluate({"extra": extra}):
            wanted.append(need)
    return wanted


def _fits(need: Requirement, version: Version) -> bool:
    return need.specifier.contains(version, prereleases=True)


def _installed(name: str, target: Path) -> metadata.Distribution:
    return next(iter(metadata.Distribution.discover(name=name, path=[str(target)])))


def _versions(path: list[str]) -> dict[str, Version]:
    """Installed distributions by canonical name; the first on the path counts, as it does for imports."""
    found: dict[str, Version] = {}
    for distribution in metadata.distributions(path=path):
        try:
            found.setdefault(canonicalize_name(distribution.metadata["Name"]), Version(distribution.version))
        except (InvalidVersion, TypeError):
            continue  # half-removed or hand-made: nothing can be pinned to it
    return found


def _pin(line: str) -> Requirement | None:
    line = line.strip()
    return Requirement(line) if "==" in line or " @ " in line else None


def _uv(arguments: list[str], module: str, say: Say) -> list[str]:
    """Run uv and return its lines; from what is cached if that suffices, else over the network."""
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
    lines: list[str] = []
    with subprocess.Popen(
        command,
        env=uv.environment(os.environ),  # an environment's build has no use for the run's secrets
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                lines.append(redact.line(line.rstrip()))
                if say is not None:
                    say(lines[-1])
        except BaseException:
            process.kill()  # whoever stops listening must not leave an installer behind
            raise
    return process.returncode, lines

"""Packages of `environments/` that other packages of `environments/` need.

Owns finding them: a dependency whose name a sibling folder's package bears is that sibling, never what the
package index has under the name. Installing is `environment_packages`'.
"""

from __future__ import annotations

from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from remote.contract.environment_package import package_name, packages_in, project_of, table
from remote.contract.errors import EnvironmentMissing


def siblings(source: Path) -> list[Path]:
    """The sibling folders that the package in `source` needs, and those that they need, the deepest first.

    A pyproject.toml that cannot be read has no say here: whoever installs it says what is wrong with it.
    """
    folders = beside(source)
    found: list[Path] = []
    _collect(source, folders, found, {source})
    return found


def beside(source: Path) -> dict[str, Path]:
    """The packages that lie beside a folder, it among them: canonical name → folder."""
    return {name: path for path in packages_in(source.parent) if (name := _name(path))}


def _collect(source: Path, folders: dict[str, Path], found: list[Path], seen: set[Path]) -> None:
    for name in _needs(source):
        folder = folders.get(name)
        if folder is not None and folder not in seen:
            seen.add(folder)
            _collect(folder, folders, found, seen)
            found.append(folder)


def _name(folder: Path) -> str:
    try:
        return canonicalize_name(package_name(folder))
    except EnvironmentMissing:
        return ""


def _needs(folder: Path) -> list[str]:
    try:
        given = table(project_of(folder), "project").get("dependencies", [])
    except EnvironmentMissing:
        return []
    names: list[str] = []
    for text in given if isinstance(given, list) else []:
        try:
            names.append(canonicalize_name(Requirement(str(text)).name))
        except InvalidRequirement:
            continue
    return names

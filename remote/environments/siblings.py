"""Packages of `environments/` that other packages of `environments/` need.

Owns finding them: a dependency whose name a sibling folder's package bears is that sibling, never what the
package index has under the name. Installing is `environment_packages`'.
"""

from __future__ import annotations

import re
from pathlib import Path

from remote.contract.environment_package import package_name, packages_in, project_of, table
from remote.contract.errors import EnvironmentMissing

# By hand: what is looked up before a launch runs where `packaging` need not be.
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:$|[\[;@(<>=!~])", re.ASCII)


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
        return _canonical(package_name(folder))
    except EnvironmentMissing:
        return ""


def _needs(folder: Path) -> list[str]:
    try:
        given = table(project_of(folder), "project").get("dependencies", [])
    except EnvironmentMissing:
        return []
    found = (_NAME.match(str(text)) for text in (given if isinstance(given, list) else []))
    return [_canonical(match[1]) for match in found if match]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

"""Find packages of `environments/` on which other packages of `environments/` depend.

A dependency with the name of a sibling folder's package is that sibling, never a package of the index.
"""

from __future__ import annotations

import re
from pathlib import Path

from remote.contract.environment_package import package_name, packages_in, project_of, table
from remote.contract.errors import EnvironmentMissing

# Without `packaging`, which the client, where `pin.py` runs, need not have.
_NAME = re.compile(r"\s*([A-Za-z0-9](?:[\w.-]*[A-Za-z0-9])?)\s*(?:$|[\[;@(<>=!~])", re.ASCII)


def siblings(source: Path) -> list[Path]:
    """The sibling folders that the package in `source` needs, directly or not, the deepest first.

    An unreadable pyproject.toml is ignored here, and reported by the installation.
    """
    folders = beside(source)
    deepest_first: list[Path] = []
    _collect(source, folders, deepest_first, {source})
    return deepest_first


def beside(source: Path) -> dict[str, Path]:
    """The packages beside a folder, with its own: canonical name → folder."""
    return {name: path for path in packages_in(source.parent) if (name := _name(path))}


def _collect(source: Path, folders: dict[str, Path], deepest_first: list[Path], visited: set[Path]) -> None:
    for name in _needs(source):
        folder = folders.get(name)
        if folder is not None and folder not in visited:
            visited.add(folder)
            _collect(folder, folders, deepest_first, visited)
            deepest_first.append(folder)


def _name(folder: Path) -> str:
    try:
        return _canonical(package_name(folder))
    except EnvironmentMissing:
        return ""


def _needs(folder: Path) -> list[str]:
    try:
        dependencies = table(project_of(folder), "project").get("dependencies", [])
    except EnvironmentMissing:
        return []
    matches = (_NAME.match(str(text)) for text in (dependencies if isinstance(dependencies, list) else []))
    return [_canonical(match[1]) for match in matches if match]


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()

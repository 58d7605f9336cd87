"""Packages of `environments/` that other packages of `environments/` need.

Owns finding them: a dependency whose name a sibling folder's package bears is that sibling, never what the
package index has under the name. Installing is `environment_packages`'.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


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
    return {name: path.parent for path in source.parent.glob("*/pyproject.toml") if (name := _name(path))}


def _collect(source: Path, folders: dict[str, Path], found: list[Path], seen: set[Path]) -> None:
    for name in _needs(source / "pyproject.toml"):
        folder = folders.get(name)
        if folder is not None and folder not in seen:
            seen.add(folder)
            _collect(folder, folders, found, seen)
            found.append(folder)


def _name(file: Path) -> str:
    name = _project(file).get("name")
    return canonicalize_name(name) if isinstance(name, str) else ""


def _needs(file: Path) -> list[str]:
    given = _project(file).get("dependencies", [])
    names: list[str] = []
    for text in given if isinstance(given, list) else []:
        try:
            names.append(canonicalize_name(Requirement(str(text)).name))
        except InvalidRequirement:
            continue
    return names


def _project(file: Path) -> dict[str, Any]:
    try:
        project = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except (OSError, ValueError):
        return {}
    return project if isinstance(project, dict) else {}

"""Paths in a volume, typed by users and named by the server. Pure functions.

Owns the checks that neither leaves its folder: a typed path stays in the volume, a file that the server names
in the folder of its download.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from remote.contract.errors import ConfigError, DiskError, Hint


def inside(volume: str, path: str) -> str:
    """A typed path, normalised; the root is empty. Raises `ConfigError` if it leaves the volume."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or "\0" in path:
        raise leaves(volume, path)
    return "/".join(relative.parts)


def leaves(volume: str, path: str) -> ConfigError:
    """The error of a path that leaves the volume."""
    return ConfigError(
        f"{path!r} leaves the volume {volume}",
        hint=Hint("name a path inside the volume, as `vfm ls` shows it"),
    )


def below(folder: str, named: str) -> PurePosixPath:
    """The path of a file that the server names, relative to a folder. Raises `DiskError` if it is outside.

    No server may choose where on this machine a file is written.
    """
    path, base = PurePosixPath(named), PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts or "\0" in named or not path.is_relative_to(base):
        raise DiskError(
            f"the server names a file {named!r}, which does not lie in {folder or 'the volume'!r}",
            hint=Hint("nothing was written; download the files that you need one by one"),
        )
    return path.relative_to(base)

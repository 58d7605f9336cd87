"""Paths of a volume, as people type them and as the server names them.

Owns that neither leaves its folder: what is typed stays in the volume, and what a server calls a file stays
in the folder that it is downloaded to. Nothing here asks anybody.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from remote.contract.errors import ConfigError, DiskError, Hint


def inside(volume: str, path: str) -> str:
    """A typed path, tidied; the volume's root is the empty one. Raises `ConfigError` where it leaves."""
    relative = PurePosixPath(path)
    if relative.is_absolute() or ".." in relative.parts or "\0" in path:
        raise leaves(volume, path)
    return "/".join(relative.parts)


def leaves(volume: str, path: str) -> ConfigError:
    """What to say of a path that is not in the volume."""
    return ConfigError(
        f"{path!r} leaves the volume {volume}",
        hint=Hint("name a path inside the volume, as `vfm ls` shows it"),
    )


def below(folder: str, named: str) -> PurePosixPath:
    """Where a file that the server names lies below a folder. Raises `DiskError` where it does not.

    A server that is wrong, or worse, must not choose where on this machine a file is written.
    """
    path, base = PurePosixPath(named), PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts or "\0" in named or not path.is_relative_to(base):
        raise DiskError(
            f"the server names a file {named!r}, which does not lie in {folder or 'the volume'!r}",
            hint=Hint("nothing was written; download the files that you need one by one"),
        )
    return path.relative_to(base)

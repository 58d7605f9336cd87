"""List folders of this machine: files, folders, and special entries with the reason.

Owns following links: within a folder, never in a circle. Copies leave special entries out.
"""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from tui.backends.base import Entry
from tui.backends.destination import KINDS

LEAVES = "a link that leaves the volume"
NOWHERE = "a broken link"
CIRCLE = "a link back to a folder that holds it"
OFTEN = "a link to a folder that many other links lead to"
TIMES = 8
"""How often a folder is listed through links, which may lead to one another."""


def tree(folder: Path, prefix: str = "", *, within: Path | None = None) -> Iterator[Entry]:
    """All entries below a folder, each folder before its content; paths begin with `prefix`.

    within: a resolved folder that links may not leave; None allows any link. Raises `OSError` where the
    folder itself cannot be listed.
    """
    real = os.path.realpath(folder)
    inside = None if within is None else str(within)
    return _below(str(folder), real, prefix, inside, frozenset((real,)), Counter())


def children(folder: Path, prefix: str = "", *, within: Path | None = None) -> Iterator[Entry]:
    """The entries of a folder itself. As `tree`."""
    real = os.path.realpath(folder)
    for name in _names(str(folder)):
        found = _look(str(folder), real, name, prefix, None if within is None else str(within))
        if found:
            yield found[0]


def look(path: Path) -> Entry:
    """The entry of a path, following any link. Raises `FileNotFoundError`."""
    found = _look(str(path.parent), os.path.realpath(path.parent), path.name, "", None)
    if found is None:
        raise FileNotFoundError(f"there is no {path}")
    return found[0]


def _below(
    folder: str, real: str, prefix: str, within: str | None, above: frozenset[str], linked: Counter[str]
) -> Iterator[Entry]:
    try:
        names = _names(folder)
    except OSError:
        if len(above) == 1:
            raise
        return  # deleted meanwhile, as old checkpoints of a live run are
    for name in names:
        found = _look(folder, real, name, prefix, within)
        if found is None:
            continue
        entry, leads_to = found
        if not entry.is_dir:
            yield entry
        elif entry.is_link and (leads_to in above or _is_in(real, leads_to)):
            yield replace(entry, is_dir=False, special=CIRCLE)
        elif entry.is_link and linked[leads_to] == TIMES:
            yield replace(entry, is_dir=False, special=OFTEN)
        elif why := _unlistable(leads_to):
            yield replace(entry, is_dir=False, special=why)
        else:
            yield entry
            linked[leads_to] += entry.is_link
            path, higher = f"{folder}/{name}", above | {leads_to}
            yield from _below(path, leads_to, f"{entry.path}/", within, higher, linked)


def _look(folder: str, real: str, name: str, prefix: str, within: str | None) -> tuple[Entry, str] | None:
    """An entry of a folder, and its resolved path; None where it was just deleted."""
    path, leads_to = f"{folder}/{name}", f"{real}/{name}"
    try:
        own = os.lstat(path)
    except OSError:
        return None
    is_link = stat.S_ISLNK(own.st_mode)
    found = Entry(prefix + name, False, own.st_size, own.st_mtime, is_link)
    if is_link:
        try:
            leads_to = os.path.realpath(path, strict=True)
            own = os.stat(path)
        except OSError as error:
            nowhere = isinstance(error, FileNotFoundError | NotADirectoryError)
            return replace(found, special=NOWHERE if nowhere else CIRCLE), leads_to
        if within is not None and not _is_in(leads_to, within):
            return replace(found, special=LEAVES), leads_to
    if stat.S_ISDIR(own.st_mode):
        return replace(found, is_dir=True, size=0, modified=own.st_mtime), leads_to
    why = KINDS.get(stat.S_IFMT(own.st_mode), "")
    if not why and not os.access(path, os.R_OK):
        why = "cannot be read"
    return replace(found, size=0 if why else own.st_size, modified=own.st_mtime, special=why), leads_to


def _names(folder: str) -> list[str]:
    with os.scandir(folder) as found:
        return sorted(entry.name for entry in found)


def _unlistable(folder: str) -> str:
    try:
        os.scandir(folder).close()
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    return ""


def _is_in(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")

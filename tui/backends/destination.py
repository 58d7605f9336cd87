"""Targets of copies: existing files are replaced only by request, and written through part files.

Owns the errors, and that no other program's file is taken for a part file. Every function blocks.
"""

from __future__ import annotations

import fcntl
import filecmp
import hashlib
import os
import stat
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, TypeVar

from remote.contract.errors import ConfigError, Hint
from tui.text.format import listed

PART = ".part"
T = TypeVar("T")
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Occupied(ConfigError):
    """Targets of a copy exist and differ; `force` replaces them."""

    def __init__(self, paths: Sequence[str]) -> None:
        many = len(paths) > 1
        differ = "exist already and differ" if many else "exists already and differs"
        super().__init__(
            f"{listed(paths)} {differ}: nothing was copied",
            hint=Hint(f"replace {'them' if many else 'it'} with --force, or choose another place"),
        )
        self.paths = list(paths)


def written_to(target: Path) -> Path:
    """The path that writing to `target` changes: the target of a link.

    Raises `ConfigError` where no file can be written: at a folder, a pipe, a device, a broken link, or below
    a file.
    """
    try:
        found = os.lstat(target)
    except (FileNotFoundError, NotADirectoryError):
        above = next(path for path in target.absolute().parents if os.path.lexists(path))
        if not above.is_dir():
            raise ConfigError(
                f"{above} is not a folder: {target} cannot be created",
                hint=Hint("choose another place, or remove it first"),
            ) from None
        return target
    if stat.S_ISLNK(found.st_mode):
        try:
            target = Path(os.path.realpath(target, strict=True))
            found = os.stat(target)
        except OSError:
            raise _in_the_way(target, "a broken link") from None
    if stat.S_ISDIR(found.st_mode):
        raise _in_the_way(target, "a folder")
    if kind := KINDS.get(stat.S_IFMT(found.st_mode)):
        raise _in_the_way(target, kind)
    return target


def takes_bytes(target: Path) -> bool:
    """Whether a path is a pipe or a device, which is written to directly."""
    try:
        mode = target.stat().st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)


def part_of(target: Path, origin: str) -> Path:
    """The part file for a copy of `origin`, named after both, in at most 255 bytes."""
    whose = hashlib.sha256(os.fsencode(origin)).hexdigest()[:12]
    name = f"{target.name}.vfm-{whose}{PART}"
    if len(os.fsencode(name)) > 240:  # files beside it have longer names
        name = hashlib.sha256(os.fsencode(name)).hexdigest() + PART
    return target.with_name(name)


def open_part(part: Path) -> BinaryIO:
    """Open or create a part file for reading and appending; it is locked until closed.

    A link, a pipe or another user's file of that name is removed first. Raises `BlockingIOError` where
    another copy writes it.
    """
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    part.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(part) and not _is_ours(os.lstat(part)):
        os.unlink(part)
    number = os.open(part, flags, 0o666)
    if not _is_ours(os.fstat(number)):
        os.close(number)
        raise FileExistsError(17, "another program's file took its place", str(part))
    file = os.fdopen(number, "a+b")
    try:
        _lock(file, part)
    except BaseException:
        file.close()
        raise
    return file


def give_name(part: Path, target: Path, *, force: bool) -> None:
    """Rename a complete part file to the target. Raises `Occupied` where that exists by now."""
    if not force:
        try:
            os.link(part, target)  # unlike a rename, fails where the file exists
        except FileExistsError:
            raise Occupied([str(target)]) from None
        except OSError:  # a file system without links
            if os.path.lexists(target):
                raise Occupied([str(target)]) from None
        else:
            part.unlink()
            return
    os.replace(part, target)


def write_file(target: Path, write: Callable[[BinaryIO], T], *, force: bool = False) -> T:
    """Write a file that a user named, completely or not at all. Returns the result of `write`.

    Missing folders are created; an identical file is kept. Raises `Occupied` where an existing file differs,
    unless `force` is set; `ConfigError` where no file can be written; `OSError`.
    """
    is_taken = os.path.lexists(target)
    target = written_to(target)
    part = part_of(target, f"{os.getpid()}:{target}")
    with open_part(part) as file:
        try:
            found = write(file)
            file.flush()
            if is_taken and filecmp.cmp(part, target, shallow=False):
                part.unlink()
            else:
                give_name(part, target, force=force)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
    return found


def _lock(file: BinaryIO, part: Path) -> None:
    busy = BlockingIOError(11, "another copy is writing it: wait until that ends", str(part))
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise busy from None
    except OSError:
        return  # a file system without locks
    with suppress(FileNotFoundError):
        if os.path.samestat(os.fstat(file.fileno()), os.stat(part)):
            return
    raise busy  # it was renamed before it was locked


def _is_ours(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink <= 1 and found.st_uid == os.geteuid()


def _in_the_way(target: Path, what: str) -> ConfigError:
    return ConfigError(
        f"{target} is {what}: no file can be written there",
        hint=Hint("choose another place, or remove it first"),
    )

"""Choose the files that a copy of a local folder copies, the folders it creates, and what it leaves out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from remote.contract.errors import ConfigError, DiskError, Hint
from tui.backends.base import Entry, LeftOut, Transfer
from tui.backends.copy_files import Copy
from tui.backends.file_tree import look, tree


def given(source: Path, target: Path, transfer: Transfer) -> tuple[list[Copy], list[Path]]:
    """The files that an upload of `source` copies, and folders without files.

    Raises `ConfigError` where there is nothing to copy.
    """
    try:
        found = look(source)
    except FileNotFoundError:
        hint = Hint("name a file or folder of this machine")
        raise ConfigError(f"there is no {source}", hint=hint) from None
    if found.special:
        raise ConfigError(f"{source} is {found.special}: there is nothing to copy", hint=Hint("name a file"))
    if not found.is_dir:
        return [Copy(source, target, found.size, str(source))], []
    copies, folders = sorted_out(
        _noted(tree(source), source, transfer), source, target, f"{source}/", transfer
    )
    if not copies:
        why = "".join(f"; {entry.path} is {entry.why}" for entry in transfer.left_out[:3])
        raise ConfigError(f"there is no file to copy in {source}{why}", hint=Hint("name a folder with files"))
    return copies, folders


def _noted(entries: Iterable[Entry], source: Path, transfer: Transfer) -> Iterator[Entry]:
    """The same entries; links out of `source` are added to `transfer.followed`."""
    real = source.resolve()
    for entry in entries:
        if entry.is_link and not entry.special and not (source / entry.path).resolve().is_relative_to(real):
            transfer.followed.append(f"{source}/{entry.path}")
        yield entry


def sorted_out(
    entries: Iterable[Entry], source: Path, target: Path, prefix: str, transfer: Transfer
) -> tuple[list[Copy], list[Path]]:
    """The copies of entries of `source`, and folders of `target` that no file is in.

    Special entries are added to `transfer.left_out`, with `prefix` before their path.
    """
    copies, folders, parents = [], [target], set[str]()
    for entry in entries:
        if entry.special:
            transfer.left_out.append(LeftOut(prefix + entry.path, entry.special))
        elif entry.is_dir:
            folders.append(target / entry.path)
        else:
            copies.append(Copy(source / entry.path, target / entry.path, entry.size, prefix + entry.path))
            parents.add(str(copies[-1].target.parent))
    return copies, [folder for folder in folders if str(folder) not in parents]


def make_folders(folders: list[Path]) -> None:
    """Create folders. Raises `DiskError`."""
    for folder in folders:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(
                f"cannot create the folder {folder}: {error.strerror or error}",
                cause=str(error),
                hint=Hint("name another place"),
            ) from error

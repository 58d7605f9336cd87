"""The local backend's volumes: folders under `$VFM_HOME/volumes`, named as on Modal.

Owns keeping every path inside its volume.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from remote.contract import layout
from remote.contract.errors import ConfigError, DiskError, Hint
from remote.contract.plain_files import open_plain
from tui.backends.base import Entry, Progress, Transfer, VolumeInfo
from tui.backends.copy_files import Copy, copy_all
from tui.backends.copy_plan import given, make_folders, sorted_out
from tui.backends.file_tree import children, look, tree

PREFIX = "verifiers-"

# Within the class `list` is the method.
_Infos: TypeAlias = list[VolumeInfo]
_Entries: TypeAlias = list[Entry]
_Paths: TypeAlias = list[Path]
_Copies: TypeAlias = list[Copy]


class LocalVolumes:
    """Volumes as folders; methods as in `Volumes`."""

    def __init__(self, home: Path) -> None:
        self.root = home / "volumes"

    async def volumes(self) -> _Infos:
        return await asyncio.to_thread(self._volumes)

    async def list(self, volume: str, path: str = "", *, recursive: bool = False) -> _Entries:
        return await asyncio.to_thread(self._list, volume, path, recursive)

    async def read(self, volume: str, path: str, offset: int = 0, size: int = -1) -> bytes:
        return await asyncio.to_thread(self._read, volume, path, offset, size)

    async def download(
        self,
        volume: str,
        path: str,
        dest: Path,
        progress: Progress | None = None,
        *,
        force: bool = False,
    ) -> Transfer:
        transfer = Transfer()
        copies, folders = await asyncio.to_thread(self._downloads, volume, path, dest, transfer)
        await copy_all(copies, transfer, progress or (lambda _: None), force=force)
        await asyncio.to_thread(make_folders, folders)
        return transfer

    async def upload(
        self,
        volume: str,
        source: Path,
        path: str,
        progress: Progress | None = None,
        *,
        force: bool = False,
    ) -> Transfer:
        transfer, source = Transfer(), Path(os.path.abspath(source))
        copies, folders = await asyncio.to_thread(self._uploads, volume, source, path, transfer)
        await copy_all(copies, transfer, progress or (lambda _: None), force=force)
        await asyncio.to_thread(make_folders, folders)
        return transfer

    async def remove(self, volume: str, path: str) -> None:
        await asyncio.to_thread(self._remove, volume, path)

    def _volumes(self) -> _Infos:
        if not has_volumes(self.root):
            return []
        found = [e for e in os.scandir(self.root) if e.is_dir() and e.name.startswith(PREFIX)]
        infos = [VolumeInfo(e.name, "local", e.stat().st_ctime) for e in found]
        return sorted(infos, key=lambda info: info.name)

    def _list(self, volume: str, path: str, recursive: bool) -> _Entries:
        base, start = self._base(volume), self._resolve(volume, path)
        relative = PurePosixPath(path).as_posix()
        if not start.is_dir():
            return [replace(look(start), path=relative)]
        walk = tree if recursive else children
        entries = walk(start, "" if relative == "." else f"{relative}/", within=base)
        return sorted(entries, key=lambda entry: (not entry.is_dir, entry.path))

    def _read(self, volume: str, path: str, offset: int, size: int) -> bytes:
        found = self._resolve(volume, path)
        if not found.is_dir() and (why := look(found).special):
            raise ConfigError(f"{path!r} is {why}", hint=Hint("only files can be read"))
        with open(found, "rb", opener=open_plain) as file:
            file.seek(offset)
            return file.read(size)

    def _remove(self, volume: str, path: str) -> None:
        relative = self._relative(volume, path)
        # Resolve only the folder above: of a link, the target stays.
        target = self._resolve(volume, str(relative.parent)) / relative.name
        if not relative.name:
            raise ConfigError(
                f"{path!r} is the whole volume {volume}", hint=Hint("name a folder or file in it")
            )
        if not os.path.lexists(target):
            raise FileNotFoundError(f"there is no {path!r} in volume {volume}")
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink()

    def _downloads(self, volume: str, path: str, dest: Path, transfer: Transfer) -> tuple[_Copies, _Paths]:
        """The files to copy, and folders to create that no file is in."""
        source = self._resolve(volume, path)
        if not source.is_dir():
            if why := look(source).special:
                raise ConfigError(f"{path!r} is {why}", hint=Hint("name a file or a folder"))
            target = dest / source.name if dest.is_dir() else dest
            return [replace(Copy.of(source, target), shown=path)], []
        target = dest / (PurePosixPath(path).name or volume)
        prefix = "".join(f"{part}/" for part in PurePosixPath(path).parts)
        found = tree(source, within=self._base(volume))
        entries = (entry for entry in found if not layout.is_lock(prefix + entry.path))
        return sorted_out(entries, source, target, prefix, transfer)

    def _uploads(self, volume: str, source: Path, path: str, transfer: Transfer) -> tuple[_Copies, _Paths]:
        """As `_downloads`. Every target is checked, since a link in the volume may lead out of it."""
        target = self._base(volume) / self._relative(volume, path) / source.name
        copies, folders = given(source, target, transfer)
        parents = {copy.target.parent for copy in copies} | {*folders}
        links = (copy.target for copy in copies if copy.target.is_symlink())
        for target in (*parents, *links):
            if not self._is_inside(volume, target):
                raise self._leaves(volume, path)
        return copies, folders

    def _base(self, volume: str) -> Path:
        base = self.root / volume
        if not volume.startswith(PREFIX) or "/" in volume or not base.is_dir():
            raise FileNotFoundError(f"there is no volume {volume!r}")
        return base.resolve()

    def _resolve(self, volume: str, path: str) -> Path:
        found = self._base(volume) / self._relative(volume, path)
        if not self._is_inside(volume, found):
            raise self._leaves(volume, path)
        if not found.exists():
            raise FileNotFoundError(f"there is no {path!r} in volume {volume}")
        return found

    def _relative(self, volume: str, path: str) -> PurePosixPath:
        relative = PurePosixPath(path)
        if relative.is_absolute() or ".." in relative.parts:
            raise self._leaves(volume, path)
        return relative

    def _is_inside(self, volume: str, path: Path) -> bool:
        return path.resolve().is_relative_to(self._base(volume))

    def _leaves(self, volume: str, path: str) -> ConfigError:
        return ConfigError(
            f"{path!r} leaves the volume {volume}",
            hint=Hint("name a path inside the volume, as `vfm ls` shows it"),
        )


def has_volumes(root: Path) -> bool:
    """Whether the folder of volumes exists. Raises `DiskError` where it cannot be listed."""
    try:
        os.scandir(root).close()
        return True
    except OSError as error:
        if isinstance(error, FileNotFoundError) and not os.path.lexists(root):
            return False
        raise DiskError(
            f"cannot list {root}: {error.strerror or error}",
            cause=str(error),
            hint=Hint("runs and volumes are there: check its type and owner, or move VFM_HOME"),
        ) from error

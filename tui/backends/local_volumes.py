"""The local backend's volumes: folders under `$VFM_HOME/volumes`, named exactly as on Modal.

Owns listing, reading, downloading, uploading and removing what is in them, and keeping every path inside.
What else is written into them is the far side's matter.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import TypeAlias

from remote.contract.errors import ConfigError, Hint
from tui.backends.base import Entry, Progress, Transfer, VolumeInfo
from tui.backends.local_copy import Copy

PREFIX = "verifiers-"

# Within the class `list` is the method.
_Infos: TypeAlias = list[VolumeInfo]
_Entries: TypeAlias = list[Entry]
_Paths: TypeAlias = list[Path]
_Copies: TypeAlias = list[Copy]


class LocalVolumes:
    """Volumes as folders. A path is relative to its volume and uses `/`."""

    def __init__(self, home: Path) -> None:
        self.root = home / "volumes"

    async def volumes(self) -> _Infos:
        """All volumes of ours, by name."""
        return await asyncio.to_thread(self._volumes)

    async def list(self, volume: str, path: str = "", *, recursive: bool = False) -> _Entries:
        """What lies under a path, folders first, then by name; a file lists itself."""
        return await asyncio.to_thread(self._list, volume, path, recursive)

    async def read(self, volume: str, path: str, offset: int = 0, size: int = -1) -> bytes:
        """A range of a file; `size` -1 is all the rest."""
        return await asyncio.to_thread(self._read, volume, path, offset, size)

    async def download(
        self, volume: str, path: str, dest: Path, progress: Progress | None = None
    ) -> Transfer:
        """Copy a folder to `dest/<its name>`, or a file to `dest` (into it where that is a folder).

        A copy that broke off goes on from its `.part` file; every file is verified by SHA-256; files
        that are there already, identical, are skipped. Raises `DiskError`.
        """
        source = self._resolve(volume, path)
        into = source.is_dir() or dest.is_dir()
        target = dest / source.name if into else dest
        transfer = Transfer()
        copies = await asyncio.to_thread(lambda: [*self._copies(volume, source, target)])
        transfer.total = sum(copy.size for copy in copies)
        for copy in copies:
            await copy.run(transfer, progress or (lambda _: None))
        return transfer

    async def upload(
        self, volume: str, source: Path, path: str, progress: Progress | None = None
    ) -> Transfer:
        """Copy a file, or a folder and what is in it, to `path/<its name>`, as `download` does.

        Raises `DiskError`, and `ConfigError` where the path leaves the volume or there is no such source.
        """
        transfer = Transfer()
        copies = await asyncio.to_thread(self._uploads, volume, Path(os.path.abspath(source)), path)
        transfer.total = sum(copy.size for copy in copies)
        for copy in copies:
            await copy.run(transfer, progress or (lambda _: None))
        return transfer

    async def remove(self, volume: str, path: str) -> None:
        """Delete a file or a folder; never a whole volume."""
        await asyncio.to_thread(self._remove, volume, path)

    def _volumes(self) -> _Infos:
        if not self.root.is_dir():
            return []
        found = [e for e in os.scandir(self.root) if e.is_dir() and e.name.startswith(PREFIX)]
        infos = [VolumeInfo(e.name, "local", e.stat().st_ctime) for e in found]
        return sorted(infos, key=lambda info: info.name)

    def _list(self, volume: str, path: str, recursive: bool) -> _Entries:
        base, start = self._base(volume), self._resolve(volume, path)
        if not start.is_dir():
            return [_entry(start, PurePosixPath(path))]
        relative = PurePosixPath(start.relative_to(base).as_posix())
        paths = self._walk(volume, start) if recursive else self._children(start)
        entries = [
            _entry(p, relative / p.relative_to(start).as_posix(), follow=self._is_inside(volume, p))
            for p in paths
        ]
        return sorted(entries, key=lambda entry: (not entry.is_dir, entry.path))

    def _read(self, volume: str, path: str, offset: int, size: int) -> bytes:
        with self._resolve(volume, path).open("rb") as file:
            file.seek(offset)
            return file.read(size)

    def _remove(self, volume: str, path: str) -> None:
        relative = self._relative(volume, path)
        # Only the folder above is resolved: a link goes itself, never what it points to.
        target = self._resolve(volume, str(relative.parent)) / relative.name
        if not relative.name:
            raise ConfigError(
                f"{path!r} is the whole volume {volume}", hint=Hint("name a folder or file in it")
            )
        if target.is_dir() and not target.is_symlink():
            shutil.rmtree(target)
        else:
            target.unlink()

    def _copies(self, volume: str, source: Path, target: Path) -> Iterator[Copy]:
        if not source.is_dir():
            yield Copy.of(source, target)
            return
        for path in self._walk(volume, source):
            if not self._is_inside(volume, path):
                raise self._leaves(volume, path.relative_to(self._base(volume)).as_posix())
            if not path.is_dir():
                yield Copy.of(path, target / path.relative_to(source))

    def _uploads(self, volume: str, source: Path, path: str) -> _Copies:
        """Every single target is looked at: a link in the volume may lead out of it."""
        target = self._base(volume) / self._relative(volume, path) / source.name
        if not source.exists():
            raise ConfigError(f"there is no {source}", hint=Hint("name a file or folder of this machine"))
        files = [source] if source.is_file() else [p for p in sorted(source.rglob("*")) if p.is_file()]
        copies = [Copy.of(file, target / file.relative_to(source)) for file in files]
        for copy in copies:
            if not self._is_inside(volume, copy.target):
                raise self._leaves(volume, path)
        return copies

    def _walk(self, volume: str, folder: Path, above: frozenset[Path] = frozenset()) -> Iterator[Path]:
        """Everything below a folder; a link out of the volume, or back to a folder above, is not followed."""
        above = above | {folder.resolve()}
        for path in self._children(folder):
            yield path
            if path.is_dir() and self._is_inside(volume, path) and path.resolve() not in above:
                yield from self._walk(volume, path, above)

    def _children(self, folder: Path) -> _Paths:
        """What lies in a folder, without links that point nowhere and files that are just vanishing."""
        return [path for path in sorted(folder.iterdir()) if path.exists()]

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


def _entry(path: Path, relative: PurePosixPath, follow: bool = True) -> Entry:
    """A link that leaves the volume is shown as what it is: a small file that cannot be opened."""
    stat = path.stat(follow_symlinks=follow)
    is_dir = follow and path.is_dir()
    return Entry(str(relative), is_dir, 0 if is_dir else stat.st_size, stat.st_mtime)

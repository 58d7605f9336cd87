"""A container's view of a volume: the volume itself or, with `Faults.private_volumes`, a copy.

Only what is committed of a copy reaches the volume; the rest is lost with the container, as at Modal. What
Modal does with files that are open for writing is not documented, so it is a switch:
`Faults.open_files_left_out`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path

from tests.modal.cloud.faults import Faults
from tests.modal.cloud.state import Container, Volume

SYNCED = "synced"
"""The file of a container's folder that says what its process has synced (`boot.py`)."""


class Views:
    """The containers' copies of volumes, by container and volume."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._views: dict[tuple[str, str], _View] = {}

    def folder(self, container: Container, volume: Volume) -> Path:
        """The folder in which a container has the volume's files."""
        if not self._faults.private_volumes:
            return volume.folder
        folder = container.root / "volumes" / volume.volume_id
        view = _View(folder, volume, self._faults, container.root / SYNCED)
        view.reload()
        self._views[container.task_id, volume.volume_id] = view
        return view.folder

    def commit(self, task_id: str, volume: Volume) -> None:
        """Copy the container's changes into the volume."""
        if view := self._views.get((task_id, volume.volume_id)):
            view.commit()

    def reload(self, task_id: str, volume: Volume) -> None:
        """Copy the volume's changes into the container's copy."""
        if view := self._views.get((task_id, volume.volume_id)):
            view.reload()


class _View:
    def __init__(self, folder: Path, volume: Volume, faults: Faults, synced: Path) -> None:
        self.folder = folder
        self._volume, self._faults, self._synced = volume, faults, synced
        self._known: set[Path] = set()
        """The files that were there on both sides, so that one that is gone was removed."""

    def commit(self) -> None:
        left_out = self._faults.open_files_left_out
        self._copy(self.folder, self._volume.folder, _open_for_writing(self.folder) if left_out else set())

    def reload(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._copy(self._volume.folder, self.folder)

    def _copy(self, source: Path, target: Path, is_open: Collection[Path] = ()) -> None:
        files = {one.relative_to(source) for one in source.rglob("*") if one.is_file()}
        for name in self._known - files:
            (target / name).unlink(missing_ok=True)
        for name in files:
            if _state(source / name) != _state(target / name):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                fresh = (target / name).with_name(f".{name.name}.part")
                shutil.copy2(source / name, fresh)
                if name in is_open:
                    size = self._size_when_synced(source / name)
                    if size is None:
                        fresh.unlink()
                        continue
                    os.truncate(fresh, size)
                fresh.replace(target / name)
        self._known = files

    def _size_when_synced(self, path: Path) -> int | None:
        """The file's size at its last fsync, as `boot.py` noted it; None without one."""
        inode = path.stat().st_ino
        lines = self._synced.read_text().splitlines() if self._synced.exists() else []
        sizes = [int(size) for number, size in map(str.split, lines) if int(number) == inode]
        return sizes[-1] if sizes else None


def _open_for_writing(folder: Path) -> set[Path]:
    """Files of the folder, relative to it, that a process has open for writing."""
    found = set()
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        with suppress(OSError):  # it is gone by now
            path = fd.readlink()
            if path.is_relative_to(folder) and _writes(fd):
                found.add(path.relative_to(folder))
    return found


def _writes(fd: Path) -> bool:
    info = (fd.parents[1] / "fdinfo" / fd.name).read_text()
    flags = next(line for line in info.splitlines() if line.startswith("flags:"))
    return int(flags.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY


def _state(path: Path) -> tuple[int, int] | None:
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns

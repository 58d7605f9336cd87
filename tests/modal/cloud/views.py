"""What containers see of volumes: the volume itself or, with `Faults.private_volumes`, a copy of their own.

Of a copy, only what is committed reaches the volume, and what a container has not committed dies with it,
as at Modal.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.modal.cloud.faults import Faults
from tests.modal.cloud.state import Container, Volume


class Views:
    """The containers' copies of volumes, by container and volume."""

    def __init__(self, faults: Faults) -> None:
        self._faults = faults
        self._views: dict[tuple[str, str], _View] = {}

    def folder(self, container: Container, volume: Volume) -> Path:
        """Where the container finds the volume's files."""
        if not self._faults.private_volumes:
            return volume.folder
        view = _View(container.root / "volumes" / volume.volume_id, volume)
        view.reload()
        self._views[container.task_id, volume.volume_id] = view
        return view.folder

    def commit(self, task_id: str, volume: Volume) -> None:
        """Let others see what the container changed."""
        if view := self._views.get((task_id, volume.volume_id)):
            view.commit()

    def reload(self, task_id: str, volume: Volume) -> None:
        """Let the container see what others changed."""
        if view := self._views.get((task_id, volume.volume_id)):
            view.reload()


class _View:
    def __init__(self, folder: Path, volume: Volume) -> None:
        self.folder = folder
        self._volume = volume
        self._known: set[Path] = set()
        """The files that were there on both sides, so that one that is gone was removed."""

    def commit(self) -> None:
        self._copy(self.folder, self._volume.folder)

    def reload(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._copy(self._volume.folder, self.folder)

    def _copy(self, source: Path, target: Path) -> None:
        files = {one.relative_to(source) for one in source.rglob("*") if one.is_file()}
        for name in self._known - files:
            (target / name).unlink(missing_ok=True)
        for name in files:
            if _state(source / name) != _state(target / name):
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                fresh = (target / name).with_name(f".{name.name}.part")
                shutil.copy2(source / name, fresh)
                fresh.replace(target / name)
        self._known = files


def _state(path: Path) -> tuple[int, int] | None:
    if not path.is_file():
        return None
    stat = path.stat()
    return stat.st_size, stat.st_mtime_ns

"""Modal's volumes: list, read, download, upload, remove.

Owns finding a volume and keeping every path inside it. Downloads are `download.py`'s, uploads `upload.py`'s.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from remote.contract import layout
from remote.contract.errors import ConfigError, Hint
from tui.backends.base import Entry, LeftOut, Progress, Transfer, VolumeInfo
from tui.backends.copy_plan import given, make_folders
from tui.backends.modal.session import CALL_SECONDS, Session, within
from tui.backends.modal.volumes.part_file import RemoteFile
from tui.backends.modal.volumes.paths import below, inside

if TYPE_CHECKING:
    import modal

PREFIX = "verifiers-"
SILENCE = 10.0
"""Seconds without a byte after which a block counts as lost."""
LISTING = 60.0
"""Seconds that a recursive listing may take: a volume may have many thousand files."""
T = TypeVar("T")
_FOLDER, _LINK = 2, 3
_SPECIAL = {0: "neither a file nor a folder", _LINK: "a link", 4: "a pipe", 5: "a socket"}
"""Modal's types of entries besides files and folders."""

# Within the class `list` is the method.
_Infos: TypeAlias = list[VolumeInfo]
_Entries: TypeAlias = list[Entry]


class ModalVolumes:
    """The workspace's volumes; see `tui.backends.base.Volumes`.

    silence: seconds without a byte after which a connection is given up.
    """

    def __init__(self, session: Session, silence: float = SILENCE) -> None:
        self._session, self._silence = session, silence
        self._found: dict[str, modal.Volume] = {}

    async def volumes(self) -> _Infos:
        """All volumes of ours, by name. Raises `BackendError`."""
        client = await self._session.client()
        import modal

        async with within(CALL_SECONDS, "list the volumes"):
            found = [v for v in await modal.Volume.objects.list.aio(client=client) if _is_ours(v.name)]
            infos = [await volume.info.aio() for volume in found]
        self._found |= {volume.name: volume for volume in found if volume.name}
        named = [VolumeInfo(i.name or "", "modal", i.created_at.timestamp()) for i in infos]
        return sorted(named, key=lambda info: info.name)

    async def list(self, volume: str, path: str = "", *, recursive: bool = False) -> _Entries:
        """The entries in a folder, folders first, then by name; a file lists itself."""
        place = inside(volume, path)

        async def ask(found: modal.Volume) -> _Entries:
            async with within(LISTING if recursive else CALL_SECONDS, f"list {volume}"):
                entries = await found.listdir.aio(place or "/", recursive=recursive)
            return [_entry(e.path, int(e.type), e.size, e.mtime) for e in entries]

        entries = await self._on(volume, place, ask)
        return sorted(entries, key=lambda entry: (not entry.is_dir, entry.path))

    async def read(self, volume: str, path: str, offset: int = 0, size: int = -1) -> bytes:
        """A range of a file; `size` -1 is all the rest. Only this range is fetched."""
        place = inside(volume, path)
        await _import_transfers()
        from tui.backends.modal.volumes.blocks import Blocks

        async def ask(found: modal.Volume) -> bytes:
            blocks = Blocks(found, self._silence)
            addresses = await blocks.locate(place, offset, max(size, 0))
            data = b"".join([(await blocks.fetch(place, address)).data for address in addresses])
            return data if size < 0 else data[:size]

        return await self._on(volume, place, ask)

    async def download(
        self,
        volume: str,
        path: str,
        dest: Path,
        progress: Progress | None = None,
        *,
        force: bool = False,
    ) -> Transfer:
        """Copy a folder to `dest/<its name>`, or a file to `dest` (into it if that is a folder).

        A large file that was interrupted continues from its part file, block by block. Every block is
        verified by its size and by the SHA-256 that the server names, if it names one. A file of this machine
        counts as identical by its size and the time of change that its download gave it, or else by its
        contents. Links and special files are left out: the server does not say where a link leads. Raises
        `Occupied`, `DiskError` and `BackendError`, and `ConfigError` where there is nothing to copy.
        """
        place, transfer = inside(volume, path), Transfer()
        entries = await self.list(volume, place, recursive=True)
        is_file = len(entries) == 1 and entries[0].path == place and not entries[0].is_dir
        if is_file and entries[0].special:
            raise ConfigError(f"{path!r} is {entries[0].special}", hint=Hint("name a file or a folder"))
        name = PurePosixPath(place).name or volume
        target = dest / name if not is_file or await asyncio.to_thread(dest.is_dir) else dest
        files, folders = _sorted_out(entries, volume, place, target, transfer)
        await _import_transfers()
        from tui.backends.modal.volumes.blocks import Blocks
        from tui.backends.modal.volumes.download import Download

        blocks = Blocks(await self._volume(volume), self._silence)
        download = Download(blocks, transfer, progress or _ignore, partial(self._look, volume))
        await download.run(files, force=force)
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
        """Copy a file or a folder to `path/<its name>`, as `download` does.

        Links are followed wherever they lead; empty folders are left out, since Modal's volumes take only
        files. Raises `Occupied`, `DiskError` and `BackendError`, and `ConfigError` where the path leaves the
        volume or there is nothing to copy.
        """
        place, source, transfer = inside(volume, path), Path(os.path.abspath(source)), Transfer()
        target = PurePosixPath(place) / source.name
        found = await self._volume(volume)
        copies, folders = await asyncio.to_thread(given, source, Path(target), transfer)
        transfer.left_out += [
            LeftOut(f"{source}/{PurePosixPath(folder).relative_to(target)}", "a folder without a file")
            for folder in folders
            if PurePosixPath(folder) != target
        ]
        present = await self._present(volume, str(target))
        await _import_transfers()
        from tui.backends.modal.volumes.blocks import Blocks
        from tui.backends.modal.volumes.upload import Upload

        blocks = Blocks(found, self._silence)
        upload = Upload(found, blocks, transfer, progress or _ignore, self._silence)
        await upload.run(volume, copies, present, force=force)
        return transfer

    async def remove(self, volume: str, path: str) -> None:
        """Delete a file or a folder, never a whole volume; of a link only the link."""
        place = inside(volume, path)
        if not place:
            raise ConfigError(
                f"{path!r} is the whole volume {volume}", hint=Hint("name a folder or file in it")
            )
        beside = await self.list(volume, place.rpartition("/")[0])
        entry = next((entry for entry in beside if entry.path == place), None)
        if entry is None:
            raise FileNotFoundError(f"there is no {path!r} in volume {volume}")

        async def ask(found: modal.Volume) -> None:
            async with within(LISTING, f"delete {place}"):
                await found.remove_file.aio(place, recursive=entry.is_dir)

        await self._on(volume, place, ask)

    async def _present(self, volume: str, path: str) -> dict[str, Entry]:
        """The entries under a path, by their paths; empty where there is none."""
        try:
            return {entry.path: entry for entry in await self.list(volume, path, recursive=True)}
        except FileNotFoundError:
            return {}

    async def _look(self, volume: str, path: str) -> Entry | None:
        try:
            return (await self.list(volume, path))[0]
        except FileNotFoundError:
            return None

    async def _on(self, name: str, path: str, ask: Callable[[modal.Volume], Awaitable[T]]) -> T:
        """Ask a volume. It is found anew if it was deleted and made again since it was found."""
        known = name in self._found
        volume = await self._volume(name)
        from modal.exception import NotFoundError

        try:
            return await ask(volume)
        except NotFoundError as error:
            self._found.pop(name, None)
            if known and (await self._volume(name)).object_id != volume.object_id:
                return await self._on(name, path, ask)
            raise FileNotFoundError(f"there is no {path!r} in volume {name}") from error

    async def _volume(self, name: str) -> modal.Volume:
        if not _is_ours(name) or "/" in name:
            raise FileNotFoundError(f"there is no volume {name!r}")
        if name not in self._found:
            client = await self._session.client()
            import modal

            try:
                async with within(CALL_SECONDS, f"find the volume {name}"):
                    self._found[name] = await modal.Volume.from_name(name, client=client).hydrate.aio()
            except (modal.exception.NotFoundError, modal.exception.InvalidError) as error:
                raise FileNotFoundError(f"there is no volume {name!r}") from error
        return self._found[name]


def _is_ours(name: str | None) -> bool:
    return bool(name) and str(name).startswith(PREFIX)


def _entry(path: str, kind: int, size: int, modified: float) -> Entry:
    is_dir, special = kind == _FOLDER, _SPECIAL.get(kind, "")
    bytes_ = 0 if is_dir or special else size
    return Entry(path.removeprefix("/"), is_dir, bytes_, float(modified), kind == _LINK, special)


def _sorted_out(
    entries: _Entries, volume: str, place: str, target: Path, transfer: Transfer
) -> tuple[list[RemoteFile], list[Path]]:
    """The files to fetch, and folders that none of them makes. Links and special files are left out."""
    transfer.left_out += [LeftOut(entry.path, entry.special) for entry in entries if entry.special]
    entries = [entry for entry in entries if entry.path == place or not layout.is_lock(entry.path)]
    files = [
        RemoteFile(volume, e.path, e.size, e.modified, target / below(place, e.path))
        for e in entries
        if not e.is_dir and not e.special
    ]
    made = {file.target.parent for file in files}
    folders = [target / below(place, entry.path) for entry in entries if entry.is_dir]
    if not files and not folders:
        folders = [target]
    return files, [folder for folder in folders if folder not in made]


def _ignore(_: Transfer) -> None:
    """Report no progress."""


async def _import_transfers() -> None:
    """Import what transfers need, aiohttp among it, off the event loop."""
    await asyncio.to_thread(importlib.import_module, "tui.backends.modal.volumes.upload")

"""Volumes: list, read, remove and rename, over folders of plain files.

A folder that a test makes in `volumes_dir` is a volume, too. Commit and reload are `views.py`'s.
"""

from __future__ import annotations

import shutil
import stat
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from pathlib import Path, PurePosixPath

from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb

from tests.modal.cloud.blobs import BLOCK, Blobs, Piece
from tests.modal.cloud.faults import Faults
from tests.modal.cloud.state import OWNER, State, Volume, missing, new_id
from tests.modal.cloud.views import Views
from tests.modal.cloud.wire import EMPTY, Empty, caller

_BATCH = 1000
_HELD = 1 << 16
"""Bytes up to which a file that is read is held as it was: records are replaced all the time."""


class Volumes:
    """The RPCs of volumes, without uploads."""

    def __init__(self, state: State, blobs: Blobs, views: Views, faults: Faults) -> None:
        self._state, self._faults = state, faults
        self._blobs = blobs
        self._views = views

    async def VolumeGetOrCreate(self, request: pb.VolumeGetOrCreateRequest) -> pb.VolumeGetOrCreateResponse:
        known = self._by_name().get(request.deployment_name)
        kind = request.object_creation_type
        if known and kind == pb.OBJECT_CREATION_TYPE_CREATE_FAIL_IF_EXISTS:
            raise GRPCError(Status.ALREADY_EXISTS, f"Volume '{known.name}' exists already")
        if known is None and kind == pb.OBJECT_CREATION_TYPE_UNSPECIFIED:
            raise missing(f"Volume '{request.deployment_name}'")
        if known is None and request.version == pb.VOLUME_FS_VERSION_V2 and self._faults.version_2_refused:
            raise GRPCError(Status.INVALID_ARGUMENT, "no such volumes here")
        volume = known or self._create(request.deployment_name or new_id("tmp"), request.version)
        return pb.VolumeGetOrCreateResponse(
            volume_id=volume.volume_id, version=volume.version, metadata=metadata(volume)
        )

    async def VolumeGetById(self, request: pb.VolumeGetByIdRequest) -> pb.VolumeGetByIdResponse:
        volume = self.find(request.volume_id)
        return pb.VolumeGetByIdResponse(volume_id=volume.volume_id, metadata=metadata(volume))

    async def VolumeList(self, request: pb.VolumeListRequest) -> pb.VolumeListResponse:
        page = request.pagination
        before = page.created_before or float("inf")
        newest = sorted(self._by_name().values(), key=lambda v: v.created, reverse=True)
        chosen = [v for v in newest if v.created < before][: page.max_objects or None]
        items = [
            pb.VolumeListItem(label=v.name, volume_id=v.volume_id, created_at=v.created, metadata=metadata(v))
            for v in chosen
        ]
        return pb.VolumeListResponse(items=items)

    async def VolumeDelete(self, request: pb.VolumeDeleteRequest) -> Empty:
        volume = self.find(request.volume_id)
        shutil.rmtree(volume.folder, ignore_errors=True)
        del self._state.volumes[volume.volume_id]
        return EMPTY

    async def VolumeRename(self, request: pb.VolumeRenameRequest) -> Empty:
        volume = self.find(request.volume_id)
        volume.folder = volume.folder.rename(self._state.volumes_dir / request.name)
        volume.name = request.name
        return EMPTY

    async def VolumeHeartbeat(self, request: pb.VolumeHeartbeatRequest) -> Empty:
        return EMPTY

    async def VolumeCommit(self, request: pb.VolumeCommitRequest) -> pb.VolumeCommitResponse:
        self._views.commit(caller.get(), self.find(request.volume_id))
        return pb.VolumeCommitResponse(skip_reload=True)

    async def VolumeReload(self, request: pb.VolumeReloadRequest) -> Empty:
        self._views.reload(caller.get(), self.find(request.volume_id))
        return EMPTY

    async def VolumeListFiles(
        self, request: pb.VolumeListFilesRequest
    ) -> AsyncIterator[pb.VolumeListFilesResponse]:
        for batch in self._listing(request.volume_id, request.path, request.recursive):
            yield pb.VolumeListFilesResponse(entries=batch)

    async def VolumeListFiles2(
        self, request: pb.VolumeListFiles2Request
    ) -> AsyncIterator[pb.VolumeListFiles2Response]:
        for batch in self._listing(request.volume_id, request.path, request.recursive):
            yield pb.VolumeListFiles2Response(entries=batch)

    async def VolumeGetFile2(self, request: pb.VolumeGetFile2Request) -> pb.VolumeGetFile2Response:
        path = self.path(self.find(request.volume_id), request.path)
        if not stat.S_ISREG(_mode(path)):  # links are never followed, as on the real service
            raise missing(f"File {request.path}")
        size = path.stat().st_size
        whole = path.read_bytes() if size <= _HELD else None
        size = size if whole is None else len(whole)
        start = min(request.start, size)
        end = min(size, start + request.len) if request.len else size
        # Blocks are those of the whole file: the first one of a range may be shorter.
        cuts = [start, *range((start // BLOCK + 1) * BLOCK, end, BLOCK), end]
        bare = request.client_pads_blocks and self._blobs.have_digests
        pieces = [
            Piece(path, a, b - a, bare, None if whole is None else whole[a:b])
            for a, b in pairwise(cuts)
            if b > a
        ]
        urls = [self._blobs.url(piece) for piece in pieces]
        return pb.VolumeGetFile2Response(get_urls=urls, size=size, start=start, len=end - start)

    async def VolumeRemoveFile(self, request: pb.VolumeRemoveFileRequest) -> Empty:
        return self._remove(request.volume_id, request.path, request.recursive)

    async def VolumeRemoveFile2(self, request: pb.VolumeRemoveFile2Request) -> Empty:
        return self._remove(request.volume_id, request.path, request.recursive)

    def find(self, volume_id: str) -> Volume:
        """The volume of that id; raises the protocol's error where there is none."""
        if volume_id not in self._state.volumes:
            raise missing(f"Volume {volume_id}")
        return self._state.volumes[volume_id]

    def path(self, volume: Volume, path: str) -> Path:
        """A path in the volume's folder; one that leaves it is refused."""
        parts = PurePosixPath("/", path).parts[1:]
        if ".." in parts:
            raise GRPCError(Status.INVALID_ARGUMENT, f"Path {path} leaves the volume")
        return volume.folder.joinpath(*parts)

    def _by_name(self) -> dict[str, Volume]:
        known = {volume.name: volume for volume in self._state.volumes.values()}
        for folder in self._state.volumes_dir.iterdir():
            if folder.name not in known and folder.is_dir():
                known[folder.name] = self._create(folder.name, self._state.volume_version)
                known[folder.name].created = folder.stat().st_mtime
        return known

    def _create(self, name: str, version: pb.VolumeFsVersion.ValueType) -> Volume:
        folder = self._state.volumes_dir / name
        folder.mkdir(exist_ok=True)
        volume = Volume(new_id("vo"), name, version or pb.VOLUME_FS_VERSION_V1, folder)
        self._state.volumes[volume.volume_id] = volume
        return volume

    def _listing(self, volume_id: str, path: str, recursive: bool) -> Iterator[list[pb.FileEntry]]:
        volume = self.find(volume_id)
        place = self.path(volume, path)
        if not _mode(place):
            raise missing(f"Path {path}")
        if not stat.S_ISDIR(_mode(place)):
            found = [place]
        else:
            found = sorted(place.rglob("*") if recursive else place.iterdir())
        entries = [_entry(volume, one) for one in found if _mode(one)]
        for at in range(0, max(len(entries), 1), _BATCH):
            yield entries[at : at + _BATCH]

    def _remove(self, volume_id: str, path: str, recursive: bool) -> Empty:
        place = self.path(self.find(volume_id), path)
        if not _mode(place):
            raise missing(f"Path {path}")
        if not stat.S_ISDIR(_mode(place)):
            place.unlink()
        elif recursive:
            shutil.rmtree(place)
        else:
            raise GRPCError(Status.INVALID_ARGUMENT, f"{path} is a directory: remove it recursively")
        return EMPTY


def metadata(volume: Volume) -> pb.VolumeMetadata:
    """The metadata of the volume's handles."""
    made = pb.CreationInfo(created_at=volume.created, created_by=OWNER)
    return pb.VolumeMetadata(version=volume.version, name=volume.name, creation_info=made)


_TYPES = {
    stat.S_IFDIR: pb.FileEntry.DIRECTORY,
    stat.S_IFREG: pb.FileEntry.FILE,
    stat.S_IFLNK: pb.FileEntry.SYMLINK,
    stat.S_IFIFO: pb.FileEntry.FIFO,
    stat.S_IFSOCK: pb.FileEntry.SOCKET,
}


def _entry(volume: Volume, path: Path) -> pb.FileEntry:
    """An entry as the real service lists it: a link is a link, whatever it leads to."""
    found = path.lstat()
    kind = _TYPES.get(stat.S_IFMT(found.st_mode), pb.FileEntry.UNSPECIFIED)
    name = path.relative_to(volume.folder).as_posix()
    size = 0 if kind == pb.FileEntry.DIRECTORY else found.st_size
    return pb.FileEntry(path=name, type=kind, mtime=int(found.st_mtime), size=size)


def _mode(path: Path) -> int:
    """The mode of the path itself; 0 if it does not exist."""
    try:
        return path.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0

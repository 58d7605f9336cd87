"""Uploads: contents by their digest, assembled as mounts or written into volumes."""

from __future__ import annotations

import hashlib
import os
import shutil
from pathlib import Path

from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb

from tests.modal.cloud.blobs import Blobs, Piece
from tests.modal.cloud.state import State, missing, new_id
from tests.modal.cloud.volumes import Volumes
from tests.modal.cloud.wire import EMPTY, Empty


class Uploads:
    """The RPCs of mounts and of uploads to volumes."""

    def __init__(self, state: State, volumes: Volumes, blobs: Blobs) -> None:
        self._state = state
        self._volumes = volumes
        self._blobs = blobs

    async def MountBatchedCheckExistence(
        self, request: pb.MountBatchedCheckExistenceRequest
    ) -> pb.MountBatchedCheckExistenceResponse:
        absent = [one for one in request.sha256_hex_hashes if not (self._state.store / one).is_file()]
        return pb.MountBatchedCheckExistenceResponse(missing_sha256_hex_hashes=absent)

    async def MountPutFile(self, request: pb.MountPutFileRequest) -> pb.MountPutFileResponse:
        place = self._state.store / request.sha256_hex
        if request.WhichOneof("data_oneof") == "data":
            place.write_bytes(request.data)
        elif request.data_blob_id:
            (self._state.store / request.data_blob_id).replace(place)
        return pb.MountPutFileResponse(exists=place.is_file())

    async def MountGetOrCreate(self, request: pb.MountGetOrCreateRequest) -> pb.MountGetOrCreateResponse:
        # A mount that is asked for by name is Modal's own client, which is installed already.
        digest = hashlib.sha256("".join(sorted(f.sha256_hex + f.filename for f in request.files)).encode())
        mount_id = new_id("mo")
        self._state.mounts[mount_id] = list(request.files)
        known = pb.MountHandleMetadata(content_checksum_sha256_hex=digest.hexdigest())
        return pb.MountGetOrCreateResponse(mount_id=mount_id, handle_metadata=known)

    async def VolumePutFiles(self, request: pb.VolumePutFilesRequest) -> Empty:
        for file in request.files:
            place = self._place(request.volume_id, file.filename, request.disallow_overwrite_existing_files)
            _copy([self._stored(file.sha256_hex)], place, file.mode)
        return EMPTY

    async def VolumePutFiles2(self, request: pb.VolumePutFiles2Request) -> pb.VolumePutFiles2Response:
        gaps = [
            pb.VolumePutFiles2Response.MissingBlock(
                file_index=i, block_index=j, put_url=self._blobs.url(Piece(self._block(block)))
            )
            for i, file in enumerate(request.files)
            for j, block in enumerate(file.blocks)
            if not self._block(block).is_file()
        ]
        for file in () if gaps else request.files:
            place = self._place(request.volume_id, file.path, request.disallow_overwrite_existing_files)
            _copy([self._block(block) for block in file.blocks], place, file.mode, file.size)
        return pb.VolumePutFiles2Response(missing_blocks=gaps)

    def link(self, mount_ids: list[str], root: Path) -> None:
        """Put the files of mounts under a container's root."""
        for file in (file for one in mount_ids for file in self._state.mounts.get(one, [])):
            place = root.joinpath(*Path(file.filename).parts[1:])
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._stored(file.sha256_hex), place)
            place.chmod(file.mode or 0o644)

    def _place(self, volume_id: str, path: str, keep: bool) -> Path:
        place = self._volumes.path(self._volumes.find(volume_id), path)
        if place.is_dir() or (keep and place.exists()):
            raise GRPCError(Status.ALREADY_EXISTS, f"{path}: already exists")
        return place

    def _stored(self, digest: str) -> Path:
        place = self._state.store / digest
        if not place.is_file():
            raise missing(f"Content {digest}")
        return place

    def _block(self, block: pb.VolumePutFiles2Request.Block) -> Path:
        return self._state.store / f"block-{block.contents_sha256.hex()}"


def _copy(parts: list[Path], place: Path, mode: int, size: int = 0) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = place.with_name(f".{place.name}.part")
    with fresh.open("wb") as file:
        for at, part in enumerate(parts):
            if size:  # blocks come without their trailing zeros
                file.seek(at * 8 * 1024 * 1024)
            with part.open("rb") as source:
                shutil.copyfileobj(source, file, 1 << 20)
        if size:
            file.truncate(size)
    os.chmod(fresh, mode or 0o644)
    fresh.replace(place)

"""Images: layers are recorded and "built" in lines of a log, but never made.

Containers run with this process's own Python.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator

from modal_proto import api_pb2 as pb

from tests.modal.cloud.faults import Faults
from tests.modal.cloud.logs import STDERR, Log
from tests.modal.cloud.state import App, Image, State, missing, new_id

BUILDER = "2025.06"
_METADATA = pb.ImageMetadata(
    image_builder_version=BUILDER, python_version_info=f"Python {sys.version.split()[0]}"
)
_DONE = pb.GenericResult.GENERIC_STATUS_SUCCESS


class Images:
    """The RPCs of images and their builds."""

    def __init__(self, state: State, faults: Faults) -> None:
        self._state = state
        self._faults = faults
        self._by_definition: dict[bytes, Image] = {}
        self._builds: set[asyncio.Task[None]] = set()

    async def ImageGetOrCreate(self, request: pb.ImageGetOrCreateRequest) -> pb.ImageGetOrCreateResponse:
        key = request.image.SerializeToString(deterministic=True)
        image = self._by_definition.get(key)
        failed = image is not None and image.result is not None and image.result.status != _DONE
        if image is None or failed or request.force_build:
            image = self._start(request, self._state.app(request.app_id))
            self._by_definition[key] = image
        return pb.ImageGetOrCreateResponse(image_id=image.image_id, result=image.result, metadata=_METADATA)

    async def ImageJoinStreaming(
        self, request: pb.ImageJoinStreamingRequest
    ) -> AsyncIterator[pb.ImageJoinStreamingResponse]:
        image = self._find(request.image_id)
        at = int(request.last_entry_id.rpartition("-")[2]) + 1 if request.last_entry_id else 0
        deadline = time.monotonic() + (request.timeout or 55)
        while time.monotonic() < deadline:
            for batch in image.log.batches[at:]:
                yield pb.ImageJoinStreamingResponse(task_logs=batch.items, entry_id=batch.entry_id)
                at += 1
            if image.result is not None and at == len(image.log.batches):
                yield pb.ImageJoinStreamingResponse(result=image.result, metadata=_METADATA, eof=True)
                return
            if at == len(image.log.batches):
                await image.log.changed.wait(deadline - time.monotonic())

    async def ImageFromId(self, request: pb.ImageFromIdRequest) -> pb.ImageFromIdResponse:
        return pb.ImageFromIdResponse(image_id=self._find(request.image_id).image_id, metadata=_METADATA)

    def _find(self, image_id: str) -> Image:
        if image_id not in self._state.images:
            raise missing(f"Image {image_id}")
        return self._state.images[image_id]

    def _start(self, request: pb.ImageGetOrCreateRequest, app: App) -> Image:
        definition = request.image
        bases = [base.image_id for base in definition.base_images]
        files = {file.filename: file.data for file in definition.context_files}
        commands = list(definition.dockerfile_commands)
        image = Image(new_id("im"), commands, bases, files, request.builder_version, Log())
        self._state.images[image.image_id] = image
        build = asyncio.ensure_future(self._build(image, app))
        self._builds.add(build)
        build.add_done_callback(self._builds.discard)
        return image

    async def _build(self, image: Image, app: App) -> None:
        lines = [f"Building image {image.image_id}"]
        lines += [f"=> Step {at}: {said}" for at, said in enumerate(image.commands)]
        for line in [*lines, *self._faults.build_lines]:
            await asyncio.sleep(self._faults.build_delay)
            self._say(image, app, line + "\n")
        if self._faults.build_failure:
            self._say(image, app, self._faults.build_failure + "\n", STDERR)
        failed = pb.GenericResult(status=self._faults.build_end, exception=self._faults.build_reason)
        fails = self._faults.build_failure or self._faults.build_reason
        image.result = failed if fails else pb.GenericResult(status=_DONE)
        image.log.changed.fire()

    def _say(
        self,
        image: Image,
        app: App,
        text: str,
        source: pb.FileDescriptor.ValueType = pb.FILE_DESCRIPTOR_STDOUT,
    ) -> None:
        image.log.write(text, source, image_id=image.image_id)
        app.log.write(text, source, image_id=image.image_id)

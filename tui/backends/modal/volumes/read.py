"""A range of a volume's file, into memory.

Owns nothing but that: a file as a whole, resumed and verified against what is here, is a download.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from remote.contract.errors import BackendError, Hint
from tui.backends.modal.session import PATIENCE, within
from tui.backends.modal.volumes import blocks

if TYPE_CHECKING:
    import modal

SILENCE = 8.0
"""Seconds without a byte after which it is given up."""


async def read(volume: modal.Volume, path: str, offset: int, size: int) -> bytes:
    """See `Volumes.read`. Raises `NotFoundError` and `BackendError`."""
    async with within(PATIENCE, f"read {path}"):
        found = await blocks.locate(volume, path, offset, max(size, 0))
    if size == 0 or found.start < offset:
        return b""  # the file ends before
    data = b"".join([await _block(path, url, length) for url, length in found.blocks()])
    return data if size < 0 else data[:size]


async def _block(path: str, url: str, length: int) -> bytearray:
    for last in (False, True):
        try:
            return (await blocks.fetch(url, length, SILENCE)).data or bytearray()
        except (blocks.Damaged, blocks.LOST) as error:
            if last:
                hint = Hint("try again; https://status.modal.com says how Modal is")
                raise BackendError(f"{path} could not be read", cause=str(error), hint=hint) from error
    raise AssertionError

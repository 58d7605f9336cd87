"""The files of one volume, as the panes of a run and of a volume read them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.backends.base import Entry
    from tui.client import Client


@dataclass(frozen=True)
class VolumeFiles:
    """Lists and reads files; both raise `VfmError` and `OSError`."""

    client: Client
    backend: str
    name: str
    """The volume's."""

    @classmethod
    def of_run(cls, client: Client, record: RunRecord) -> VolumeFiles:
        """The files of the volume that holds a run's directory."""
        return cls(client, record.backend, record.outputs)

    async def list(self, folder: str, *, recursive: bool = False) -> Sequence[Entry]:
        """The entries of a folder, or all entries below it."""
        return await self.client.ls(self.name, folder, recursive=recursive, backend=self.backend)

    async def read(self, path: str, offset: int, size: int) -> bytes:
        """Up to `size` bytes of a file, from an offset on."""
        return await self.client.read(self.name, path, offset, size, backend=self.backend)

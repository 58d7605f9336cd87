"""Read a run's episodes from its volume: find the files, index a file piece by piece, read one episode."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from remote.contract import layout
from remote.contract.errors import ConfigError
from tui.services.volume_files import VolumeFiles
from tui.store.episodes.files import Episode, EpisodeFile, EpisodeRow, episode_file, index, read_episode

PIECE = 1 << 20
"""Bytes that are read at a time."""
_FOLDERS = (layout.ROLLOUTS, PurePosixPath(layout.EVALUATION_EPISODES).parts[0])


@dataclass(frozen=True)
class EpisodeLoader:
    """The episodes below `root`, a run's directory. Raises `VfmError`."""

    files: VolumeFiles
    root: str

    async def find(self) -> list[EpisodeFile]:
        """The run's files of episodes, newest first."""
        found = []
        for folder in _FOLDERS:
            try:
                entries = await self.files.list(str(PurePosixPath(self.root) / folder))
            except ConfigError:
                continue  # the folder does not exist yet
            found += [f for e in entries if not e.is_dir and (f := episode_file(e.path, e.size))]
        return sorted(found, key=lambda file: file.order, reverse=True)

    async def rows(
        self, file: EpisodeFile, known: Sequence[EpisodeRow] = ()
    ) -> AsyncIterator[list[EpisodeRow]]:
        """All rows of a file's whole lines, after each piece; `known` ones are not read again."""
        rows = list(known)
        at = max((row.offset + row.size + 1 for row in rows), default=0)
        while data := await self._lines(file, at):
            rows = [*rows, *await asyncio.to_thread(index, data, at)]
            at += len(data)
            yield rows

    async def episode(self, file: EpisodeFile, row: EpisodeRow) -> Episode:
        """One episode of a file."""
        line = await self.files.read(file.path, row.offset, row.size)
        return await asyncio.to_thread(read_episode, line)

    async def _lines(self, file: EpisodeFile, at: int) -> bytes:
        """About one piece of whole lines from an offset; empty at the end of the file."""
        data = b""
        while at + len(data) < file.size:
            more = await self.files.read(file.path, at + len(data), PIECE)
            data += more
            if not more or b"\n" in more:
                break
        return data[: data.rfind(b"\n") + 1]

"""Download of a volume's files: resumed, verified, identical files skipped.

Owns which files are fetched and in which order. What lies on disk meanwhile is `part_file.py`'s, fetching a
block `blocks.py`'s.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import aclosing
from functools import partial

from modal.exception import NotFoundError

from remote.contract.errors import BackendError, DiskError, Hint
from tui.backends.base import Entry, LeftOut, Progress, Transfer
from tui.backends.copy_files import grouped
from tui.backends.destination import Occupied
from tui.backends.modal.in_order import in_order
from tui.backends.modal.volumes import blocks
from tui.backends.modal.volumes.blocks import Address, Blocks, Damaged
from tui.backends.modal.volumes.part_file import BLOCK, Part, RemoteFile, write_whole
from tui.backends.off_loop import off_loop

GROUP, GROUPS_AT_ONCE = 16, 8
"""Files of one block in a group, which together are not larger than a block, and groups at once."""
RESUMES = "start it again: it goes on where it broke off"


class Download:
    """One download. `look` asks the server for a file's entry as it is now, None where there is none."""

    def __init__(
        self,
        source: Blocks,
        transfer: Transfer,
        progress: Progress,
        look: Callable[[str], Awaitable[Entry | None]],
    ) -> None:
        self._blocks, self._transfer, self._progress, self._look = source, transfer, progress, look
        self._force = False
        self._gone: list[str] = []

    async def run(self, files: list[RemoteFile], *, force: bool = False) -> None:
        """Fetch these files, except those whose targets are identical.

        Small files come first, so half a download has most of the files. A file that has gone from the
        volume meanwhile is left out. Raises `Occupied`, before anything is written, where targets differ,
        unless `force` replaces them; `ConfigError` where a target cannot be written; `DiskError` and
        `BackendError`, after which the download can be resumed.
        """
        self._transfer.total, self._force = sum(file.size for file in files), force
        try:
            missing = await self._missing(files)
            await self._fetch_small([file for file in missing if file.size <= BLOCK])
            for file in missing:
                if file.size > BLOCK:
                    await self._fetch_large(file)
            if files and len(self._gone) == len(files):
                raise DiskError(
                    f"{self._gone[0]} is no longer in the volume",
                    hint=Hint(
                        "`vfm ls` shows what there is; if a run is just writing it, wait for the run's end"
                    ),
                )
        except (BackendError, Damaged) as error:
            raise resumable(error) from error
        except OSError as error:
            raise DiskError(
                f"cannot write {error.filename or self._transfer.path}: {error.strerror or error}",
                cause=str(error),
                hint=Hint(f"mend that and {RESUMES}"),
            ) from error

    async def _missing(self, files: list[RemoteFile]) -> list[RemoteFile]:
        files = await off_loop(lambda _: [file.resolved() for file in files])
        taken = await off_loop(lambda _: [file for file in files if file.target.exists()])
        marked = await off_loop(lambda _: {file for file in taken if file.is_marked()})
        unmarked = await self._blocks.identical([file for file in taken if file not in marked])
        same = marked.union(unmarked)
        differing = [str(file.target) for file in taken if file not in same]
        if differing and not self._force:
            raise Occupied(differing)
        for file in unmarked:
            await off_loop(lambda _, file=file: file.mark(file.target))  # type: ignore[misc]
        for file in taken:
            if file in same:
                self._transfer.skipped.append(str(file.target))
                self._advance(file, file.size)
        return [file for file in files if file not in same]

    async def _fetch_small(self, files: list[RemoteFile]) -> None:
        requests = (
            (sum(f.size for f in group), partial(self._fetch_group, group))
            for group in grouped(files, GROUP, BLOCK)
        )
        async with aclosing(in_order(requests, GROUPS_AT_ONCE, blocks.AT_ONCE * BLOCK)) as answers:
            async for group in answers:
                for file, is_there in group:
                    if is_there:
                        self._advance(file, file.size, fetched=file.size)
                    else:
                        self._leave_out(file)

    async def _fetch_group(self, files: list[RemoteFile]) -> list[tuple[RemoteFile, bool]]:
        """Fetch files of one block; false for each that has gone from the volume."""
        found: list[tuple[RemoteFile, bytes | None]] = []
        for file, block in zip(files, await self._blocks.fetch_small(files), strict=True):
            found.append((file, block.data if block else await self._fetch_whole(file)))
        self._transfer.path = str(files[0].target)
        await off_loop(lambda _: _write(found, self._force))
        return [(file, data is not None) for file, data in found]

    async def _fetch_whole(self, file: RemoteFile) -> bytes | None:
        try:
            addresses = await self._locate(file, 0)
            return b"".join([(await self._blocks.fetch(file.path, address)).data for address in addresses])
        except NotFoundError:
            return None

    async def _fetch_large(self, file: RemoteFile) -> None:
        part, before = Part(file), self._transfer.done
        self._transfer.path = str(file.target)
        try:
            start = await off_loop(part.open)
            self._advance(file, start)
            now = await self._fetch_blocks(file, start, part)
            if now is None:
                self._transfer.done = before
                self._leave_out(file)
                await off_loop(lambda _: part.forget())
            else:
                await self._finish(file, part, now)
        finally:
            await off_loop(lambda _: part.close())

    async def _fetch_blocks(self, file: RemoteFile, start: int, part: Part) -> Entry | None:
        """Fetch a file from `start` on; its entry after that, or None where it has gone from the volume."""
        try:
            addresses = await self._locate(file, start)
            requests = ((a.size, partial(self._blocks.fetch, file.path, a)) for a in addresses)
            async with aclosing(in_order(requests, blocks.AT_ONCE)) as answers:
                async for block in answers:
                    await off_loop(lambda _, b=block: part.append(b.data, b.digest))  # type: ignore[misc]
                    self._advance(file, len(block.data), fetched=len(block.data))
        except NotFoundError:
            return None
        return await self._look(file.path)

    async def _finish(self, file: RemoteFile, part: Part, now: Entry) -> None:
        """Take the part file for the file, unless the volume has another one by now. One that was appended to
        is taken as it was."""
        if now.size < file.size or (now.size == file.size and now.modified != file.modified):
            await off_loop(lambda _: part.forget())
            raise _changed(file, "became another file while it was downloaded")
        await off_loop(lambda _: part.finish(force=self._force))

    async def _locate(self, file: RemoteFile, start: int) -> list[Address]:
        if start == file.size:
            return []
        found = await self._blocks.locate(file.path, start, file.size - start)
        if sum(address.size for address in found) != file.size - start:
            raise _changed(file, "became shorter while it was downloaded")
        return found

    def _advance(self, file: RemoteFile, size: int, *, fetched: int = 0) -> None:
        self._transfer.path = str(file.target)
        self._transfer.done += size
        self._transfer.fetched += fetched
        self._progress(self._transfer)

    def _leave_out(self, file: RemoteFile) -> None:
        """Note a file that was listed and has gone from the volume since."""
        self._gone.append(file.path)
        self._transfer.left_out.append(LeftOut(file.path, "no longer in the volume"))
        self._transfer.total -= file.size


def resumable(error: BackendError | Damaged) -> BackendError | Damaged:
    """The same error of a transfer that can be resumed."""
    hint = f"{error.hint.text}; {RESUMES}" if error.hint else RESUMES
    return type(error)(error.message, cause=error.cause, hint=Hint(hint))


def _write(files: list[tuple[RemoteFile, bytes | None]], force: bool) -> None:
    for file, data in files:
        if data is not None:
            write_whole(file, data, force=force)


def _changed(file: RemoteFile, what: str) -> DiskError:
    return DiskError(
        f"{file.path} {what}",
        hint=Hint("download it again; if a run is just writing it, wait for the run's end"),
    )

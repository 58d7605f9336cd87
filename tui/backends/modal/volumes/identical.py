"""Which files of this machine are what a volume has under a name, told by the sums of their blocks.

Owns the comparison, for what a download finds here and an upload there. Little is carried over: blocks that
the server names no sum of.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from functools import partial

from tui.backends.modal.volumes.block_source import GONE, Gone, Source
from tui.backends.modal.volumes.blocks import Block
from tui.backends.modal.volumes.ordered_gather import Job, in_turn
from tui.backends.modal.volumes.part_file import BLOCK, Wanted, has_the_size
from tui.backends.off_loop import off_loop

AT_ONCE = 8
"""Blocks and groups of small files that are compared together."""
GROUP = 16
"""Files of a group."""
BUDGET = 4 * BLOCK
"""Bytes of them at most."""


async def identical(source: Source, files: list[Wanted], found: Callable[[Wanted], None]) -> None:
    """Call `found` for each of some files whose `target` is the same as the volume's file.

    Raises `DiskError` and `BackendError`.
    """
    sized = await off_loop(lambda _: [file for file in files if has_the_size(file)])
    small = [file for file in sized if file.size <= BLOCK]
    async with aclosing(in_turn(_groups(source, small), AT_ONCE, BUDGET)) as answers:
        async for group, blocks in answers:
            for file, block in zip(group, blocks, strict=True):
                if block.data is None and block is not GONE:
                    found(file)
    for file in sized:
        if file.size > BLOCK and await _is_same(source, file):
            found(file)


async def _groups(
    source: Source, files: list[Wanted]
) -> AsyncGenerator[Job[tuple[Wanted, ...], list[Block]], None]:
    for group in together(files):
        yield Job(group, partial(source.fetch_small, group), sum(file.size for file in group))


async def _is_same(source: Source, wanted: Wanted) -> bool:
    try:
        async with aclosing(in_turn(_comparisons(source, wanted), AT_ONCE, BUDGET)) as answers:
            async for _, same in answers:
                if not same:
                    return False
    except Gone:
        return False
    return True


async def _comparisons(source: Source, wanted: Wanted) -> AsyncGenerator[Job[None, bool], None]:
    urls = await source.addresses(wanted, 0, wanted.size)
    for (start, size), url in zip(wanted.blocks(), urls, strict=True):
        yield Job(None, partial(source.is_same, wanted, start, size, url), size)


def together(files: Iterable[Wanted]) -> Iterator[tuple[Wanted, ...]]:
    """Groups of files that are asked for with one another: few, and no more bytes than a block has."""
    group: tuple[Wanted, ...] = ()
    for file in files:
        if group and (len(group) == GROUP or sum(f.size for f in group) + file.size > BLOCK):
            yield group
            group = ()
        group += (file,)
    if group:
        yield group

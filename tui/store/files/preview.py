"""Preview a file of a volume without reading all of it.

Decides which bytes to read for which kind of file. A file that is not what its name says is shown as text or
in hex, with a warning; no content makes this raise.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import PurePosixPath

from tui.store.files import bytes as preview_bytes
from tui.store.files import tables, text
from tui.store.files.model import Damaged, Line, Lines, Preview

HEAD = 256 * 1024
"""Bytes that are read of most files."""
MOST_JSON = 2**20
"""Bytes of a JSON document that is read whole, to indent it; larger ones are shown as they are."""
MOST_PARQUET = 64 * 2**20
"""Bytes of a Parquet file that is previewed."""

Read = Callable[[int, int], Awaitable[bytes]]
"""Reads bytes of the file: `(offset, size)`."""


async def load(read: Read, name: str, size: int) -> Preview:
    """Preview a file of `size` bytes. Raises what `read` raises."""
    kind = _suffix(name)
    if kind == ".parquet" and (why_not := tables.parquet_missing() or _too_large(size)):
        return Preview("Parquet", Lines(()), warnings=(why_not,))
    start = max(0, size - HEAD) if kind == ".log" else 0
    data = await read(start, first_bytes(name, size))
    if kind == ".safetensors" and (more := _header_left(data)):
        data += await read(len(data), more)
    if start:
        return await asyncio.to_thread(_tail, data, start)
    return await asyncio.to_thread(preview, name, size, data)


def first_bytes(name: str, size: int) -> int:
    """How many bytes a preview reads at first."""
    whole = {".json": MOST_JSON, ".parquet": MOST_PARQUET}.get(_suffix(name), 0)
    return size if size <= whole else min(size, HEAD)


def preview(name: str, size: int, data: bytes) -> Preview:
    """Preview a file by its first bytes; `size` is the whole file's."""
    if not data:
        return Preview("empty file" if not size else "nothing could be read", Lines(()))
    whole = len(data) >= size
    try:
        return _left_out(_read(_suffix(name), size, data, whole), len(data), whole)
    except Damaged as error:
        shown = _sniffed(data)
        warnings = (str(error), *shown.warnings)
        return _left_out(replace(shown, warnings=warnings), len(data), whole)


def _too_large(size: int) -> str:
    if size <= MOST_PARQUET:
        return ""
    return f"Parquet of more than {MOST_PARQUET // 2**20} MiB is not previewed: download it"


def _read(suffix: str, size: int, data: bytes, whole: bool) -> Preview:
    match suffix:
        case ".json" if whole:
            return text.document(data)
        case ".json":
            return text.text(data, "JSON", "json")
        case ".jsonl" | ".ndjson":
            return _text_only(data) or text.records(data, whole)
        case ".yaml" | ".yml":
            return _text_only(data) or text.yaml(data)
        case ".csv" | ".tsv":
            return _text_only(data) or tables.separated(data, "\t" if suffix == ".tsv" else "", whole)
        case ".parquet":
            return tables.parquet(data)
        case ".safetensors":
            return tables.safetensors(data, size)
    return _sniffed(data, bars=suffix == ".log")


def _text_only(data: bytes) -> Preview | None:
    """None for text. Raises `Damaged` for other bytes."""
    if preview_bytes.is_text(data):
        return None
    raise Damaged("this is no text")


def _sniffed(data: bytes, *, bars: bool = True) -> Preview:
    """Preview by content, whatever the name says."""
    kind = preview_bytes.kind_of(data)
    if kind is None and preview_bytes.is_text(data):
        return text.text(data, bars=bars)
    return preview_bytes.dump(data, kind or "binary")


def _left_out(found: Preview, read: int, whole: bool) -> Preview:
    """Add a note where not all of the text was read."""
    cut = not whole and isinstance(found.body, Lines) and not any("first" in note for note in found.notes)
    return replace(found, notes=(*found.notes, f"the first {read // 1024} KiB")) if cut else found


def _tail(data: bytes, start: int) -> Preview:
    """The end of a log, from its first whole line on."""
    _, _, rest = data.partition(b"\n")
    shown = _sniffed(rest or data)
    above = Line(f"… {start:,} bytes above", "note")
    body = Lines([above, *shown.body.lines]) if isinstance(shown.body, Lines) else shown.body
    return replace(shown, body=body, notes=(*shown.notes, f"the last {len(data) // 1024} KiB"))


def _header_left(data: bytes) -> int:
    try:
        return max(0, tables.header_bytes(data) - len(data))
    except Damaged:
        return 0


def _suffix(name: str) -> str:
    return PurePosixPath(name).suffix.lower()

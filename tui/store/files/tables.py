"""Previews of tables: CSV, Parquet (where pyarrow is installed), and the header of safetensors. Pure."""

from __future__ import annotations

import csv
import io
import re
import struct
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import islice
from typing import Any

from remote.contract.json_text import from_json
from tui.store.files.model import MAX_ROWS, Damaged, Lines, Preview, Table, clean
from tui.store.files.text import decode

MOST_HEADER = 16 * 2**20
"""Bytes beyond which a safetensors header is taken for damage."""
_CELL = 200
_QUOTED = re.compile(r'"[^"]*"')


def separated(data: bytes, delimiter: str, whole: bool) -> Preview:
    """Preview delimited values. An empty `delimiter` stands for the one that the first row has most of.

    The first row names the columns. Raises `Damaged`.
    """
    found, warnings = decode(data)
    delimiter = delimiter or _delimiter(found)
    notes: tuple[str, ...] = ()
    if not whole:
        found = found[: found.rfind("\n") + 1] or found
    try:
        rows = list(islice(csv.reader(io.StringIO(found, newline=""), delimiter=delimiter), MAX_ROWS + 2))
    except csv.Error as error:
        raise Damaged(f"not readable as a table: {error}") from error
    if not rows:
        return Preview("empty table", Table((), (), ()))
    header, body = rows[0], rows[1 : MAX_ROWS + 1]
    width = max(map(len, rows))
    more = len(rows) > MAX_ROWS + 1 or not whole
    columns = [_cell(name) for name in header] + [""] * (width - len(header))
    cells = [[_cell(row[i]) if i < len(row) else "" for i in range(width)] for row in body]
    if more:
        notes = (f"the first {len(cells):,} rows",)
    kind = f"table, {width:,} columns × {len(cells):,}{'+' * more} rows"
    return Preview(kind, Table(columns, ("",) * width, cells, _numeric(cells, width)), notes, warnings)


def _delimiter(text: str) -> str:
    """The most frequent one in the header: CSV has semicolons where numbers have decimal commas."""
    head = _QUOTED.sub("", text.partition("\n")[0])
    return max(",;\t|", key=head.count)


def parquet_missing() -> str:
    """Why Parquet cannot be previewed here, or an empty string."""
    if find_spec("pyarrow") is not None:
        return ""
    install = f"uv pip install --python {sys.executable} 'pyarrow>=20'"
    return f"Parquet is previewed once pyarrow is installed (the extra vfm-tui[parquet]): {install}"


def parquet(data: bytes) -> Preview:
    """Preview the first rows of a whole Parquet file. Raises `Damaged`."""
    if missing := parquet_missing():
        return Preview("Parquet", Lines(()), warnings=(missing,))
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(pyarrow.BufferReader(data))
        schema, count = file.schema_arrow, file.metadata.num_rows
        batches = file.iter_batches(batch_size=MAX_ROWS)
        rows = next(batches, None) if count else None
        columns = [] if rows is None else [column.to_pylist() for column in rows.columns]
    except Exception as error:  # on damaged bytes Arrow raises whatever it stumbled over
        raise Damaged(f"not readable as Parquet: {error}") from error
    cells = [[_cell(value) for value in row] for row in zip(*columns, strict=True)]
    notes = (f"the first {len(cells):,} rows",) if count > len(cells) else ()
    table = Table(
        [_cell(name) for name in schema.names],
        [_cell(str(kind)) for kind in schema.types],
        cells,
        _numeric(cells, len(schema.names)),
    )
    return Preview(f"Parquet, {len(schema.names):,} columns × {count:,} rows", table, notes)


def header_bytes(data: bytes) -> int:
    """How many bytes of a safetensors file its header takes, length included. Raises `Damaged`."""
    if len(data) < 8:
        raise Damaged("not readable as safetensors: shorter than 8 bytes")
    (length,) = struct.unpack("<Q", data[:8])
    if not 2 <= length <= MOST_HEADER:
        raise Damaged(f"not readable as safetensors: a header of {length:,} bytes")
    return int(length) + 8


def safetensors(data: bytes, size: int) -> Preview:
    """Preview a safetensors header as a table of tensors. Raises `Damaged`."""
    end = header_bytes(data)
    if len(data) < end:
        raise Damaged("not readable as safetensors: it ends within its header")
    try:
        header = from_json(data[8:end])
        about = header.pop("__metadata__", {})
        rows = [_tensor(name, tensor) for name, tensor in header.items()]
        expected = end + max((tensor["data_offsets"][1] for tensor in header.values()), default=0)
        weights = sum(row[1] for row in rows)
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as error:
        raise Damaged(f"the header of safetensors is damaged: {error}") from error
    notes = (
        [f"{_cell(key)}: {_cell(value)}" for key, value in about.items()] if isinstance(about, dict) else []
    )
    damage = f"damaged: by its header the file has {expected:,} bytes, but it has {size:,}"
    table = Table(
        ("tensor", "dtype", "shape", "weights"),
        ("",) * 4,
        [row[0] for row in rows],
        (False, False, True, True),
    )
    return Preview(
        f"safetensors, {len(rows):,} tensors, {_short(weights)} weights",
        table,
        notes,
        (damage,) if expected != size else (),
    )


def _tensor(name: str, tensor: dict[str, Any]) -> tuple[list[str], int]:
    count = 1
    for length in tensor["shape"]:
        count *= int(length)
    shape = " × ".join(map(str, tensor["shape"])) or "scalar"
    return [_cell(name), _cell(tensor["dtype"]), _cell(shape), f"{count:,}"], count


def _short(count: int) -> str:
    for unit, size in (("B", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return str(count)


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, float):
        return f"{value:.6g}"
    return clean(value if isinstance(value, str) else str(value), _CELL)


def _numeric(rows: Sequence[Sequence[str]], width: int) -> list[bool]:
    return [bool(rows) and all(_is_number(row[i]) for row in rows) for i in range(width)]


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return cell in ("", "–")
    return True

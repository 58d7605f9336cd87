"""Preview bytes that are not text: their kind by their first bytes, and a hex dump. Pure."""

from __future__ import annotations

import re
import struct

from tui.store.files.model import Line, Lines, Preview

DUMPED = 1024
"""Bytes of a hex dump."""
_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF87a", "GIF image"),
    (b"GIF89a", "GIF image"),
    (b"PK\x03\x04", "zip archive (a PyTorch checkpoint is one too)"),
    (b"\x1f\x8b", "gzip"),
    (b"\x28\xb5\x2f\xfd", "zstandard"),
    (b"\x93NUMPY", "NumPy array"),
    (b"PAR1", "Parquet"),
    (b"ARROW1", "Arrow file"),
    (b"GGUF", "GGUF model"),
    (b"SQLite format 3\x00", "SQLite database"),
    (b"\x7fELF", "ELF program"),
    (b"%PDF", "PDF"),
    (b"\x80\x02", "Python pickle"),
    (b"\x80\x04", "Python pickle"),
    (b"\x80\x05", "Python pickle"),
)
_CONTROLS = re.compile(rb"[\x00-\x06\x0e-\x1a\x1c-\x1f]")


def kind_of(data: bytes) -> str | None:
    """The kind of file by its first bytes; None where they match none."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WebP image"
    for magic, kind in _MAGIC:
        if data.startswith(magic):
            return kind + _dimensions(kind, data)
    return None


def is_text(data: bytes) -> bool:
    """Whether most bytes are readable text; escape sequences and backspaces count, as logs have them."""
    head = data[:8192]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return len(data) % 2 == 0
    odd = len(_CONTROLS.findall(head)) + head.decode("utf-8", "replace").count("\ufffd")
    return odd * 10 <= len(head)


def dump(data: bytes, kind: str = "binary") -> Preview:
    """A hex dump: offset, sixteen bytes and their letters on each line."""
    head = data[:DUMPED]
    lines = [Line(_row(at, head[at : at + 16]), "hex") for at in range(0, len(head), 16)]
    return Preview(kind, Lines(lines), (f"the first {len(head):,} bytes",) if len(data) > DUMPED else ())


def _row(at: int, row: bytes) -> str:
    left, right = row[:8].hex(" "), row[8:].hex(" ")
    letters = "".join(chr(byte) if 32 <= byte < 127 else "·" for byte in row)
    return f"{at:08x}  {left:<23}  {right:<23}  {letters}"


def _dimensions(kind: str, data: bytes) -> str:
    if kind == "PNG image" and len(data) >= 24:
        width, height = struct.unpack(">II", data[16:24])
    elif kind == "GIF image" and len(data) >= 10:
        width, height = struct.unpack("<HH", data[6:10])
    else:
        return ""
    return f", {width} × {height}"

"""What kind of file some bytes begin, and whether they are text."""

from __future__ import annotations

import struct

import pytest

from tui.store.files.bytes import DUMPED, dump, is_text, kind_of
from tui.store.files.model import Lines

PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + struct.pack(">II", 640, 480)
GIF = b"GIF89a" + struct.pack("<HH", 640, 480)


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (PNG, "PNG image, 640 × 480"),
        (PNG[:-1], "PNG image"),
        (GIF, "GIF image, 640 × 480"),
        (GIF[:-1], "GIF image"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", "WebP image"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None),
        (b"\xff\xd8\xff\xe0" + bytes(30), "JPEG image"),
        (b"plain words", None),
        (b"", None),
    ],
)
def test_a_kind_is_told_with_its_size_where_the_head_holds_it(data: bytes, kind: str | None) -> None:
    assert kind_of(data) == kind


@pytest.mark.parametrize(
    "data",
    [
        b"",
        "größer, 更多".encode(),
        b"\x1b[31mred\x1b[0m\b\b\r\n\tdone\f",
        "wide".encode("utf-16"),
        b"1234567890\x00",  # one odd byte among eleven
        b"x" * 8192 + bytes(8192),  # only the head is looked at
    ],
)
def test_what_people_can_read_is_text(data: bytes) -> None:
    assert is_text(data)


@pytest.mark.parametrize("data", [bytes(range(32)), b"12345678\x00", b"\x80\x81\xff" * 9, b"\xff\xfea"])
def test_what_they_cannot_is_none(data: bytes) -> None:
    assert not is_text(data)


def test_a_dump_shows_offset_bytes_and_letters_and_says_what_it_leaves_out() -> None:
    shown = dump(b"0123456789abcdef~\x7f\x1f ")
    assert isinstance(shown.body, Lines)
    assert [line.text for line in shown.body.lines] == [
        "00000000  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  0123456789abcdef",
        "00000010  7e 7f 1f 20                                       ~·· ",
    ]
    assert shown.notes == ()
    assert dump(bytes(DUMPED)).notes == ()
    assert dump(bytes(DUMPED + 1)).notes == (f"the first {DUMPED:,} bytes",)

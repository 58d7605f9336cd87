"""A full disk is known as one by whatever says so."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from remote.output.run_dir import is_disk_full

pytestmark = pytest.mark.stack


@pytest.mark.parametrize(
    "write",
    [
        lambda full: torch.save({"weight": torch.zeros(1 << 16)}, full),
        lambda full: Path(full).write_bytes(b"0" * (1 << 16)),
    ],
    ids=["torch", "Python"],
)
def test_a_full_disk_is_known_by_what_the_writer_says(write: Callable[[str], object]) -> None:
    with pytest.raises((OSError, RuntimeError)) as raised:
        write("/dev/full")
    assert is_disk_full(raised.value), raised.value


def test_another_error_of_writing_is_none() -> None:
    with pytest.raises(RuntimeError) as raised:
        torch.save({}, "/no/such/folder/file")
    assert not is_disk_full(raised.value)

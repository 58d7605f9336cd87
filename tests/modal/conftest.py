"""The cloud that tests run against, see `cloud/README.md`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from modal.client import _Client

from tests.modal.cloud import Cloud


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud, and the variables that lead this process and its children to it."""
    with Cloud(tmp_path / "cloud") as cloud:
        for name, value in cloud.env.items():
            monkeypatch.setenv(name, value)
        _Client._set_env_client(None)
        yield cloud
        _Client._set_env_client(None)

"""The cloud that tests run against: see `cloud/`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from modal.client import _Client

from tests.modal.cloud import Cloud


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    """A cloud that the environment leads to, in this process and in those that it starts."""
    with Cloud(tmp_path / "cloud") as cloud:
        for name, value in cloud.env.items():
            monkeypatch.setenv(name, value)
        _Client._set_env_client(None)
        yield cloud
        _Client._set_env_client(None)

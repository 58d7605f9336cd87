"""A run's temporary folders: whose they are, and how long the paths in them get."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from remote.processes import scratch

SOCKET = 107
"""The longest path of a socket in bytes."""


@pytest.mark.parametrize("length", [5, 30, 120])
def test_sockets_fit_wherever_temporary_files_lie(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    base = Path("/tmp") if length == 5 else tmp_path / ("x" * length)
    base.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(base))
    run = tmp_path / "run"
    try:
        told = scratch.variables(run)["TMPDIR"]
        assert len(f"{told}/0c5f2f0e-6d4f-4b0e-9a47-5a0d0f8a5a5e") < SOCKET
        assert scratch.variables(run)["TMPDIR"] == told
        assert scratch.variables(tmp_path / "other")["TMPDIR"] != told
    finally:
        scratch.remove(run)
        scratch.remove(tmp_path / "other")
    assert not Path(told).exists()


def test_compiled_kernels_stay_where_other_runs_find_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TORCHINDUCTOR_CACHE_DIR", raising=False)
    told = scratch.variables(tmp_path / "run")
    scratch.remove(tmp_path / "run")
    assert not told["TORCHINDUCTOR_CACHE_DIR"].startswith(told["TMPDIR"])
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", "/mine")
    assert scratch.variables(tmp_path / "run")["TORCHINDUCTOR_CACHE_DIR"] == "/mine"
    scratch.remove(tmp_path / "run")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder away")
def test_what_somebody_else_has_put_there_is_neither_used_nor_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, run, mine = Path("/tmp/vfm-scratch-test"), tmp_path / "run", tmp_path / "mine"
    base.mkdir(exist_ok=True)
    mine.mkdir()
    (mine / "precious").touch()
    monkeypatch.setattr("tempfile.tempdir", str(base))
    folder = Path(scratch.variables(run)["TMPDIR"])
    scratch.remove(run)
    try:
        folder.symlink_to(mine)
        assert scratch.variables(run) == {}
        scratch.remove(run)
        assert (mine / "precious").exists()
        folder.unlink()
        folder.mkdir()
        os.chown(folder, 65534, 65534)
        assert scratch.variables(run) == {}
        scratch.remove(run)
        assert folder.exists()
    finally:
        folder.rmdir()
        base.rmdir()


def test_a_process_of_the_runs_own_finds_the_folder_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, run = Path("/tmp/vfm-scratch-base"), tmp_path / "run"
    base.mkdir(exist_ok=True)
    monkeypatch.setattr("tempfile.tempdir", str(base))
    told = scratch.variables(run)["TMPDIR"]
    monkeypatch.setattr("tempfile.tempdir", told)  # as in the worker
    assert scratch.variables(run)["TMPDIR"] == told
    scratch.remove(run)
    assert not Path(told).exists()
    base.rmdir()

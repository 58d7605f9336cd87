"""`vfm put` and `vfm rm`: what goes in and out of volumes by the command line."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import Vfm, command

OUTPUTS = "verifiers-outputs-ada-cli"


@pytest.fixture
def folder(tmp_path: Path, used: Vfm) -> Path:
    """A folder of this machine; the shell's volume is empty of it."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "a.txt").write_text("aaa")
    (folder / "b.txt").write_text("bb")
    return folder


def there(vfm: Vfm, path: str) -> list[str]:
    return [entry["path"] for entry in json.loads(vfm("ls", f"{OUTPUTS}:{path}", "--json").stdout)]


def test_put_copies_a_folder_and_skips_what_is_there(used: Vfm, folder: Path) -> None:
    done = used("put", str(folder), f"{OUTPUTS}:put-twice")
    assert (done.returncode, done.stdout) == (0, "")
    assert "5 B of 5 B" in done.stderr
    assert there(used, "put-twice/data") == ["put-twice/data/a.txt", "put-twice/data/b.txt"]
    assert "2 files were there already" in used("put", str(folder), f"{OUTPUTS}:put-twice").stderr


@pytest.mark.parametrize(
    ("source", "where", "said"),
    [
        ("none", OUTPUTS, "there is no"),
        ("data", "verifiers-outputs-none", "no volume"),
        ("data", "../x", "x"),
    ],
)
def test_put_of_or_to_what_is_not_there(used: Vfm, folder: Path, source: str, where: str, said: str) -> None:
    done = used("put", str(folder.parent / source), where)
    assert done.returncode == 2
    assert said in done.stderr


def test_put_does_not_leave_the_volume(used: Vfm, folder: Path) -> None:
    done = used("put", str(folder), f"{OUTPUTS}:../other")
    assert done.returncode == 2
    assert "leaves the volume" in done.stderr
    assert not (used.home / "volumes" / "other").exists()


def test_rm_in_a_script_takes_yes(used: Vfm, folder: Path) -> None:
    used("put", str(folder), f"{OUTPUTS}:scripted")
    refused = used("rm", f"{OUTPUTS}:scripted/data")
    assert refused.returncode == 2
    assert "2 files, 5 B" in refused.stderr
    assert "--yes" in refused.stderr
    done = used("rm", f"{OUTPUTS}:scripted/data", "--yes")
    assert (done.returncode, done.stdout) == (0, "")
    assert "deleted" in done.stderr
    assert there(used, "scripted") == []


@pytest.mark.parametrize("path", ["", "none", "../other"])
def test_rm_refuses_whole_volumes_and_what_is_not_there(used: Vfm, path: str) -> None:
    done = used("rm", f"{OUTPUTS}:{path}", "--yes")
    assert done.returncode == 2
    assert (used.home / "volumes" / OUTPUTS).exists()


@pytest.mark.parametrize(("answer", "stays"), [("n", True), ("y", False)])
def test_rm_asks_at_a_terminal(used: Vfm, folder: Path, answer: str, stays: bool) -> None:
    used("put", str(folder), f"{OUTPUTS}:asked")
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "wb", buffering=0) as keys:
        child = subprocess.Popen(
            [*command(), "rm", f"{OUTPUTS}:asked/data"],
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=used.env("", {}),
        )
        os.close(theirs)
        keys.write(f"{answer}\n".encode())
        _, said = child.communicate(timeout=60)
    assert child.returncode == 0
    assert "2 files, 5 B" in said
    assert (there(used, "asked") != []) is stays


def test_rm_leaves_a_run_that_goes_on(vfm: Vfm) -> None:
    vfm.launch("--detach", script=f"polite touch:{vfm.folder}/ready wait:{vfm.folder}/never")
    [run] = json.loads(vfm("runs", "--json").stdout)
    done = vfm("rm", f"{OUTPUTS}:runs/{run['run_id']}", "--yes")
    assert done.returncode == 2
    assert "vfm cancel" in done.stderr
    assert vfm("cancel", "last").returncode == 0

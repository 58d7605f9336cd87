"""`vfm get`, `vfm put` and `vfm rm`: what goes in and out of volumes by the command line."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
from collections.abc import Iterator
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


def test_get_into_a_folder_that_is_written_as_one_makes_it(used: Vfm, folder: Path) -> None:
    """And a newline in its name is shown, not printed."""
    assert used("put", str(folder), f"{OUTPUTS}:trailing").returncode == 0
    for name in ("new", "two\nlines"):
        dest = folder.parent / name
        done = used("get", f"{OUTPUTS}:trailing/data/a.txt", f"{dest}/")
        assert done.returncode == 0, done.stderr
        assert (dest / "a.txt").read_text() == "aaa"
        assert len(done.stderr.strip().splitlines()) == 1
    refused = used("get", f"{OUTPUTS}:trailing/data/a.txt", "")
    assert (refused.returncode, "DEST is empty" in refused.stderr) == (2, True)


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


@pytest.fixture
def planted(used: Vfm, tmp_path: Path) -> Iterator[Path]:
    """A folder of the volume in which a link leaves the volume and a pipe waits for nobody."""
    folder = used.home / "volumes" / OUTPUTS / "planted"
    folder.mkdir()
    (folder / "a.txt").write_text("aaa")
    (folder / "out").symlink_to(tmp_path)
    (folder / "in").symlink_to("../planted-deep")
    (folder.parent / "planted-deep").mkdir()
    (folder.parent / "planted-deep" / "b.txt").write_text("bbbb")
    (folder / "nowhere").symlink_to("nothing")
    os.mkfifo(folder / "pipe\x1b[31m")
    yield folder
    for gone in (folder, folder.parent / "planted-deep"):
        shutil.rmtree(gone)


def test_get_leaves_out_what_is_no_file_and_names_it(used: Vfm, planted: Path, tmp_path: Path) -> None:
    done = used("get", f"{OUTPUTS}:planted", str(tmp_path / "out"))
    assert (done.returncode, done.stdout) == (0, "")
    assert "note: 3 entries were left out:" in done.stderr
    assert "planted/out: a link that leaves the volume" in done.stderr
    assert "planted/nowhere: a broken link" in done.stderr
    assert "planted/pipe\\x1b[31m: a pipe" in done.stderr
    assert (tmp_path / "out/planted/a.txt").read_text() == "aaa"
    assert (tmp_path / "out/planted/in/b.txt").read_text() == "bbbb"
    for number in range(20):
        (planted / f"lost-{number}").symlink_to("nothing")
    many = used("get", f"{OUTPUTS}:planted", str(tmp_path / "many")).stderr
    assert "note: 23 entries were left out:" in many
    assert "and 13 more" in many


def test_links_are_shown_and_go_by_themselves(used: Vfm, planted: Path) -> None:
    assert "planted/nowhere" in there(used, "planted")
    assert "planted/nowhere  (a broken link)" in used("ls", f"{OUTPUTS}:planted").stdout
    asked = used("rm", f"{OUTPUTS}:planted/in")
    assert asked.returncode == 2
    assert "planted/in: a link; its target stays" in asked.stderr
    whole = used("rm", f"{OUTPUTS}:planted").stderr
    assert "planted: 5 files, 3 B" in whole
    for name in ("out", "in", "nowhere"):
        done = used("rm", f"{OUTPUTS}:planted/{name}", "--yes")
        assert done.returncode == 0, done.stderr
        assert not os.path.lexists(planted / name)
    assert (planted.parent / "planted-deep/b.txt").exists()


def test_get_never_replaces_what_differs_without_force(used: Vfm, planted: Path, tmp_path: Path) -> None:
    mine, where = tmp_path / "mine.txt", f"{OUTPUTS}:planted/a.txt"
    mine.write_text("mine")
    refused = used("get", where, str(mine))
    assert refused.returncode == 2
    assert f"{mine} exists already and differs" in refused.stderr
    assert "--force" in refused.stderr
    assert mine.read_text() == "mine"
    assert used("get", where, str(mine), "--force").returncode == 0
    assert mine.read_text() == "aaa"
    assert "1 file was there already" in used("get", where, str(mine)).stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_get_writes_to_stdout_and_into_pipes(used: Vfm, planted: Path, tmp_path: Path) -> None:
    where = f"{OUTPUTS}:planted/a.txt"
    done = used("get", where, "-")
    assert (done.returncode, done.stdout, done.stderr) == (0, "aaa", "")
    assert not (used.folder / "-").exists()
    with (tmp_path / "log").open("ab") as log:  # `>> log`
        log.write(b"before ")
        log.flush()
        subprocess.run(
            [*command(), "get", where, "/dev/stdout"], stdout=log, env=used.env("", {}), check=True
        )
    assert (tmp_path / "log").read_text() == "before aaa"
    folder = used("get", f"{OUTPUTS}:planted", "-")
    assert folder.returncode == 2
    assert "is a folder" in folder.stderr
    pipe = tmp_path / "named"
    os.mkfifo(pipe)
    child = used.start("get", where, str(pipe))
    assert pipe.read_text() == "aaa"
    assert child.wait(60) == 0
    assert pipe.is_fifo()


def test_get_writes_into_a_device(used: Vfm, planted: Path) -> None:
    ours, theirs = pty.openpty()
    try:
        done = used("get", f"{OUTPUTS}:planted/a.txt", os.ttyname(theirs))
        assert done.returncode == 0, done.stderr
        assert os.read(ours, 100) == b"aaa"
    finally:
        os.close(ours)
        os.close(theirs)


def test_put_says_that_links_led_out_of_the_folder(used: Vfm, folder: Path) -> None:
    (folder.parent / "private").write_text("p")
    (folder / "one").symlink_to("../private")
    done = used("put", str(folder), f"{OUTPUTS}:led")
    assert f"note: a link leads out of {folder}, and was followed: {folder}/one" in done.stderr
    (folder / "two").symlink_to("../private")
    done = used("put", str(folder), f"{OUTPUTS}:led")
    assert f"note: 2 links lead out of {folder}, and were followed: {folder}/one, {folder}/two" in done.stderr
    as_json = json.loads(used("put", str(folder), f"{OUTPUTS}:led", "--json").stdout)
    assert as_json["followed"] == [f"{folder}/one", f"{folder}/two"]


def test_put_into_a_home_without_volumes_says_what_makes_them(vfm: Vfm, tmp_path: Path) -> None:
    done = vfm("put", str(tmp_path), OUTPUTS)
    assert done.returncode == 2
    assert "there is no volume yet: the first run creates some" in done.stderr


def test_put_of_nothing_is_refused(used: Vfm, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "empty").mkdir()
    (tmp_path / "nowhere").symlink_to("nothing")
    for name in ("pipe", "empty", "nowhere"):
        done = used("put", str(tmp_path / name), f"{OUTPUTS}:nothing")
        assert done.returncode == 2
        assert "copy" in done.stderr
    assert not (used.home / "volumes" / OUTPUTS / "nothing").exists()


def test_put_asks_for_force_and_names_what_it_leaves_out(used: Vfm, folder: Path) -> None:
    (folder / "latest").symlink_to("a.txt")
    os.mkfifo(folder / "pipe")
    done = used("put", str(folder), f"{OUTPUTS}:forced")
    assert done.returncode == 0
    assert f"{folder}/pipe: a pipe" in done.stderr
    assert there(used, "forced/data") == [f"forced/data/{name}" for name in ("a.txt", "b.txt", "latest")]
    (folder / "a.txt").write_text("other")
    refused = used("put", str(folder), f"{OUTPUTS}:forced")
    assert refused.returncode == 2
    assert "a.txt" in refused.stderr
    assert "--force" in refused.stderr
    assert used("put", str(folder), f"{OUTPUTS}:forced", "--force").returncode == 0
    assert used("get", f"{OUTPUTS}:forced/data/a.txt", "-").stdout == "other"


def test_what_was_carried_and_deleted_as_json(vfm: Vfm, tmp_path: Path) -> None:
    assert vfm.launch(script="end:done").returncode == 0
    volume = "verifiers-outputs-ada-cli"
    source = tmp_path / "notes.txt"
    source.write_text("12 bytes of it"[:12])
    put = json.loads(vfm("put", str(source), f"{volume}:odd", "--json").stdout)
    assert (put["from"], put["to"], put["bytes"]) == (str(source), f"{volume}:odd", 12)
    got = json.loads(vfm("get", f"{volume}:odd/notes.txt", str(tmp_path / "back.txt"), "--json").stdout)
    assert (got["bytes"], got["bytes_total"], got["skipped"], got["left_out"]) == (12, 12, [], [])
    gone = json.loads(vfm("rm", f"{volume}:odd", "--yes", "--json").stdout)
    assert gone == {"deleted": f"{volume}:odd", "files": 1, "bytes": 12, "is_link": False}
    cancelled = json.loads(vfm("cancel", "last", "--json").stdout)
    assert cancelled["status"] == "done"
    events = [json.loads(line) for line in vfm("logs", "last", "--json").stdout.splitlines()]
    assert events[-1]["type"] == "end"

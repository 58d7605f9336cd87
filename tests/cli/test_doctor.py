"""`vfm doctor` in a shell of its own."""

from __future__ import annotations

import json

import pytest

from tests.cli.conftest import ROOT, Vfm

BUILDER = "import sys\nsys.exit(1)\n"


@pytest.fixture
def shell(vfm: Vfm) -> Vfm:
    """A checkout that is whole, with an image builder that has built nothing."""
    vfm.replace_image_builder(BUILDER)
    (vfm.project / "configs").symlink_to(ROOT / "configs")
    (vfm.project / ".env.example").write_text("EXPERIMENTER=\n")
    return vfm


def ask(shell: Vfm, **env: str) -> tuple[int, dict[str, dict[str, str]]]:
    done = shell("doctor", "--json", **{"VFM_IMAGE_PYTHON": "", **env})
    assert done.stderr == ""
    return done.returncode, {finding["id"]: finding for finding in json.loads(done.stdout)}


def test_a_machine_that_is_fine(shell: Vfm) -> None:
    code, found = ask(shell)
    assert code == 0
    assert found["home"]["state"] == "ok"
    assert "verifiers-outputs-ada-cli" in found["env"]["detail"]
    assert found["image"] == {
        "id": "image",
        "title": "local image",
        "state": "note",
        "detail": found["image"]["detail"],
        "command": "vfm image build local",
        "act": "image",
    }


def test_a_problem_exits_with_1_and_the_rest_is_told_all_the_same(shell: Vfm) -> None:
    code, found = ask(shell, EXPERIMENTER="no spaces please")
    assert code == 1
    assert found["env"]["state"] == "problem"
    assert found["home"]["state"] == "ok"


def test_an_env_file_that_cannot_be_read_is_a_finding(shell: Vfm) -> None:
    (shell.project / ".env").mkdir()
    code, found = ask(shell)
    assert (code, found["env"]["state"]) == (1, "problem")
    assert "Is a directory" in found["env"]["detail"]


def test_people_read_signs_titles_and_commands(shell: Vfm) -> None:
    (shell.project / ".env").write_text("WANDB_API_KEY=hush\n")
    (shell.project / ".env").chmod(0o600)
    done = shell("doctor", VFM_IMAGE_PYTHON="")
    assert done.returncode == 0
    assert "! local image: not built yet" in done.stdout
    assert "    → vfm image build local" in done.stdout
    assert "✓ .env: set: WANDB_API_KEY" in done.stdout
    assert "hush" not in done.stdout


def test_a_home_that_cannot_be_written_is_a_problem(shell: Vfm) -> None:
    (shell.folder / "file").touch()
    code, found = ask(shell, VFM_HOME=str(shell.folder / "file" / "home"))
    assert (code, found["home"]["state"]) == (1, "problem")

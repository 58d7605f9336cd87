"""`vfm resume` and `vfm wandb sync` of a run on Modal that is over, as processes of their own."""

from __future__ import annotations

from pathlib import Path

from tests.cli.test_wandb import address, image
from tests.modal.test_guide import Shell, shell

__all__ = ["address", "shell"]
CONFIG = "configs/modal_training_config_wordle.yaml"


def ended(shell: Shell, script: str) -> Path:
    """The directory, in its volume, of a run on Modal that has ended."""
    shell.dotenv(script)
    return shell.run_dir(shell(f"vfm launch {CONFIG} --backend modal").stderr)


def test_a_report_is_fetched_and_what_wandb_lacks_is_uploaded(
    shell: Shell, tmp_path: Path, address: str
) -> None:
    run_dir = ended(shell, "end:done")
    with (shell.project / ".env").open("a") as file:
        file.write(f"WANDB_BASE_URL={address}\n")
    sync = f"VFM_IMAGE_PYTHON={image(tmp_path)} vfm wandb sync last"
    none = shell(sync)
    assert (none.returncode, "has no Weights & Biases report" in none.stderr) == (2, True)
    for name in ("offline-run-20260202_1-x", "run-20260101_1-x"):
        (run_dir / "wandb" / name).mkdir(parents=True)
        (run_dir / "wandb" / name / "run-x.wandb").write_bytes(b"data")
    done = shell(sync)
    assert done.returncode == 0, done.stderr
    here = tmp_path / "home" / "modal" / "wandb" / run_dir.name / "wandb"
    parts = [here / "run-20260101_1-x", here / "offline-run-20260202_1-x"]
    asked = f"-m wandb sync --include-online --id {run_dir.name}"
    assert (tmp_path / "called").read_text() == f"{asked} {parts[0]} {parts[1]}\n"
    assert [(part / "run-x.wandb").read_bytes() for part in parts] == [b"data"] * 2
    assert (tmp_path / "keys").read_text() == "hush-hush\n"
    (run_dir / "wandb" / "offline-run-20260303_1-x").mkdir()
    (run_dir / "wandb" / "offline-run-20260303_1-x" / "run-x.wandb").write_bytes(b"of another attempt")
    assert shell(sync).returncode == 0
    assert (tmp_path / "called").read_text().splitlines()[1:] == [f"{asked} {here}/offline-run-20260303_1-x"]
    assert "is at Weights & Biases already" in shell(sync).stderr


REFUSED = {
    "--set modal.gpu.type=T4": ("computes in bfloat16, which a T4 does not support", "such as L4"),
    "--set modal.gpu.count=8": ("episodes cannot be divided among 7 trainers", "a multiple of 7"),
    "--set modal.gpu.count=2 --set vllm.gpus=2": (
        "--set modal.gpu.count=2, --set vllm.gpus=2: vllm.gpus = 2 leaves the trainers none of",
        "lower it, or raise the count",
    ),
}


def test_a_machine_that_the_run_cannot_go_on_on_is_refused(shell: Shell) -> None:
    run_dir = ended(shell, "saved:1/8 failure:broken exit:1")
    before = {path: path.read_bytes() for path in run_dir.glob("*.json")}
    for words, said in shell.all([f"vfm resume last {words}" for words in REFUSED]).items():
        assert said.returncode == 2, said.stderr
        for part in REFUSED[words.removeprefix("vfm resume last ")]:
            assert part in said.stderr
    assert {path: path.read_bytes() for path in run_dir.glob("*.json")} == before
    assert len(shell.cloud.calls) == 1

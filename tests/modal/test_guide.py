"""Every `modal run …` of the guide, word for word, by Modal's own program.

The workers are scripted, all else is real: `modal run`, the launcher, Modal's container entry point, the
supervisor. The project has stand-ins for the guide's environments, since nothing is installed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from remote.contract.record import LaunchRequest, RunRecord
from tests.modal.cloud import Cloud
from tests.waiting import block_until

ROOT = Path(__file__).parents[2]
PROGRAMS = Path(sys.executable).parent
WORKER = ROOT / "tests" / "backends" / "scripted_worker.py"
DEADLINE = 120.0
"""Seconds that a command may take on a machine that does other things too."""

SMALL, GENERAL = "Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-1.5B-Instruct"
CALLER = "Salesforce/xLAM-2-3b-fc-r"
WORDLE, BFCL = "vf_wordle", "vf_bfcl_single_turn"
CONFIG = "modal run run_modal.py::train --config-path configs/modal_training_config"
ALICE = "EXPERIMENTER=alice EXPERIMENT_NAME"

# The guide's command lines, each with what has to come out: environment, model, steps (or tasks).
TRAININGS = {
    "modal run run_modal.py::train --env wordle --steps 200": (WORDLE, SMALL, 200),
    "modal run run_modal.py::train --env vf-bfcl-single-turn --steps 500 "
    "--gpu-count 1 --gpu-type A100-40GB": (BFCL, CALLER, 500),
    f"{CONFIG}.yaml": (WORDLE, GENERAL, 200),
    f"{CONFIG}_wordle.yaml --env vf-bfcl-single-turn": (BFCL, CALLER, 200),
    f"{CONFIG}.yaml".replace("train", "train_with_config", 1): (WORDLE, GENERAL, 200),
    f"{CONFIG}.yaml --env gsm8k": ("gsm8k", GENERAL, 200),
    f"{CONFIG}.yaml --steps 1000": (WORDLE, GENERAL, 1000),
    "modal run run_modal.py::train --env vf-wordle --steps 500": (WORDLE, SMALL, 500),
    f"{CONFIG}.yaml --env vf-bfcl-single-turn": (BFCL, CALLER, 200),
    f"{ALICE}=wordle-v1 {CONFIG}_wordle.yaml": (WORDLE, SMALL, 200),
    f"{ALICE}=bfcl-v1 {CONFIG}_bfcl.yaml": (BFCL, CALLER, 200),
}
EVALUATIONS = {
    f"modal run run_modal.py::evaluate --env wordle --model {SMALL} --num-examples 50": (WORDLE, SMALL, 50),
    f"modal run run_modal.py::evaluate --env wordle --model {SMALL}": (WORDLE, SMALL, 50),
}


@dataclass
class Shell:
    """A user's shell, in a project of its own."""

    folder: Path
    cloud: Cloud
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.project.mkdir()
        for name in ("remote", "configs", "examples", "run_modal.py"):
            (self.project / name).symlink_to(ROOT / name)
        for name in (WORDLE, BFCL, "gsm8k"):
            (self.project / "environments" / name).mkdir(parents=True)
            (self.project / "environments" / name / "pyproject.toml").touch()
        self.dotenv("end:done")

    @property
    def project(self) -> Path:
        return self.folder / "project"

    def dotenv(self, script: str) -> None:
        """The `.env` that runs get: names, a key, and the worker's script."""
        worker = shlex.join([sys.executable, str(WORKER)])
        lines = {"EXPERIMENTER": "ann", "EXPERIMENT_NAME": "guide", "WANDB_API_KEY": "hush-hush"}
        lines |= {"VFM_WORKER": worker, "VFM_SCRIPT": script, "VFM_IMAGE_PYTHON": sys.executable}
        text = "".join(f"{name}='{value}'\n" for name, value in lines.items())
        (self.project / ".env").write_text(text)

    def start(self, line: str, cwd: Path | None = None) -> subprocess.Popen[str]:
        """Start a command line of the guide."""
        words = shlex.split(line)
        at = next(index for index, word in enumerate(words) if word in ("modal", "vfm"))
        names = dict(word.split("=", 1) for word in words[:at])
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        ours = {"VFM_HOME": str(self.folder / "home"), "VFM_PROJECT": str(self.project)}
        child = subprocess.Popen(
            [str(PROGRAMS / words[at]), *words[at + 1 :]],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=cwd or self.project,
            env={**kept, **self.cloud.env, **ours, **names},
        )
        self.started.append(child)
        return child

    def __call__(self, line: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run a command line to its end."""
        child = self.start(line, cwd)
        out, err = child.communicate(timeout=DEADLINE)
        assert "Traceback" not in out + err, out + err
        assert "hush-hush" not in out + err
        return subprocess.CompletedProcess(line, child.returncode, out, err)

    def all(self, lines: list[str], cwd: Path | None = None) -> dict[str, subprocess.CompletedProcess[str]]:
        """Run several at once, to their ends."""
        with ThreadPoolExecutor(3) as pool:
            return dict(zip(lines, pool.map(lambda line: self(line, cwd), lines), strict=True))

    def run_dir(self, said: str) -> Path:
        """The directory, in its volume, of the run that a command has started."""
        run_id = said.split("Run ", 1)[1].split()[0]
        return next(self.cloud.volumes_dir.glob(f"*/runs/{run_id}"))


@pytest.fixture
def shell(tmp_path: Path, cloud: Cloud) -> Iterator[Shell]:
    """A shell where nothing has run, and nothing is left running after the test."""
    made = Shell(tmp_path, cloud)
    yield made
    for child in made.started:
        if child.poll() is None:
            child.kill()
        child.communicate()


def test_every_command_line_of_the_guide(shell: Shell) -> None:
    done = shell.all([*TRAININGS, *EVALUATIONS])
    for line, said in done.items():
        assert said.returncode == 0, f"{line}\n{said.stdout}{said.stderr}"
        run_dir = shell.run_dir(said.stderr)
        request = LaunchRequest.model_validate_json((run_dir / "request.json").read_bytes())
        spec = request.spec
        if line in TRAININGS:
            assert (request.environment, request.model, spec.training.steps) == TRAININGS[line], line
            assert request.kind == "train"
        else:
            assert (request.environment, request.model, spec.evaluation.num_examples) == EVALUATIONS[line]
            assert request.kind == "evaluate"
        assert record_of(run_dir).status == "done"
        assert record_of(run_dir).identifiers["page"] in said.stdout, line
        assert "View run at" not in said.stdout + said.stderr, "a page that stays empty"
        check_machine(shell.cloud, record_of(run_dir))
    check_names(shell, done)
    assert len(list(shell.cloud.volumes_dir.glob("verifiers-outputs-*/runs/*"))) == len(done)


def record_of(run_dir: Path) -> RunRecord:
    """A run's record in its volume."""
    return RunRecord.model_validate_json((run_dir / "record.json").read_bytes())


def check_machine(cloud: Cloud, record: RunRecord) -> None:
    """The guide's default machine reached the function, and the app says whose it is."""
    call = cloud.calls[record.identifiers["call"]]
    asked = call.function.definition
    resources = asked.resources
    assert call.function.gpu == "A100-40GB:1"
    assert (resources.milli_cpu, resources.memory_mb, asked.timeout_secs) == (8000, 32768, 14400)
    app = cloud.apps[record.identifiers["app"]]
    assert app.name == f"verifiers_{record.experimenter}_{record.experiment}"
    tags = {"experimenter": record.experimenter, "experiment": record.experiment, "run": record.run_id}
    assert app.tags == tags


def check_names(shell: Shell, done: dict[str, subprocess.CompletedProcess[str]]) -> None:
    """Volumes go by EXPERIMENTER and EXPERIMENT_NAME: the shell's, or else those of `.env`."""
    for line, said in done.items():
        names = [word.partition("=")[2] for word in shlex.split(line) if word.startswith("EXPERIMENT")]
        who, what = names or ("ann", "guide")
        assert shell.run_dir(said.stderr).parts[-3] == f"verifiers-outputs-{who}-{what}"
        assert (shell.cloud.volumes_dir / f"verifiers-cache-{who}-{what}").is_dir()


REFUSED = {
    "modal run run_modal.py::train --env wordle --stepps 3": "No such option '--stepps'",
    "modal run run_modal.py::train --gpu-type H1000": 'modal.gpu.type is "H1000", but should be one of T4',
    "modal run run_modal.py::train --gpu-count 9": "error: --gpu-count 9: modal.gpu.count is 9, but",
    "modal run run_modal.py::train --gpu-type A10G --gpu-count 5": "more than the 4 that Modal allows",
    "modal run run_modal.py::train --env wordel": "did you mean vf-wordle? Type --env vf-wordle",
    "modal run run_modal.py::evaluate --config-path configs/modal.yaml": "configs/modal.yaml",
    "modal run run_modal.py::evaluate --checkpoint k3f9x:best": "no run 'k3f9x' is known on this machine",
}


def test_what_is_wrong_is_said_and_nothing_starts(shell: Shell) -> None:
    for line, said in shell.all(list(REFUSED)).items():
        assert said.returncode == 2, f"{line}\n{said.stdout}{said.stderr}"
        assert REFUSED[line] in said.stderr
    (shell.project / ".env").unlink()
    said = shell("modal run run_modal.py::train --env wordle --steps 200")
    assert said.returncode == 2
    assert f"there is no {shell.project / '.env'}" in said.stderr
    assert "cp .env.example .env" in said.stderr
    assert not shell.cloud.calls
    assert not list(shell.cloud.volumes_dir.iterdir())


def test_the_stream_is_told_and_a_failure_is_the_exit_code(shell: Shell, tmp_path: Path) -> None:
    """From another directory: a config that lies here comes first, then the project's."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "local_smoke.yaml").write_text("training:\n  steps: 7\n")
    shell.dotenv("raw:\\xf0\\x9f\\x8f\\x83\\n lines:2 failure:boom exit:1")
    train = f"modal run {shell.project}/run_modal.py::train --config-path configs/"
    done = shell.all([f"{train}local_smoke.yaml", f"{train}local_demo.yaml"], tmp_path)
    for said, steps in zip(done.values(), (7, 32), strict=True):
        assert said.returncode == 1, said.stderr
        assert "▶ image" in said.stdout
        assert "🏃\n[train] line 0\n[train] line 1\n" in said.stdout
        assert "error: boom" in said.stderr
        spec = LaunchRequest.model_validate_json(
            (shell.run_dir(said.stderr) / "request.json").read_bytes()
        ).spec
        assert spec.training.steps == steps


def test_ctrl_c_leaves_the_run_going_and_says_how_to_rejoin(shell: Shell, tmp_path: Path) -> None:
    go_on = tmp_path / "go-on"
    shell.dotenv(f"lines:1 wait:{go_on} end:done")
    child = shell.start("modal run run_modal.py::train --env wordle --steps 200")
    assert child.stdout is not None
    assert any("line 0" in line for line in child.stdout)
    child.send_signal(signal.SIGINT)
    _, err = child.communicate(timeout=DEADLINE)
    run_dir = shell.run_dir(err)
    assert child.returncode == 130
    assert f"Run {run_dir.name} goes on. Watch it again: vfm logs {run_dir.name} --follow" in err
    assert "Traceback" not in err
    go_on.touch()
    block_until(lambda: record_of(run_dir).status == "done", "the run's end", seconds=DEADLINE)


def test_a_connection_that_is_lost_while_the_run_ends_costs_nothing(shell: Shell, tmp_path: Path) -> None:
    """Not a line, and not the exit code, though Modal's own app of the file is lost."""
    go_on, over = tmp_path / "go-on", tmp_path / "over"
    shell.dotenv(f"lines:1 wait:{go_on} lines:2 touch:{over} end:done")
    child = shell.start("modal run run_modal.py::train --env wordle --steps 200")
    assert child.stdout is not None
    assert any("line 0" in line for line in child.stdout)
    shell.cloud.faults.network = "refuse"
    go_on.touch()
    block_until(
        lambda: over.exists() and all(one.ended for one in shell.cloud.containers.values()),
        "the run's end",
        seconds=DEADLINE,
    )
    shell.cloud.faults.network = "open"
    out, err = child.communicate(timeout=DEADLINE)
    assert (child.returncode, out) == (0, "[train] line 0\n[train] line 1\n")
    assert "Traceback" not in err


def test_packages_of_ones_own_are_built_into_the_image(shell: Shell) -> None:
    """As the guide has it: by editing the list in `run_modal.py`; ahead of any launch."""
    text = (ROOT / "run_modal.py").read_text()
    assert text.count('        # "your-custom-package>=1.0.0",') == 1
    (shell.project / "run_modal.py").unlink()
    (shell.project / "run_modal.py").write_text(text.replace('# "your-custom', '"your-custom'))
    done = shell("vfm image build modal")
    assert done.returncode == 0, done.stderr
    assert "pip install 'your-custom-package>=1.0.0'" in done.stderr
    assert "--require-hashes --requirements /.uv/0/cuda.txt" in done.stderr
    assert "✓ image · built" in done.stderr
    assert not shell.cloud.calls


def test_a_training_script_of_ones_own_is_added_as_the_guide_says(shell: Shell) -> None:
    """Beside the others, following their pattern, with a line in TRAINING_SCRIPTS; through both doors."""
    for name in ("examples", "run_modal.py"):
        (shell.project / name).unlink()
    mine = shell.project / "examples" / "grpo" / "train_mine.py"
    mine.parent.mkdir(parents=True)
    shutil.copy(ROOT / "examples" / "grpo" / "train_wordle.py", mine)
    entry = '    "vf-wordle": "examples/grpo/train_wordle.py",\n'
    text = (ROOT / "run_modal.py").read_text()
    assert entry in text
    added = text.replace(entry, '    "gsm8k": "examples/grpo/train_mine.py",\n')
    (shell.project / "run_modal.py").write_text(added)
    lines = [
        "modal run run_modal.py::train --env gsm8k --steps 3",
        "vfm launch --backend modal --set training.environment=gsm8k",
    ]
    for line, said in shell.all(lines).items():
        assert said.returncode == 0, f"{line}\n{said.stdout}{said.stderr}"
        run_dir = shell.run_dir(said.stderr)
        request = LaunchRequest.model_validate_json((run_dir / "request.json").read_bytes())
        assert request.script == record_of(run_dir).script == "examples/grpo/train_mine.py"
        assert request.script_text == mine.read_text()


def test_help_names_the_options_of_the_guide(shell: Shell) -> None:
    said = shell("modal run run_modal.py::train --help").stdout
    for option in ("--env", "--steps", "--config-path", "--gpu-count", "--gpu-type", "--model"):
        assert option in said

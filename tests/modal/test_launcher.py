"""The launcher and the container on the tests' cloud: real client, real containers, scripted workers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from grpclib import Status
from modal_proto import api_pb2 as pb

from remote.contract.errors import ConfigError
from remote.contract.events import AttemptEvent, Event, decode_line
from remote.contract.log_frames import Frame, FrameReader
from remote.contract.record import LaunchRequest, RunRecord, new_run_id
from remote.contract.spec import ExperimentSpec
from remote.image import pins
from remote.modal_app.client import plain
from remote.modal_app.launcher import BUILDER
from tests.modal.cloud import Cloud, Container
from tests.modal.cloud.objects import WORKSPACE_BUILDER
from tests.waiting import DEADLINE, block_until

PROJECT = Path(__file__).parents[2]
WORKER = f"{sys.executable} {PROJECT / 'tests/backends/scripted_worker.py'}"
OUTPUTS, CACHE = "verifiers-outputs-ann-tests", "verifiers-cache-ann-tests"


@dataclass
class Desk:
    """A home with launchers and what they leave behind."""

    cloud: Cloud
    home: Path
    started: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def start(self, document: dict[str, Any], *arguments: str) -> dict[str, Any]:
        """Start a launcher as the backend does; returns its answer."""
        child = subprocess.Popen(
            [sys.executable, "-m", "remote.modal_app.launcher", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=PROJECT,
            start_new_session=True,
        )
        self.started.append(child)
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(document).encode())
        child.stdin.close()
        answer: dict[str, Any] = json.loads(child.stdout.read())
        return answer

    def launch(
        self, script: str, env: dict[str, str] | None = None, source: str = "", **spec: dict[str, Any]
    ) -> Run:
        """A run whose record is written, and whose launcher goes on."""
        request = LaunchRequest(
            run_id=new_run_id("vf_x"),
            spec=ExperimentSpec.model_validate(spec),
            model="builtin/tiny-random",
            environment="vf_wordle",
            environment_source=source,
            experimenter="ann",
            experiment="tests",
            outputs=OUTPUTS,
            cache=CACHE,
        )
        given = {"VFM_WORKER": WORKER, "VFM_SCRIPT": script, "VFM_STOP_GRACE": "5", "WANDB_API_KEY": "s3cret"}
        env = {**given, **(env or {})}
        document = {"home": str(self.home), "env": env, "request": request.model_dump(mode="json")}
        answer = self.start(document)
        assert "record" in answer, answer
        assert answer["record"]["status"] == "pending"
        return Run(self, request)

    def over(self) -> None:
        """Wait until the launchers have ended."""
        for child in self.started:
            child.wait(DEADLINE)


@dataclass
class Run:
    """One run, staged here and in its volume."""

    desk: Desk
    request: LaunchRequest

    @property
    def staged(self) -> Path:
        return self.desk.home / "modal" / OUTPUTS / "runs" / self.request.run_id

    @property
    def there(self) -> Path:
        return self.desk.cloud.volumes_dir / OUTPUTS / "runs" / self.request.run_id

    def record(self, folder: Path | None = None) -> RunRecord:
        return RunRecord.model_validate_json(((folder or self.there) / "record.json").read_bytes())

    def stream(self, folder: Path | None = None) -> str:
        path = (folder or self.there) / "logs" / "stream.log"
        return path.read_bytes().decode() if path.exists() else ""

    def events(self) -> list[Event]:
        items = [decode_line(line) for line in self.stream().split("\n")]
        return [item for item in items if not isinstance(item, str)]

    def await_end(self) -> RunRecord:
        block_until(lambda: self.record().ended_already, "the run's end")
        block_until(lambda: not self.containers(), "its containers' end")
        return self.record()

    def containers(self) -> list[Container]:
        return [one for one in self.desk.cloud.containers.values() if one.process is not None and one.running]

    def frames(self) -> dict[int, bytes]:
        """Each attempt's output, from the frames in the app's log."""
        (app,) = self.desk.cloud.apps.values()
        parts: dict[int, bytes] = {}
        for item in FrameReader().feed(app.log.text):
            if isinstance(item, Frame):
                assert item.at == len(parts.get(item.attempt, b""))
                parts[item.attempt] = parts.get(item.attempt, b"") + item.data
        return parts


@pytest.fixture
def desk(cloud: Cloud, tmp_path: Path) -> Iterator[Desk]:
    """A home of its own; no launcher is left after the test."""
    desk = Desk(cloud, tmp_path / "home")
    yield desk
    for child in desk.started:
        child.kill()
        child.wait()


def test_a_launch_brings_the_run_to_the_machine_that_was_asked_for(desk: Desk) -> None:
    cloud = desk.cloud
    cloud.faults.build_lines = ["\x1b[32mInstalled 120 packages\x1b[0m", "10%\r55%\r100% done"]
    seen = desk.home / "key"
    seen.parent.mkdir()
    script = f"lines:40 env:WANDB_API_KEY={seen} steps:3 end:done"
    options: dict[str, Any] = {
        "cpus": 4,
        "memory": 16384,
        "timeout": 7200,
        "retries": 2,
        "gpu": {"type": "H100", "count": 2},
    }
    options |= {"region": "us, eu-west", "cloud": "aws"}
    run = desk.launch(script, modal=options)
    record = run.await_end()
    desk.over()
    assert (record.status, record.exit_code) == ("done", 0)
    (app,) = cloud.apps.values()
    (call,) = cloud.calls.values()
    page = f"https://modal.com/id/{app.app_id}"
    assert record.identifiers == {"app": app.app_id, "page": page, "call": call.call_id}
    assert run.record(run.staged).identifiers == record.identifiers
    assert app.name == "verifiers_ann_tests"
    assert app.tags == {"experimenter": "ann", "experiment": "tests", "run": record.run_id}
    asked = call.function.definition
    assert call.function.gpu == "H100:2"
    assert (asked.resources.milli_cpu, asked.resources.memory_mb) == (4000, 16384)
    assert (asked.timeout_secs, asked.retry_policy.retries) == (7200, 2)
    assert list(asked.scheduler_placement.regions) == ["us", "eu-west"]
    assert asked.cloud_provider_str == "aws"
    assert sorted(mount.mount_path for mount in asked.volume_mounts) == ["/cache", "/outputs"]
    assert {OUTPUTS, CACHE} <= {folder.name for folder in cloud.volumes_dir.iterdir()}

    text = run.stream()
    assert run.frames() == {1: text.encode()}
    assert text.startswith(run.stream(run.staged))
    assert "[image] Installed 120 packages\n" in text
    assert "[image] 100% done\n" in text
    assert "2 × H100, 4 cores, 16 GB" in text
    assert [event.seq for event in run.events()] == list(range(len(run.events())))
    names = {str(path.relative_to(run.there)) for path in run.there.rglob("*") if path.is_file()}
    assert names == {"record.json", "spec.json", "request.json", "events.jsonl", "logs/stream.log"}
    assert seen.read_text() == "s3cret"
    known = [path for path in run.staged.rglob("*") if path.is_file()]
    assert not [path for path in known if b"s3cret" in path.read_bytes()]

    only_the_project_was_uploaded(cloud)
    again = desk.home / "again"
    document = {"home": str(again), "env": {"A": "b"}, "request": run.request.model_dump(mode="json")}
    told = desk.start(document)["error"]
    assert record.run_id in told["message"]
    assert not list(again.rglob("record.json"))


def test_a_wheel_travels_in_the_run_directory(desk: Desk, tmp_path: Path) -> None:
    wheel = tmp_path / "some_env-1.0-py3-none-any.whl"
    wheel.write_bytes(b"PK of an environment")
    run = desk.launch("steps:1 end:done", source=str(wheel))
    assert run.await_end().status == "done"
    request = LaunchRequest.model_validate_json((run.there / "request.json").read_bytes())
    assert request.environment_source == f"environment/{wheel.name}"
    assert (run.there / request.environment_source).read_bytes() == wheel.read_bytes()
    assert Path(request.run_dir).name == run.request.run_id  # what the worker takes the path from


def only_the_project_was_uploaded(cloud: Cloud) -> None:
    """No secret, no virtual environment, no cache, no tests."""
    uploaded = [file.filename for mount in cloud.state.mounts.values() for file in mount]
    assert "/root/remote/worker.py" in uploaded
    assert "/root/environments/vf_wordle/pyproject.toml" in uploaded
    unwanted = re.compile(r"(^|/)\.|\.egg-info$|__pycache__|\.pyc$|/tests/")
    assert not [name for name in uploaded if unwanted.search(name)]


def test_an_image_that_cannot_be_built_is_on_record_with_its_last_lines(desk: Desk) -> None:
    desk.cloud.faults.build_failure = "ERROR: No matching distribution found for nosuch"
    run = desk.launch("end:done")
    desk.over()
    for folder in (run.staged, run.there):
        record = run.record(folder)
        assert record.status == "failed"
        assert record.failure is not None
        assert record.failure["boundary"] == "image"
        assert "No matching distribution found for nosuch" in record.failure["cause"]
        assert "run_modal.py" in record.failure["hint"]["text"]
        assert (folder / "events.jsonl").read_text().count('"type":"end"') == 1
        assert run.stream(folder).count('"type":"failure"') == 1
    assert not desk.cloud.calls


@pytest.mark.parametrize(
    ("end", "advice"),
    [
        (pb.GenericResult.GENERIC_STATUS_FAILURE, "your own packages are listed in run_modal.py"),
        (pb.GenericResult.GENERIC_STATUS_TERMINATED, "launch again, finished layers are kept"),
        (pb.GenericResult.GENERIC_STATUS_TIMEOUT, "launch again, finished layers are kept"),
    ],
)
def test_modals_own_reason_for_a_failed_build_is_told_with_the_command_that_shows_all(
    desk: Desk, end: pb.GenericResult.GenericStatus.ValueType, advice: str
) -> None:
    faults = desk.cloud.faults
    faults.build_lines, faults.build_end = ["Prepared 12 packages in 4.20s"], end
    faults.build_reason = "pip install failed (exit status 1)"
    run = desk.launch("end:done")
    desk.over()
    failure = run.record().failure
    assert failure is not None
    [*_, image] = desk.cloud.images
    assert "Prepared 12 packages" in failure["cause"]
    assert image in failure["cause"]
    if end != pb.GenericResult.GENERIC_STATUS_TIMEOUT:
        assert "pip install failed (exit status 1)" in failure["cause"]
    assert advice in failure["hint"]["text"]
    assert f"modal image logs {image}" in failure["hint"]["text"]


def test_what_is_too_much_to_upload_is_refused_by_its_name(tmp_path: Path) -> None:
    from remote.modal_app.app import MOST_BYTES, check_size

    package = tmp_path / "environments" / "vf_mine"
    for left_out in ("venv", ".venv", "build", "dist", "outputs", "node_modules", "wandb"):
        (package / left_out).mkdir(parents=True)
        with (package / left_out / "large").open("wb") as file:
            file.truncate(MOST_BYTES)
    (package / "vf_mine" / "build").mkdir(parents=True)
    (package / "vf_mine" / "build" / "module.py").touch()  # a package of the environment's, which is needed
    check_size(tmp_path / "environments")
    with (package / "vf_mine" / "data.parquet").open("wb") as file:
        file.truncate(MOST_BYTES + 1)
    with pytest.raises(
        ConfigError, match=r"environments/ has 500 MiB .* most of it is environments/vf_mine/vf_mine"
    ):
        check_size(tmp_path / "environments")


@pytest.mark.parametrize("refused", [False, True])
def test_volumes_are_made_of_version_2_where_modal_makes_them(desk: Desk, refused: bool) -> None:
    desk.cloud.faults.version_2_refused = refused
    run = desk.launch("end:done")
    run.await_end()
    made = {volume.name: volume.version for volume in desk.cloud.state.volumes.values()}
    assert set(made.values()) == {pb.VOLUME_FS_VERSION_V1 if refused else pb.VOLUME_FS_VERSION_V2}
    again = desk.launch("end:done")  # with the volumes that are there
    assert again.await_end().status == "done"
    assert {volume.name: volume.version for volume in desk.cloud.state.volumes.values()} == made


def test_the_page_of_the_runs_own_app_is_on_record_and_in_its_log(desk: Desk) -> None:
    run = desk.launch("end:done")
    record = run.await_end()
    page = f"https://modal.com/id/{record.identifiers['app']}"
    assert record.identifiers["page"] == page
    assert f"Modal's page of this run: {page}" in run.stream()


def test_a_call_that_modal_refuses_is_on_record_and_leaves_no_app(desk: Desk) -> None:
    desk.cloud.faults.errors["FunctionBindParams"] = Status.INVALID_ARGUMENT
    run = desk.launch("end:done")
    desk.over()
    record = run.record()
    assert record.status == "failed"
    assert record.failure is not None
    assert record.failure["boundary"] == "backend"
    assert record.failure["message"] == "Modal could not start the run: FunctionBindParams fails"
    assert run.stream() == run.stream(run.staged)
    assert '"phase":"image","status":"done"' in run.stream()
    assert all(app.done for app in desk.cloud.apps.values())


def test_a_run_goes_on_whose_launcher_loses_modal_once_it_is_started(desk: Desk) -> None:
    desk.cloud.faults.errors["AppClientDisconnect"] = Status.INVALID_ARGUMENT
    run = desk.launch("lines:1 end:done")
    desk.over()
    assert run.record(run.staged).failure is None
    assert run.await_end().status == "done"
    assert "AppStop" not in desk.cloud.service.asked


def test_a_launch_that_is_stopped_while_the_image_is_built_is_cancelled(desk: Desk) -> None:
    desk.cloud.faults.build_delay = 0.2
    desk.cloud.faults.build_lines = ["one more line"] * 500
    run = desk.launch("end:done")
    block_until(lambda: "[image] one more line" in run.stream(run.staged), "the build")
    stopping = subprocess.run(
        [sys.executable, "-m", "remote.modal_app.launcher", "--stop", str(run.staged)],
        cwd=PROJECT,
        check=False,
    )
    assert stopping.returncode == 0
    desk.over()
    for folder in (run.staged, run.there):
        assert run.record(folder).status == "cancelled"
        assert '"type":"end"' in run.stream(folder)
    assert all(app.done for app in desk.cloud.apps.values())
    assert not desk.cloud.calls


def test_a_run_goes_on_after_a_preemption_and_after_a_timeout(desk: Desk) -> None:
    script = "lines:3 attempt:1=pause:60 attempt:2=pause:60 steps:2 end:done"
    run = desk.launch(script, {"VFM_TIMEOUT": "12"}, modal={"retries": 1})
    block_until(lambda: "line 2" in run.stream(), "the first attempt")
    desk.cloud.faults.preempt()
    record = run.await_end()
    assert record.status == "done", record
    assert [attempt.why for attempt in record.attempts] == ["preempted", "timeout", "done"]
    containers = {attempt.container for attempt in record.attempts}
    assert len(containers) == 3
    assert containers <= set(desk.cloud.containers)
    taken_up = [event for event in run.events() if isinstance(event, AttemptEvent)]
    assert [(event.number, event.why) for event in taken_up] == [(2, "preempted"), (3, "timeout")]
    numbers = [event.seq for event in run.events()]
    assert numbers == sorted(set(numbers))
    text, cuts = run.stream().encode(), [attempt.offset for attempt in record.attempts]
    parts = {1: text[: cuts[1]], 2: text[cuts[1] : cuts[2]], 3: text[cuts[2] :]}
    assert run.frames() == parts


def test_a_call_that_is_cancelled_saves_and_ends_cancelled(desk: Desk) -> None:
    import modal

    run = desk.launch("polite lines:1 pause:60")
    block_until(lambda: "line 0" in run.stream(), "the worker")
    modal.FunctionCall.from_id(run.record().identifiers["call"]).cancel()
    record = run.await_end()
    assert record.status == "cancelled"
    assert "[worker] saved" in run.stream()
    assert record.attempts[-1].why == "cancelled"
    assert len(desk.cloud.containers) == 1


@pytest.mark.parametrize("trouble", ["refuse", "stall", "wrong token"])
def test_what_keeps_a_launch_from_beginning_is_answered_within_ten_seconds(desk: Desk, trouble: str) -> None:
    env = {"WANDB_API_KEY": "s3cret"}
    match trouble:
        case "wrong token":
            desk.cloud.faults.wrong_token = True
        case "refuse" | "stall" as network:
            desk.cloud.faults.network = network
    spec = ExperimentSpec()
    request = LaunchRequest(
        run_id="r", spec=spec, model="m", environment="vf_x", outputs=OUTPUTS, cache=CACHE
    )
    began = time.monotonic()
    document = {"home": str(desk.home), "env": env, "request": request.model_dump(mode="json")}
    told = desk.start(document)["error"]
    assert time.monotonic() - began < 10
    assert told["boundary"] == "backend"
    assert told["hint"]["text"]
    assert "Traceback" not in json.dumps(told)
    assert not list(desk.home.rglob("record.json"))


def test_a_run_whose_container_died_speechless_is_settled_here_and_in_its_volume(desk: Desk) -> None:
    run = desk.launch("steps:1 lines:2 pause:60", modal={"retries": 0})
    block_until(lambda: "line 1" in run.stream(), "the worker")
    desk.cloud.faults.crash()
    block_until(lambda: not run.containers(), "the container's end")
    assert run.record().status == "running"
    (run.staged / "logs/stream.log").write_text(run.stream() + "half a li")
    secret = "canary0123456789abcdef"
    cause = f"Killed, {secret}"
    error = {"boundary": "worker", "message": "the container was lost", "cause": cause, "hint": None}
    text = ["\x1b[31mRunner failed\x1b[0m", f"its environment was {{'MY_KEY': '{secret}'}}"]
    told = {"status": "failed", "exit_code": 137, "error": error, "text": text, "env": {"MY_KEY": secret}}
    answer = desk.start(told, "--settle", str(run.staged))
    for folder in (run.staged, run.there):
        record = run.record(folder)
        assert (record.status, record.exit_code) == ("failed", 137)
        assert record.failure is not None
        assert record.failure["message"] == "the container was lost"
        assert record.attempts[-1].why == "failed"
        assert "half a li\n[modal] Runner failed\n[modal] its environment" in run.stream(folder)
        assert not [path for path in folder.rglob("*") if path.is_file() and secret in path.read_text()]
        kept = (folder / "events.jsonl").read_text().splitlines()
        assert len(kept) == run.stream(folder).count("\x1e")
        assert [json.loads(line)["type"] for line in kept][-2:] == ["failure", "end"]
        assert [json.loads(line)["seq"] for line in kept] == list(range(len(kept)))
    assert answer["record"]["status"] == "failed"
    # Settling once more changes nothing.
    before = run.stream()
    assert desk.start(told, "--settle", str(run.staged))["record"]["status"] == "failed"
    assert run.stream() == before


def build_ahead(**variables: str) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-m", "remote.modal_app.launcher", "--build"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **variables},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split("\n")


def test_an_image_can_be_built_ahead(desk: Desk) -> None:
    lines = build_ahead()
    assert any(line.startswith("[image] => Step") for line in lines)
    phases = [item.status for line in lines if getattr(item := decode_line(line), "type", "") == "phase"]  # type: ignore[union-attr]
    assert phases == ["started", "done"]
    images = list(desk.cloud.images.values())
    commands = [command for image in images for command in image.commands]
    installs = [command for command in commands if "uv pip install" in command]
    assert len(installs) == 1
    assert "--no-deps --require-hashes --requirements /.uv/0/cuda.txt" in installs[0]
    copied = [file for image in images for file in image.files.values()]
    assert pins.lock_file("cuda").read_bytes() in copied
    assert any("HF_HOME=/cache/huggingface" in command for command in commands)


def test_the_image_builder_s_version_is_ours_unless_the_user_names_one(desk: Desk) -> None:
    def builders() -> set[str]:
        return {image.builder for image in desk.cloud.images.values()}

    build_ahead()
    assert builders() == {BUILDER}
    assert BUILDER != WORKSPACE_BUILDER
    build_ahead(MODAL_IMAGE_BUILDER_VERSION=WORKSPACE_BUILDER)
    assert builders() == {BUILDER, WORKSPACE_BUILDER}


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[1;32mok\x1b[0m", "ok"),
        ("1%\r50%\r100%\r", "100%"),
        ("\x1b]8;;http://x\x07link\x1b]8;;\x07", "link"),
        ("a\x1eb\x07\x9b", "ab"),
        ("\tindented · größer  ", "\tindented · größer"),
        ("\x1b[2K\r", ""),
    ],
)
def test_a_line_of_a_build_is_plain_text(said: str, shown: str) -> None:
    assert plain(said) == shown

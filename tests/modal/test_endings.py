"""Runs that end without writing their end are completed from what Modal knows of them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from grpclib import Status

from remote.contract import layout
from remote.contract.errors import BackendError, ConfigError
from remote.contract.events import EndEvent, FailureEvent, MetricsEvent
from remote.contract.json_text import from_json
from remote.contract.record import LaunchRequest, RunRecord
from remote.contract.spec import ExperimentSpec
from remote.output.run_dir import RunDir
from tests.backends.conftest import PROJECT, ModalBench, lines, request
from tests.modal.cloud.faults import Faults
from tests.waiting import until
from tui.backends.modal import session, sign_in
from tui.backends.modal.backend import ModalBackend
from tui.backends.modal.runs import calls
from tui.backends.modal.runs.calls import Outcome
from tui.backends.modal.runs.status import judge
from tui.backends.modal.volumes import volumes
from tui.backends.stream_file import is_alive
from tui.store.logs.stream import events_of


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[ModalBench]:
    """A cloud, and a backend over it."""
    bench = ModalBench(tmp_path)
    yield bench
    bench.close()


def there(bench: ModalBench, run: RunRecord) -> Path:
    """The run's directory in its volume."""
    return bench.cloud.volumes_dir / run.outputs / layout.run_path(run.run_id)


def on_record(bench: ModalBench, run: RunRecord) -> RunRecord:
    """The run's record in its volume."""
    return RunRecord.model_validate_json((there(bench, run) / layout.RECORD).read_bytes())


async def waiting(bench: ModalBench, folder: Path, **modal: object) -> tuple[ModalBackend, RunRecord]:
    """A run whose worker has printed a line and waits."""
    ready = folder / "ready"
    backend = bench.backend(f"lines:1 touch:{ready} wait:{folder / 'go'} end:done")
    run = await backend.launch(request(modal={"retries": 0, **modal}))
    await until(ready.exists, "the worker")
    return backend, run


def with_steps(spec: ExperimentSpec, steps: int) -> ExperimentSpec:
    """The spec with another number of steps."""
    return spec.model_copy(update={"training": spec.training.model_copy(update={"steps": steps})})


@pytest.mark.parametrize(
    ("fault", "code", "said", "key"),
    [
        (Faults.crash, 1, "its container was lost", None),
        (Faults.out_of_memory, 137, "ran out of memory", "modal.memory"),
        (Faults.exit, 3, "ended with code 3", None),
    ],
)
async def test_a_death_without_a_word_is_put_on_record(
    bench: ModalBench, tmp_path: Path, fault: Callable[[Faults], None], code: int, said: str, key: str | None
) -> None:
    bench.cloud.faults.private_volumes = True  # what was not committed dies with the container
    backend, run = await waiting(bench, tmp_path)

    async def seen() -> bool:
        return "[train] line 0" in await lines(backend, run, live=False)

    await until(seen, "the line")
    fault(bench.cloud.faults)
    found = await lines(backend, run)
    assert "[train] line 0" in found
    events = list(events_of(found))
    [failure] = [event for event in events if isinstance(event, FailureEvent)]
    assert said in failure.message
    assert (failure.hint or {}).get("key") == key
    assert [event.status for event in events if isinstance(event, EndEvent)] == ["failed"]
    after = await backend.status(run)
    assert (after.status, after.exit_code) == ("failed", code)
    assert on_record(bench, run).status == "failed"
    assert backend.log_path(run).read_bytes() == (there(bench, run) / layout.STREAM).read_bytes()
    other = ModalBackend(tmp_path / "other", PROJECT, {}, bench.env_file)
    assert await lines(other, after) == found


async def test_a_death_whose_logs_modal_no_longer_gives_is_put_on_record(
    bench: ModalBench, tmp_path: Path
) -> None:
    backend, run = await waiting(bench, tmp_path)
    bench.cloud.faults.errors["AppCountLogs"] = Status.INVALID_ARGUMENT
    bench.cloud.faults.crash()

    async def over() -> bool:
        return (await backend.status(run)).ended_already

    await until(over, "the end")
    assert "[train] line 0" in await lines(backend, run)
    assert on_record(bench, run).status == "failed"


async def test_a_run_whose_container_died_goes_on_in_another(bench: ModalBench, tmp_path: Path) -> None:
    backend, run = await waiting(bench, tmp_path, retries=2)
    bench.cloud.faults.crash()
    await until(lambda: len(on_record(bench, run).attempts) == 2, "another attempt")
    (tmp_path / "go").touch()
    found = await lines(backend, run)
    after = await backend.status(run)
    assert (after.status, [attempt.why for attempt in after.attempts]) == ("done", ["lost", "done"])
    assert found.count("[train] line 0") == 2
    assert backend.log_path(run).read_bytes() == (there(bench, run) / layout.STREAM).read_bytes()


async def test_what_a_lost_machine_said_is_in_the_volume_though_its_log_was_open(
    bench: ModalBench, tmp_path: Path
) -> None:
    bench.cloud.faults.private_volumes = bench.cloud.faults.open_files_left_out = True
    script = f"lines:5 steps:3 attempt:1=wait:{tmp_path / 'never'} end:done"
    run = await bench.backend(script).launch(request())
    committed = there(bench, run) / layout.EVENTS
    await until(lambda: committed.exists() and b'"checkpoint"' in committed.read_bytes(), "a commit")
    bench.cloud.faults.crash()  # nobody has watched
    await until(lambda: on_record(bench, run).status == "done", "the end")
    elsewhere = ModalBackend(tmp_path / "elsewhere", PROJECT, {}, bench.env_file)
    found = await lines(elsewhere, on_record(bench, run))
    assert found.count("[train] line 0") == 2
    assert [e.step for e in events_of(found) if isinstance(e, MetricsEvent)] == [1, 2, 3, 1, 2, 3]
    assert any("waiting for a machine" in line for line in found)


async def test_events_that_the_log_of_a_lost_run_lacks_are_not_lost(
    bench: ModalBench, tmp_path: Path
) -> None:
    bench.cloud.faults.private_volumes = True
    script = f"lines:5 steps:3 wait:{tmp_path / 'never'}"
    backend = bench.backend(script)
    run = await backend.launch(request(modal={"retries": 0}))
    committed = there(bench, run) / layout.EVENTS
    await until(lambda: committed.exists() and b'"checkpoint"' in committed.read_bytes(), "a commit")
    bench.cloud.faults.crash()
    (there(bench, run) / layout.STREAM).write_bytes(b"")
    bench.cloud.faults.errors["AppCountLogs"] = Status.INVALID_ARGUMENT  # Modal gives no logs either

    async def over() -> bool:
        return (await backend.status(run)).ended_already

    await until(over, "the end")
    found = await lines(ModalBackend(tmp_path / "elsewhere", PROJECT, {}, bench.env_file), run)
    assert [e.step for e in events_of(found) if isinstance(e, MetricsEvent)] == [1, 2, 3]
    numbers = [event.seq for event in events_of(found)]
    assert numbers == sorted(set(numbers))
    filed = (there(bench, run) / layout.EVENTS).read_text().splitlines()
    assert len(filed) == len(numbers)


async def test_a_launch_that_was_killed_is_not_waited_for(bench: ModalBench) -> None:
    bench.cloud.faults.build_lines, bench.cloud.faults.build_delay = ["building"] * 1000, 0.1
    backend = bench.backend()
    run = await backend.launch(request())
    await until(lambda: b"building" in backend.log_path(run).read_bytes(), "the build")
    [found] = await backend.runs()
    assert found.status == "pending"
    os.kill(int(run.identifiers["pid"]), signal.SIGKILL)
    state = [event for event in events_of(await lines(backend, run)) if isinstance(event, FailureEvent)]
    assert [event.message for event in state] == ["the launch was interrupted"]
    assert [record.status for record in await backend.runs()] == ["failed"]
    assert on_record(bench, run).status == "failed"


async def test_a_launch_that_fails_when_modal_is_lost_is_put_into_the_volume_later(bench: ModalBench) -> None:
    faults = bench.cloud.faults
    faults.build_lines, faults.build_delay, faults.build_failure = ["building"] * 10, 0.1, "no such package"
    backend = bench.backend()
    run = await backend.launch(request())
    faults.errors["VolumePutFiles2"] = Status.PERMISSION_DENIED
    await until(lambda: not is_alive(backend.log_path(run).parents[1]), "the launcher's end")
    assert (await backend.status(run)).status == "failed"
    assert on_record(bench, run).status == "pending"
    faults.errors.clear()
    [found] = await backend.runs()
    assert on_record(bench, run).status == found.status == "failed"
    assert "pid" not in found.identifiers
    [failure] = [e for e in events_of(await lines(backend, found)) if isinstance(e, FailureEvent)]
    assert failure.message == "Modal could not build the image"
    assert backend.log_path(run).read_bytes() == (there(bench, run) / layout.STREAM).read_bytes()


async def test_a_run_whose_launcher_gave_it_up_though_it_was_started_goes_on(
    bench: ModalBench, tmp_path: Path
) -> None:
    _, run = await waiting(bench, tmp_path)
    backend = bench.backend()
    staged = RunDir(backend.log_path(run).parents[1])
    await until(lambda: not is_alive(staged.path), "the launcher's end")
    gone = {"status": "failed", "exit_code": 1, "ended": 1.0, "attempts": []}
    staged.write_record(run.model_copy(update={**gone, "identifiers": {**run.identifiers, "pid": "1"}}))
    with (staged.path / layout.STREAM).open("a") as log:
        log.write("[worker] the launch failed\n")
    assert (await backend.status(run)).status == on_record(bench, run).status == "running"
    (tmp_path / "go").touch()
    found = await lines(backend, run)
    assert (await backend.status(run)).status == "done"
    assert "[worker] the launch failed" not in found
    assert backend.log_path(run).read_bytes() == (there(bench, run) / layout.STREAM).read_bytes()


async def test_a_launch_under_way_is_cancelled(bench: ModalBench) -> None:
    bench.cloud.faults.build_lines, bench.cloud.faults.build_delay = ["building"] * 1000, 0.1
    backend = bench.backend()
    run = await backend.launch(request())
    await until(lambda: b"building" in backend.log_path(run).read_bytes(), "the build")
    await backend.cancel(run)
    await lines(backend, run)
    assert (await backend.status(run)).status == on_record(bench, run).status == "cancelled"


async def test_a_run_that_waits_for_its_machine_is_cancelled_from_elsewhere(
    bench: ModalBench, tmp_path: Path
) -> None:
    bench.cloud.faults.private_volumes = True  # what the volume says is then the launcher's last word
    _, run = await waiting(bench, tmp_path)
    app = {"app": on_record(bench, run).identifiers["app"]}
    pending: dict[str, object] = {"status": "pending", "identifiers": app, "attempts": [], "started": None}
    record = on_record(bench, run).model_copy(update=pending)
    (there(bench, run) / layout.RECORD).write_text(record.model_dump_json())
    elsewhere = ModalBackend(tmp_path / "elsewhere", PROJECT, {}, bench.env_file)
    [seen] = await elsewhere.runs()
    await elsewhere.cancel(seen)
    assert (await elsewhere.status(seen)).status == on_record(bench, run).status == "cancelled"


async def test_a_launch_that_nobody_is_left_of_is_cancelled_from_elsewhere(
    bench: ModalBench, tmp_path: Path
) -> None:
    backend, run = await waiting(bench, tmp_path)
    await backend.cancel(run)
    await lines(backend, run)
    pending: dict[str, object] = {
        "status": "pending",
        "identifiers": {},
        "attempts": [],
        "exit_code": None,
        "ended": None,
    }
    record = on_record(bench, run).model_copy(update=pending)
    elsewhere = ModalBackend(tmp_path / "elsewhere", PROJECT, {}, bench.env_file)
    file = there(bench, run) / layout.RECORD
    file.write_text(record.model_dump_json())
    with pytest.raises(BackendError, match="being launched on another machine"):
        await elsewhere.cancel(record)
    file.write_text(record.model_copy(update={"created": record.created - 86400}).model_dump_json())
    await elsewhere.cancel(record)
    assert on_record(bench, run).status == "cancelled"


async def test_a_call_that_fails_leaves_a_run_that_was_to_go_on_as_it_was(bench: ModalBench) -> None:
    backend = bench.backend("attempt:1=saved:1/8 attempt:1=failure:broken attempt:1=exit:1 lines:2 end:done")
    run = await backend.launch(request())
    await lines(backend, run)
    files = [there(bench, run) / name for name in (layout.SPEC, layout.REQUEST, layout.RECORD)]
    before = [from_json(file.read_text()) for file in files]
    asked = LaunchRequest.model_validate(before[1])
    longer = asked.model_copy(update={"spec": with_steps(asked.spec, 9)})
    bench.cloud.faults.errors["FunctionMap"] = Status.INVALID_ARGUMENT
    with pytest.raises(BackendError, match="FunctionMap fails"):
        await backend.resume(longer)
    assert bench.cloud.service.asked.count("AppStop") >= 1
    assert all(app.done for app in bench.cloud.apps.values())
    assert [from_json(file.read_text()) for file in files] == before
    assert (await bench.backend().status(run)).status == "failed"
    bench.cloud.faults.errors.clear()
    again = await backend.resume(longer)
    await lines(backend, again)
    assert (await backend.status(again)).status == "done"
    assert from_json(files[1].read_text())["spec"]["training"]["steps"] == 9


async def test_an_image_that_cannot_be_built_is_the_runs_failure(bench: ModalBench) -> None:
    bench.cloud.faults.build_failure = "ERROR: no matching distribution"
    backend = bench.backend()
    run = await backend.launch(request())
    found = await lines(backend, run)
    assert any("no matching distribution" in line for line in found)
    after = await backend.status(run)
    assert after.failure is not None
    assert (after.status, after.failure["boundary"]) == ("failed", "image")


@pytest.mark.parametrize("network", ["refuse", "stall"])
async def test_a_server_that_cannot_be_reached_is_named_within_ten_seconds(
    bench: ModalBench, network: str
) -> None:
    bench.cloud.faults.network = "refuse" if network == "refuse" else "stall"
    backend, began = bench.backend(), time.monotonic()
    asked = (backend.runs(), backend.launch(request()), backend.volumes.volumes())
    for said in await asyncio.gather(*asked, return_exceptions=True):
        assert isinstance(said, BackendError)
        assert said.message.startswith("cannot reach Modal")
        assert said.hint is not None
    assert time.monotonic() - began < 10


async def test_what_cannot_be_asked_about_stays_as_it_is(
    bench: ModalBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (calls, volumes, session):
        monkeypatch.setattr(module, "CALL_SECONDS", 2.0)
    backend, run = await waiting(bench, tmp_path)
    bench.cloud.faults.network = "refuse"
    with pytest.raises(BackendError, match="cannot reach Modal"):
        await backend.status(run)
    bench.cloud.faults.network = "open"
    assert (await backend.status(run)).status == "running"
    await bench.backend().cancel(run)
    await lines(backend, run)
    assert (await backend.status(run)).status == "cancelled"


@pytest.mark.parametrize(
    ("status", "said"),
    [
        (Status.PERMISSION_DENIED, "Modal does not let you list the volumes: VolumeList fails"),
        (Status.RESOURCE_EXHAUSTED, "Modal could not list the volumes: VolumeList fails"),
    ],
)
async def test_what_modal_refuses_is_told_in_its_words(bench: ModalBench, status: Status, said: str) -> None:
    bench.cloud.faults.errors["VolumeList"] = status
    with pytest.raises(BackendError) as error:
        await bench.backend().runs()
    assert error.value.message == said


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("Workspace 'ann' has reached its spend limit", "may spend no more in this billing cycle"),
        ("A payment method is required to use GPU type 'H100'", "add a payment method"),
        ("GPU quota exceeded: 10 of 10 A100 in use", "allows no more of this at once"),
    ],
)
async def test_the_commonest_refusals_say_what_to_do(bench: ModalBench, words: str, told: str) -> None:
    faults = bench.cloud.faults
    faults.words, faults.errors["FunctionMap"] = words, Status.RESOURCE_EXHAUSTED
    run = await bench.backend().launch(request())
    await lines(bench.backend(), run)
    failure = (await bench.backend().status(run)).failure
    assert failure is not None
    assert failure["message"] == f"Modal could not start the run: {words}"
    assert told in failure["hint"]["text"]
    faults.errors["VolumeList"] = Status.PERMISSION_DENIED
    with pytest.raises(BackendError, match="Modal does not let you") as here:
        await bench.backend().runs()
    assert here.value.hint is not None
    assert told in here.value.hint.text


async def test_an_environment_of_modals_is_named_with_its_runs(
    bench: ModalBench, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = bench.backend()
    assert await backend.runs() == []
    assert backend.notices == []
    monkeypatch.setenv("MODAL_ENVIRONMENT", "dev")
    await backend.runs()
    [told] = backend.notices
    assert "runs of the environment dev" in told


async def test_a_wrong_token_says_how_to_sign_in(bench: ModalBench) -> None:
    bench.cloud.faults.wrong_token = True
    for ask in (bench.backend().runs(), bench.backend().launch(request())):
        with pytest.raises(BackendError, match="not signed in to Modal") as said:
            await ask
        assert said.value.hint is not None
        assert "modal setup" in said.value.hint.text


async def test_tokens_of_the_env_file_sign_in_and_reach_no_container(
    bench: ModalBench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tokens = {name: os.environ[name] for name in sign_in.TOKENS}
    for name in tokens:
        monkeypatch.delenv(name)
    file = tmp_path / "token"
    backend = bench.backend(f"env:MODAL_TOKEN_SECRET={file} end:done", **tokens)
    run = await backend.launch(request())
    await lines(backend, run)
    assert (await backend.status(run)).status == "done"
    assert tokens["MODAL_TOKEN_SECRET"] not in file.read_text()
    assert not any(tokens.keys() & secret.keys() for secret in bench.cloud.secrets.values())


@pytest.mark.parametrize("text", [None, "# nothing yet\n"])
async def test_without_an_env_file_nothing_is_launched(bench: ModalBench, text: str | None) -> None:
    bench.env_file.unlink()
    if text is not None:
        bench.env_file.write_text(text)
    with pytest.raises(ConfigError, match=r"project\.env") as said:
        await bench.backend().launch(request())
    assert said.value.hint is not None
    assert ".env.example" in said.value.hint.text
    assert not list(bench.cloud.volumes_dir.iterdir())


def test_a_timeout_that_modal_gives_no_other_attempt_for_is_a_timeout() -> None:
    """Modal counts retries by itself: where it has none left, the last attempt's end is the run's."""
    said = "AttemptOver: attempt 2 of k3f9x-wordle is over (timeout)"
    ending = judge(Outcome("raised", said), {"modal": {"timeout": 600}}, "", "k3f9x-wordle")
    assert (ending.status, ending.exit_code) == ("failed", 124)
    assert ending.error is not None
    assert ending.error["hint"]["key"] == "modal.timeout"


def test_a_server_that_was_lost_in_the_last_attempt_is_named_with_the_way_on() -> None:
    said = "AttemptOver: attempt 2 of k3f9x-wordle is over (server)"
    error = judge(Outcome("raised", said), {}, "", "k3f9x-wordle").error
    assert error is not None
    assert error["boundary"] == "vllm"
    assert "vfm resume k3f9x-wordle" in error["hint"]["text"]

"""The cloud itself, by the real client: success and failure look as they do at Modal."""

from __future__ import annotations

import asyncio
import io
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import modal
import pytest
from grpclib import Status
from modal.exception import AuthError, FunctionTimeoutError, ImageBuildError, NotFoundError, RemoteError
from modal.types import InputStatus

from tests.modal.cloud import Call, Cloud
from tests.waiting import until

MODAL = Path(sys.executable).with_name("modal")
DEADLINE = 30.0
BUSY = "import time\nprint('busy', flush=True)\nwhile True: time.sleep(0.05)"
STUBBORN = "import time\ntry: time.sleep(60)\nexcept BaseException: time.sleep(60)"
CAREFUL = "import time\nprint('busy')\ntry:\n  while True: time.sleep(0.05)\nfinally: print('saved')"
DEEP = "import subprocess\nsubprocess.Popen(['setsid', 'sleep', '77'])\n"


@dataclass
class Bench:
    """A detached app of one function, which runs the code that it is called with."""

    cloud: Cloud
    app: modal.App
    work: modal.Function[Any, Any, Any]

    async def spawn(self, code: str, **options: Any) -> modal.FunctionCall[Any]:
        """Have code run in the function's container, or in one of a variant's."""
        work = self.work.with_options(**options) if options else self.work
        call: modal.FunctionCall[Any] = await work.spawn.aio(code)
        return call

    async def busy(self, code: str = BUSY, **options: Any) -> modal.FunctionCall[Any]:
        """As `spawn`, and wait until it prints `busy`."""
        call = await self.spawn(code, **options)
        before = self.text.count("busy")
        await until(lambda: self.text.count("busy") > before, "the function's first word")
        return call

    @property
    def text(self) -> str:
        """The output of the app's containers."""
        return "".join(one.items[0].data for one in self.cloud.apps[self.app_id].log.batches if one.task_id)

    @property
    def app_id(self) -> str:
        """The app's id."""
        assert self.app.app_id
        return self.app.app_id

    def call(self, call: modal.FunctionCall[Any]) -> Call:
        """A call as the cloud knows it."""
        return self.cloud.calls[call.object_id]

    async def streamed(self) -> list[str]:
        """The messages of the app's live log, to its end."""
        async with asyncio.timeout(DEADLINE):
            return [entry.message async for entry in self.app.logs.stream.aio() if entry.context_ids]


@asynccontextmanager
async def running(cloud: Cloud, **options: Any) -> AsyncIterator[Bench]:
    """A bench whose app runs, and goes on without its client."""
    app = modal.App("tests", tags={"run": "one"})

    @app.function(serialized=True, name="work", **options)
    def work(code: str) -> Any:
        scope: dict[str, Any] = {}
        exec(code, scope)
        return scope.get("result")

    async with app.run.aio(detach=True), asyncio.timeout(DEADLINE):
        yield Bench(cloud, app, work)


async def test_volumes_are_folders_of_plain_files(cloud: Cloud, tmp_path: Path) -> None:
    (cloud.volumes_dir / "made" / "by").mkdir(parents=True)
    (cloud.volumes_dir / "made" / "by" / "hand.txt").write_text("hand")
    large = os.urandom(17 * 1024 * 1024) + b"\0" * 9
    for version in (None, 2):
        name = f"version-{version}"
        volume = modal.Volume.from_name(name, create_if_missing=True, version=version)
        async with volume.batch_upload.aio() as batch:
            batch.put_file(io.BytesIO(large), "/runs/a/large")
            batch.put_file(io.BytesIO(b""), "/runs/empty")
        assert (cloud.volumes_dir / name / "runs/a/large").read_bytes() == large
        listed = {entry.path: entry.size for entry in await volume.listdir.aio("/", recursive=True)}
        assert listed == {"runs": 0, "runs/a": 0, "runs/a/large": len(large), "runs/empty": 0}
        with pytest.raises(FileExistsError):
            async with volume.batch_upload.aio() as batch:
                batch.put_file(io.BytesIO(b"new"), "/runs/empty")
        async with volume.batch_upload.aio(force=True) as batch:
            batch.put_file(io.BytesIO(b"new"), "/runs/empty")
        assert [part async for part in volume.read_file.aio("runs/empty")] == [b"new"]
        cloud.faults.truncate_blocks = 1
        target = io.BytesIO()
        assert await volume.read_file_into_fileobj.aio("runs/a/large", target) == len(large)
        assert target.getvalue() == large
        with pytest.raises(FileNotFoundError):
            [part async for part in volume.read_file.aio("runs/none")]
        await volume.remove_file.aio("runs", recursive=True)
        assert await volume.listdir.aio("/") == []
    with pytest.raises(NotFoundError):
        await modal.Volume.from_name("none").listdir.aio("/")
    assert {one.name for one in await modal.Volume.objects.list.aio()} == {
        "made",
        "version-None",
        "version-2",
    }


async def test_a_call_runs_in_a_container_and_everything_it_was_given_reaches_it(cloud: Cloud) -> None:
    cloud.container_env["MORE"] = "more"
    outputs = modal.Volume.from_name("outputs", create_if_missing=True)
    secret = modal.Secret.from_dict({"KEY": "s3cret"})
    code = "from os import environ as e\nopen(e['VFM_OUTPUTS_DIR'] + '/out', 'w').write(e['KEY'] + e['MORE'])"
    async with running(cloud) as bench:
        given: dict[str, Any] = {"volumes": {"/outputs": outputs}, "secrets": [secret]}
        call = await bench.spawn(
            f"{code}\nresult = 'x' * 3_000_000", gpu="H100:2", timeout=77, retries=1, **given
        )
        assert await call.get.aio() == "x" * 3_000_000
        assert (cloud.volumes_dir / "outputs" / "out").read_text() == "s3cretmore"
        function = bench.call(call).function
        assert (function.gpu, function.definition.timeout_secs) == ("H100:2", 77)
        assert function.definition.retry_policy.retries == 1
        (mine,) = [one for one in cloud.containers.values() if one.function is function]
        assert "MODAL_TOKEN_SECRET" not in mine.env
        with pytest.raises(ZeroDivisionError):
            await (await bench.spawn("1 / 0")).get.aio()
        with pytest.raises(SystemExit):
            await (await bench.spawn("raise SystemExit(3)")).get.aio()
        await (await bench.spawn(DEEP)).get.aio()
        assert any(str(cloud.folder) in place for place in _places())
    again = await modal.App.lookup.aio(bench.app_id)
    assert await again.get_tags.aio() == {"run": "one"}
    await until(lambda: cloud.apps[bench.app_id].done, "the app's end, as nobody is connected to it")
    assert all(one.ended for one in cloud.containers.values())
    assert not any(str(cloud.folder) in place for place in _places()), "they took along what they started"


async def test_what_is_not_committed_is_not_seen_and_is_lost_where_volumes_are_private(cloud: Cloud) -> None:
    cloud.faults.private_volumes = True
    outputs = modal.Volume.from_name("outputs", create_if_missing=True)
    place = cloud.volumes_dir / "outputs"
    code = (
        "import modal, os\nfrom pathlib import Path\nvolume = modal.Volume.from_name('outputs')\n"
        "put = lambda name: (Path(os.environ['VFM_OUTPUTS_DIR']) / name).write_text(name)\n"
    )
    async with running(cloud, volumes={"/outputs": outputs}) as bench:
        call = await bench.busy(f"{code}put('one'); put('two'); volume.commit(); put('three')\n{BUSY}")
        assert {one.name for one in place.iterdir()} == {"one", "two"}
        cloud.faults.crash()
        with pytest.raises(RemoteError):
            await call.get.aio()
        await outputs.remove_file.aio("two")
        await (await bench.spawn(f"{code}put('four')")).get.aio()
    await until(lambda: cloud.apps[bench.app_id].done, "the end, which commits what is left")
    assert {one.name: one.read_text() for one in place.iterdir()} == {"one": "one", "four": "four"}


async def test_logs_have_their_history_go_on_live_and_end_with_the_app(cloud: Cloud) -> None:
    cloud.faults.log_pieces = 7
    async with running(cloud) as bench:
        await (await bench.spawn("print('first of all')")).get.aio()
        call = await bench.spawn("import time, sys\ntime.sleep(0.3)\nsys.stderr.write('some trouble')")
        await call.get.aio()
    messages = await bench.streamed()
    assert "".join(messages) == "first of all\nsome trouble"
    assert max(len(one) for one in messages) == 7
    mine = [entry async for entry in call.logs.fetch.aio()]
    assert "".join(entry.message for entry in mine) == "some trouble"
    assert {entry.source for entry in mine} == {"stderr"}
    assert [entry.message async for entry in bench.app.logs.tail.aio(2)] == messages[-2:]


async def test_log_streams_stand_resets_and_may_repeat_reorder_and_lose(cloud: Cloud) -> None:
    numbers = 'import time\nfor n in range({}): print(f"{{n}}\\n", end=""); time.sleep(0.01)'
    async with running(cloud) as bench:
        cloud.faults.duplicate_logs = cloud.faults.reorder_logs = True
        stream = asyncio.create_task(bench.streamed())
        call = await bench.spawn(numbers.format(60))
        await until(lambda: "20\n" in bench.text, "twenty lines")
        cloud.faults.reset()
        await call.get.aio()
        cloud.faults.silent_end = True
        await (await bench.spawn("print('the last words')")).get.aio()
    got = "".join(await stream).split()
    assert set(got) <= {str(n) for n in range(60)}, "the stream ended quietly"
    assert len(got) > len(set(got))
    assert got != sorted(got, key=int)
    fetched = [one.message async for one in call.logs.fetch.aio()]
    assert "".join(fetched).split() == [str(n) for n in range(60)]
    assert "the last words" in [one.message.strip() async for one in bench.app.logs.tail.aio(5)]


async def test_a_cancelled_call_is_told_and_has_time_to_end(cloud: Cloud) -> None:
    async with running(cloud) as bench:
        call = await bench.busy(CAREFUL)
        with pytest.raises(TimeoutError):
            await call.get.aio(timeout=0)
        await call.cancel.aio()
        with pytest.raises(RemoteError):
            await modal.FunctionCall.from_id(call.object_id).get.aio()
    assert "saved" in bench.text
    (node,) = await call.get_call_graph.aio()
    assert node.status == InputStatus.TERMINATED


async def test_attempts_that_fail_are_tried_again_and_the_last_one_counts(
    cloud: Cloud, tmp_path: Path
) -> None:
    cloud.container_env["SEEN"] = str(tmp_path / "seen")
    seen = "import os\nopen(os.environ['SEEN'], 'a').write('x')\nn = os.path.getsize(os.environ['SEEN'])\n"
    code = f"{seen}result = n\nif n < 4:\n  {BUSY.replace(chr(10), chr(10) + '  ')}"
    async with running(cloud, retries=modal.Retries(max_retries=2, initial_delay=0.0)) as bench:
        call = await bench.busy(code)
        cloud.faults.crash()
        await until(lambda: bench.text.count("busy") == 2, "the second attempt")
        cloud.faults.preempt()
        await until(lambda: bench.text.count("busy") == 3, "the same attempt elsewhere")
        cloud.faults.time_out()
        assert await call.get.aio() == 4
    (one,) = bench.call(call).inputs
    assert one.attempt == 2, "a preemption is not an attempt"
    assert next(one.exit_code for one in cloud.containers.values()) == -9


async def test_endings_look_to_the_client_as_they_do_at_modal(cloud: Cloud) -> None:
    cloud.faults.grace = 0.5
    async with running(cloud) as bench:
        slow = await bench.spawn(STUBBORN, timeout=1)
        with pytest.raises(FunctionTimeoutError):
            await slow.get.aio()
        killed = await bench.busy()
        cloud.faults.out_of_memory()
        with pytest.raises(RemoteError):
            await killed.get.aio()
        (node,) = await killed.get_call_graph.aio()
        assert node.status == InputStatus.PENDING
        left = await bench.busy()
        cloud.faults.exit(5)
        with pytest.raises(SystemExit) as exit:
            await left.get.aio()
        assert exit.value.code == 5
        last = await bench.busy()
        await bench.app.stop.aio()
        with pytest.raises(RemoteError):
            await last.get.aio()
    await bench.streamed()  # it ends


async def test_the_network_and_the_door_may_be_closed(cloud: Cloud) -> None:
    list_ = modal.Volume.objects.list.aio
    assert await list_() == []
    for closed in ("refuse", "stall"):
        cloud.faults.network = closed
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await list_()
        cloud.faults.network = "open"
        async with asyncio.timeout(DEADLINE):
            assert await list_() == []
    cloud.faults.errors["VolumeList"] = Status.NOT_FOUND
    with pytest.raises(NotFoundError):
        await list_()
    cloud.faults.wrong_token = True
    with pytest.raises(AuthError):
        await list_()


async def test_a_build_is_told_line_by_line_and_may_fail(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.faults.build_lines, cloud.faults.build_failure = ["Collecting numpy"], "No space left"
    image = modal.Image.debian_slim().pip_install("numpy")
    with modal.enable_output(), pytest.raises(ImageBuildError) as error:
        async with running(cloud, image=image):
            pass
    assert error.value.image_id in cloud.images
    assert re.search(r"Collecting numpy\s+No space left", capsys.readouterr().out)
    cloud.faults.build_failure = ""
    async with running(cloud, image=image) as bench:
        await (await bench.spawn("print('built')")).get.aio()
    assert "RUN python -m pip install numpy" in [
        said for one in cloud.images.values() for said in one.commands
    ]


def test_modals_own_commands_work(cloud: Cloud, tmp_path: Path) -> None:
    script = tmp_path / "there.py"
    script.write_text(
        "import modal\napp = modal.App('there')\n"
        "@app.function()\ndef double(x: int) -> int:\n    print(f'doubling {x}')\n    return 2 * x\n"
        "@app.local_entrypoint()\ndef main(x: int):\n    print('made', double.remote(x))\n"
    )

    def run(*arguments: str) -> str:
        command = [str(MODAL), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, timeout=DEADLINE)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = run("run", "there.py::main", "--x", "21")
    assert "doubling 21" in said
    assert "made 42" in said
    (app,) = cloud.apps.values()
    assert app.done
    assert "doubling 21" in run("app", "logs", app.app_id)
    run("volume", "create", "files")
    run("volume", "put", "--force", "files", "there.py", "/a/there.py")
    assert run("volume", "get", "files", "a/there.py", "-").startswith("import modal")


def test_a_cloud_that_stops_leaves_no_process(tmp_path: Path) -> None:
    code = (
        "import asyncio, os, sys\nfrom pathlib import Path\nfrom tests.modal.cloud import Cloud\n"
        "from tests.modal import test_cloud\n"
        "async def main():\n"
        "    async with test_cloud.running(cloud) as bench:\n"
        "        await bench.busy(test_cloud.DEEP + test_cloud.BUSY)\n"
        "        print(*(one.process.pid for one in cloud.containers.values()), flush=True)\n"
        "        sys.stdin.readline()\n"
        "        cloud.stop()\n"
        "        os._exit(0)\n"
        "cloud = Cloud(Path(sys.argv[1]))\ncloud.start()\nos.environ.update(cloud.env)\nasyncio.run(main())\n"
    )
    for clean in (True, False):
        folder = tmp_path / str(clean)
        with subprocess.Popen(
            [sys.executable, "-c", code, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child:
            assert child.stdin is not None
            assert child.stdout is not None
            container = int(child.stdout.readline())
            began = time.monotonic()
            if clean:
                child.stdin.write("stop\n")
                child.stdin.flush()
            else:
                child.kill()
            child.wait(DEADLINE)
        assert time.monotonic() - began < 5
        while _works(container):
            assert time.monotonic() - began < 5
        if clean:
            assert not any(str(folder) in place for place in _places())


def _works(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _places() -> list[str]:
    """The working directories of this machine's processes."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cwd"):
        with suppress(OSError):
            found.append(os.readlink(place))
    return found


def test_its_paper_names_every_part_and_every_switch(cloud: Cloud) -> None:
    folder = Path(__file__).with_name("cloud")
    paper = (folder / "README.md").read_text()
    switches = [name for name in (*vars(cloud.faults), *vars(type(cloud.faults))) if not name.startswith("_")]
    assert [name for name in switches if f"`{name}`" not in paper and f"`{name}()`" not in paper] == []
    parts = [path.name for path in folder.glob("*.py") if not path.name.startswith("__")]
    assert [name for name in parts if f"`{name}`" not in paper] == []

"""What vLLM's log says: the start-up's parts in order, and the cause of each real failure on file."""

from __future__ import annotations

from pathlib import Path

import pytest

from remote.contract.spec import ExperimentSpec
from remote.inference.failures import Diagnosis, Setting
from remote.inference.log_reader import LogReader, Step, calmed
from remote.output.line_splitter import LineSplitter

LOGS = Path(__file__).parents[2] / "data" / "vllm_logs"


def reader(device: str = "cpu", spec: ExperimentSpec | None = None) -> LogReader:
    return LogReader(Setting(spec or ExperimentSpec(), "/models/mine", 8000, device))


def read(name: str, into: LogReader | None = None) -> tuple[LogReader, list[Step]]:
    into = into or reader()
    lines = (LOGS / f"{name}.log").read_text().splitlines()
    return into, [step for line in lines for step in into.feed(line)]


def diagnosis(log: LogReader, exit_code: int | None = 1) -> Diagnosis:
    found = log.failure(exit_code)
    assert found is not None
    return found


def explain(*lines: str, device: str = "cpu", exit_code: int | None = 1) -> Diagnosis:
    log = reader(device)
    for line in lines:
        log.feed(line)
    return diagnosis(log, exit_code)


def info(process: str, text: str, level: str = "INFO") -> str:
    """A line as vLLM's processes log it."""
    return f"({process} pid=7) {level} 11-22 20:00:00 [core.py:1] {text}"


def error(process: str, text: str) -> str:
    return info(process, text, "ERROR")


def test_a_good_start_goes_through_its_parts_in_order() -> None:
    log, steps = read("startup_ok")
    names = ["resolving", "starting engine", "loading weights", "KV cache", "warm-up", "ready"]
    assert steps == [Step(name, status) for name in names for status in ("started", "done")]
    assert log.ready
    assert log.step == ""


def test_a_gpu_compiles_and_captures_graphs_too() -> None:
    log = reader("cuda")
    lines = [
        info("APIServer", "Resolved architecture: Qwen2ForCausalLM"),
        info("EngineCore", "Starting to load model x..."),
        info("EngineCore", "Model loading took 2.9 GiB memory and 4 seconds"),
        info("EngineCore", "Starting torch.compile"),
        info("EngineCore", "torch.compile took 21.04 s in total"),
        info("EngineCore", "Available KV cache memory: 12.3 GiB"),
        info("EngineCore", "GPU KV cache size: 1,000 tokens, Maximum"),
        "Capturing CUDA graphs (mixed prefill-decode, PIECEWISE):  50%|█████     | 1/2 [00:00<00:00]",
        info("EngineCore", "Graph capturing finished in 3 secs, took 1"),
    ]
    started = [step.name for line in lines for step in log.feed(line) if step.status == "started"]
    before = ["resolving", "starting engine", "loading weights", "compiling"]
    assert started == [*before, "KV cache", "warm-up", "capturing graphs"]


FAILURES = [
    # log, in the message, in the cause, key, old, new
    ("port_in_use", "port 8000", "Address already in use", None, None, None),
    ("max_model_len_too_big", "(1024)", "greater than the derived", "vllm.max_model_len", 4096, 1024),
    (
        "kv_too_small_for_max_len",
        "KV cache is too small",
        "To serve at least",
        "vllm.cpu_kvcache_space",
        1,
        2,
    ),
    (
        "model_dir_missing",
        "does not exist: /models/mine",
        "HFValidationError",
        "model.base_model",
        None,
        None,
    ),
    ("model_hub_offline", "hub cannot be reached", "LocalEntryNotFound", "model.base_model", None, None),
    (
        "unknown_tool_parser",
        "nosuch is unknown",
        "invalid tool call",
        "vllm.tool_call_parser",
        None,
        "hermes",
    ),
    ("tool_choice_without_parser", "needs", "requires --tool-call", "vllm.tool_call_parser", None, "hermes"),
    ("unknown_flag", "--no-such-flag 1", "unrecognized arguments", None, None, None),
    ("block_size_16", "block_size = 16", "No common block size", "vllm.block_size", 16, 32),
    ("engine_core_init_failed", "DiskWeightTransferEngine", "TypeError: Can't instantiate", None, None, None),
    ("worker_killed", "VllmWorker-0 was killed", "died unexpectedly", None, None, None),
]


@pytest.mark.parametrize(("name", "message", "cause", "key", "old", "new"), FAILURES)
def test_every_failure_on_file_has_its_cause_and_its_mend(
    name: str, message: str, cause: str, key: str | None, old: object, new: object
) -> None:
    found = diagnosis(read(name)[0])
    assert message in found.message
    assert cause in found.cause
    assert found.hint is not None
    expected_old = "/models/mine" if key == "model.base_model" else old
    assert (found.hint.key, found.hint.old, found.hint.new) == (key, expected_old, new)


@pytest.mark.parametrize("name", [path.stem for path in LOGS.glob("*.log") if path.stem != "startup_ok"])
def test_the_cause_is_never_a_frame_or_an_empty_phrase(name: str) -> None:
    found = diagnosis(read(name)[0])
    for text in (found.message, found.cause):
        assert "Engine core initialization failed" not in text
        assert "Executor failed" not in text
        assert 'File "' not in text


def test_the_list_of_logs_is_the_list_of_cases() -> None:
    assert {case[0] for case in FAILURES} | {"startup_ok"} == {path.stem for path in LOGS.glob("*.log")}


def test_a_fixed_port_that_is_taken_may_be_left_unset() -> None:
    spec = ExperimentSpec.model_validate({"vllm": {"port": 8000}})
    hint = diagnosis(read("port_in_use", reader(spec=spec))[0]).hint
    assert hint is not None
    assert (hint.key, hint.old, hint.new) == ("vllm.port", 8000, None)


def test_the_nearest_tool_parser_is_proposed() -> None:
    hint = explain("KeyError: 'invalid tool call parser: herms (chose from { granite,hermes,mistral })'").hint
    assert hint is not None
    assert hint.new == "hermes"
    assert "granite, hermes, mistral" in hint.text


def test_the_length_that_fits_is_proposed_and_the_completions_must_follow() -> None:
    text = (
        "ValueError: To serve at least one request with the model's max seq len (4096), (2.5 GiB KV cache is "
        "needed, which is larger than the available KV cache memory (0.2 GiB). Based on the available "
        "memory, the estimated maximum model length is 320. "
    )
    hint = explain(error("EngineCore", text), device="cuda").hint
    assert hint is not None
    assert (hint.key, hint.old, hint.new) == ("vllm.max_model_len", 4096, 320)
    assert "training.max_completion_length" in hint.text


# As vLLM's source has them: these need a GPU, or a machine that is short of memory.
FREE_MEMORY = (
    "ValueError: Free memory on device cuda:0 (12.0/40.0 GiB) on startup is less than desired GPU memory "
    "utilization (0.5, 20.0 GiB). Decrease GPU memory utilization or reduce GPU memory used by others."
)
AVAILABLE_MEMORY = (
    "ValueError: Available memory on node 0 (6.0/16.0 GiB) on kv cache allocation is less than requested "
    "memory for kv (1.0 GiB)."
)
BFLOAT16 = (
    "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least 8.0. "
    "Your Tesla T4 GPU has compute capability 7.5."
)


@pytest.mark.parametrize(
    ("device", "text", "key", "new"),
    [
        ("cuda", FREE_MEMORY, "vllm.gpu_memory_utilization", 0.28),
        ("cpu", AVAILABLE_MEMORY, None, None),
        ("cuda", "torch.OutOfMemoryError: CUDA out of memory.", "vllm.gpu_memory_utilization", 0.4),
        ("cuda", "ValueError: No available memory for the cache blocks.", "vllm.gpu_memory_utilization", 0.6),
        ("cuda", BFLOAT16, "model.dtype", "float32"),
        ("cpu", "safetensors_rust.SafetensorError: HeaderTooLarge", "model.base_model", None),
    ],
)
def test_failures_of_memory_format_and_files(device: str, text: str, key: str | None, new: object) -> None:
    found = explain(error("Worker", text), device=device)
    assert found.cause == text
    assert found.hint is not None
    assert (found.hint.key, found.hint.new) == (key, new)


def test_less_cache_is_proposed_where_a_cpu_lacks_memory() -> None:
    spec = ExperimentSpec.model_validate({"vllm": {"cpu_kvcache_space": 16}})
    log = reader(spec=spec)
    log.feed(AVAILABLE_MEMORY)
    hint = diagnosis(log).hint
    assert hint is not None
    assert (hint.key, hint.old, hint.new) == ("vllm.cpu_kvcache_space", 16, 3)


def test_the_engine_speaks_before_the_server() -> None:
    found = explain(
        "RuntimeError: something the server tried first",
        error("Worker", "RuntimeError: the root of it"),
        error("EngineCore", "RuntimeError: what followed"),
    )
    assert found.cause == "RuntimeError: the root of it"


def test_an_exception_that_replaced_another_is_the_cause() -> None:
    found = explain(
        error("Worker", "KeyError: 'not in the cache'"),
        error("Worker", "During handling of the above exception, another exception occurred:"),
        error("Worker", "OSError: the real trouble"),
        error("EngineCore", "RuntimeError: what followed"),
    )
    assert found.cause == "OSError: the real trouble"


def test_an_unknown_death_shows_the_last_lines_that_say_anything() -> None:
    found = explain(
        info("APIServer", "a first sign"),
        info("APIServer", "a last sign"),
        "Traceback (most recent call last):",
        '  File "x.py", line 1, in <module>',
        "    raise it",
        "",
        exit_code=0,
    )
    assert found.cause == "a first sign\na last sign"
    assert "exit code 0" in found.message


def test_a_signal_is_named() -> None:
    assert "killed by SIGKILL" in explain("one line", exit_code=137).message


def test_a_refused_request_of_a_running_server_is_not_what_it_dies_of() -> None:
    log, _ = read("startup_ok")
    bad = error("Worker", "FileNotFoundError: No such file: '/adapter_config.json'")
    log.feed(bad)
    assert not log.dying
    log.feed(info("APIServer", "[shutdown] MPClient: engine core exited unexpectedly; starting", "WARNING"))
    assert log.dying
    assert "EngineCore was killed" in diagnosis(log, 0).message


def test_an_engine_that_fails_in_mid_run_says_what_the_worker_said() -> None:
    log, _ = read("startup_ok")
    log.feed(error("EngineCore", "EngineCore encountered a fatal error."))
    text = "RuntimeError: Worker failed with error 'the matrix is empty', please check the stack trace above"
    log.feed(error("EngineCore", text))
    assert diagnosis(log).cause == "the matrix is empty"


def test_an_end_that_was_asked_for_is_no_failure() -> None:
    log, _ = read("worker_killed")
    assert log.failure(0, requested=True) is None


@pytest.mark.parametrize(
    ("name", "helps"), [("port_in_use", True), ("unknown_flag", False), ("engine_core_init_failed", False)]
)
def test_only_what_may_pass_by_itself_is_tried_again(name: str, helps: bool) -> None:
    assert diagnosis(read(name)[0]).retry is helps


def test_lines_come_whole_from_torn_bytes() -> None:
    splitter = LineSplitter()
    data = "größer ▄▄\r\nzwei\n".encode()
    lines = [line for at in range(len(data)) for line in splitter.feed(data[at : at + 1], at)]
    assert lines == ["größer ▄▄", "zwei"]


def test_a_progress_bar_is_thinned_out_and_ends_with_its_last_state() -> None:
    splitter = LineSplitter()
    lines = []
    for percent in range(101):
        lines += splitter.feed(f"\rshards: {percent}%".encode(), now=percent / 100)
    lines += splitter.feed(b"\nnext\n", now=1.01)
    assert lines[-2:] == ["shards: 100%", "next"]
    assert len(lines) <= 5


def test_what_is_left_without_a_newline_is_not_lost() -> None:
    splitter = LineSplitter()
    assert splitter.feed(b"\x1b[31mlast words\x1b[0m", now=0) == []
    assert splitter.close() == ["last words"]


def test_what_only_sounds_alarming_is_said_calmly() -> None:
    rotary = (
        "(EngineCore pid=1) WARNING 11-30 20:26:07 [layerwise.py:266] RotaryEmbedding: Failed to load weights"
    )
    calm = "(EngineCore pid=1) INFO 11-30 20:26:07 [layerwise.py:266] RotaryEmbedding: Failed to load weights"
    assert calmed(rotary) == calm + " (they are computed, and stay)"
    for line in (
        rotary.replace("RotaryEmbedding", "Linear"),
        calm,
        "RotaryEmbedding: Failed to load weights",
    ):
        assert calmed(line) == line

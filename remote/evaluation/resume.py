"""Continue an evaluation that was interrupted in another run: check that both are the same, and copy its
episodes.

A run that is resumed in its own directory does not need this.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from remote.contract import layout
from remote.contract.errors import ConfigError, Hint
from remote.contract.record import LaunchRequest
from remote.output.run_dir import RunDir

REQUEST_FIELDS = ("kind", "model", "checkpoint", "environment", "environment_source")
SPEC_KEYS = (
    "model.dtype",
    "training.environment_args",
    "training.eval_examples",
    "training.max_completion_length",
    "training.max_turns",
    "training.top_p",
    "evaluation.temperature",
    "evaluation.endpoint",
    "vllm.max_model_len",
    "vllm.enable_auto_tool_choice",
    "vllm.tool_call_parser",
)
"""Keys that decide prompts, replies and the set of tasks. The number of tasks and repeats may change."""


def take_over(request: LaunchRequest, run_dir: Path, say: Callable[[str], None]) -> None:
    """Copy the episodes of the evaluation `request.resume`, unless that was done before.

    Raises `ConfigError` where it is no evaluation, or a different one.
    """
    source, traces_here = Path(request.resume), run_dir / layout.EVALUATION_TRACES
    earlier = _request(source)
    if different := differences(earlier, request):
        raise ConfigError(
            f"{earlier.run_id} cannot be continued: it was another evaluation ({', '.join(different)})",
            hint=Hint("undo these changes, or launch a new evaluation"),
        )
    traces = source / layout.EVALUATION_TRACES
    if traces_here.exists() or not traces.exists():
        return
    traces_here.parent.mkdir(exist_ok=True)
    part = traces_here.with_name(f".{traces_here.name}.part")
    shutil.copyfile(traces, part)
    part.replace(traces_here)
    say(f"continuing the evaluation {earlier.run_id}")


def differences(earlier: LaunchRequest, later: LaunchRequest) -> list[str]:
    """Differences that keep two evaluations' episodes from being combined, as `name: then → now`."""
    pairs = {name: (getattr(earlier, name), getattr(later, name)) for name in REQUEST_FIELDS}
    pairs |= {key: (_value(earlier, key), _value(later, key)) for key in SPEC_KEYS}
    return [f"{name}: {then} → {now}" for name, (then, now) in pairs.items() if then != now]


def _value(request: LaunchRequest, key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(request.spec, section), name)


def _request(source: Path) -> LaunchRequest:
    try:
        return RunDir(source).request()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{source} is no run that can be continued",
            cause=f"{type(error).__name__}: {error}".split("\n")[0],
            hint=Hint("name an evaluation of this experiment, or launch a new one"),
        ) from error

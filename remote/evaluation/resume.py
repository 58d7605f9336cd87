"""An evaluation that goes on where another run was interrupted.

Owns what both runs must have in common for their episodes to count as one evaluation, and taking the earlier
one's over. A run that is taken up in its own directory, as on Modal, needs none of this; which episodes
count is `evaluate`'s.
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

ASKED = ("kind", "model", "checkpoint", "environment", "environment_source")
DECIDES = (
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
"""Keys that decide what a model is asked, how it answers, and which tasks there are. How many of them are
played, and how often, may change."""


def take_over(request: LaunchRequest, run_dir: Path, say: Callable[[str], None]) -> None:
    """Copy the episodes of the evaluation that `request.resume` names, once.

    Raises `ConfigError` where that is no evaluation, or one of something else.
    """
    source, mine = Path(request.resume), run_dir / layout.EVALUATION_TRACES
    earlier = _request(source)
    if different := differences(earlier, request):
        raise ConfigError(
            f"{earlier.run_id} cannot be gone on with: it was another evaluation ({', '.join(different)})",
            hint=Hint("launch it anew, or undo what was changed"),
        )
    traces = source / layout.EVALUATION_TRACES
    if mine.exists() or not traces.exists():
        return
    mine.parent.mkdir(exist_ok=True)
    part = mine.with_name(f".{mine.name}.part")
    shutil.copyfile(traces, part)
    part.replace(mine)
    say(f"going on with the evaluation {earlier.run_id}")


def differences(one: LaunchRequest, other: LaunchRequest) -> list[str]:
    """In what two evaluations differ so that their episodes are not those of one, as `name: then → now`."""
    pairs = {name: (getattr(one, name), getattr(other, name)) for name in ASKED}
    pairs |= {key: (_value(one, key), _value(other, key)) for key in DECIDES}
    return [f"{name}: {then} → {now}" for name, (then, now) in pairs.items() if then != now]


def _value(request: LaunchRequest, key: str) -> Any:
    section, name = key.split(".")
    return getattr(getattr(request.spec, section), name)


def _request(source: Path) -> LaunchRequest:
    try:
        return RunDir(source).request()
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"{source} is no run that can be gone on with",
            cause=f"{type(error).__name__}: {error}".split("\n")[0],
            hint=Hint("name an evaluation of this experiment, or launch it anew"),
        ) from error

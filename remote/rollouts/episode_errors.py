"""Explain why an episode failed, in a sentence that names the user's class, reward and line.

Covers errors that verifiers recorded, scores that are not finite numbers, and what an episode was waiting for
when its time was up. Which line is the user's is decided by `user_lines`.
"""

from __future__ import annotations

import asyncio
import inspect
import itertools
import math
import re
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import verifiers.v1 as vf

from remote.environments import user_lines
from remote.environments.process_exit import ProcessExit
from remote.environments.user_lines import Line

LARGEST = 1e18
"""Maximum absolute value of a reward, since the trainer squares it in float32."""
_TOO_LARGE = f", beyond the {LARGEST:g} that can be trained on"
_NO_NUMBER = re.compile(r"the (?:reward|metric) (?P<name>.+?) is (?P<value>.+), not a number")
_LEAF = re.compile(r"^[\s|+-]*\|[ ](?P<error>[A-Za-z_][\w.]*(?::[ ].*)?)$")


def recorded(error: vf.Error, module: str, task: Any, trace: vf.Trace | None) -> str:
    """Explain an error that verifiers recorded on an episode of `task`."""
    lines = user_lines.in_traceback(error.traceback or "")
    line = user_lines.own(lines, module)
    if hidden := _hidden_method(task):
        return hidden
    if trace is not None and (score := _no_number(error, task, trace, line)):
        return score
    message = error.message or (f"HTTP {error.status_code}" if error.status_code else "no words")
    if leaves := _leaves(error.traceback or ""):
        message = f"{message}: {'; '.join(leaves)}"
    if line is not None:
        return f"{error.type}: {message} ({line})"
    # It was raised in verifiers itself, so there is no line of the user's to name.
    return f"{error.type}: {message}{f' (in the task {_class_of(task)})' if lines else ''}"


def raised(error: BaseException, module: str) -> vf.Error:
    """verifiers' record of an exception that it does not catch, such as `SystemExit` or a cancellation."""
    text = "".join(traceback.format_exception(error))
    message = str(error)
    if isinstance(error, SystemExit) and not isinstance(error, ProcessExit):
        message = f"the environment's code called sys.exit({error.code!r})"
    elif isinstance(error, asyncio.CancelledError):
        message = "the environment's code was cancelled, or raised CancelledError"
    return vf.Error(type=type(error).__name__, message=message, traceback=text)


def too_slow(task: asyncio.Task[Any], seconds: float, module: str) -> vf.Error:
    """verifiers' record of an episode whose time is up, which says what it was waiting for."""
    chains = list(user_lines.of_task(task))
    lines = [user_lines.own(user_lines.lines_of(chain), module) for chain in chains]
    line = next((line for line in lines if line is not None), None)
    waits = next((waits for chain in chains if (waits := _waits_for(chain))), "")
    message = f"the episode took longer than training.episode_timeout = {seconds:g} seconds"
    message += f": it was waiting for {waits}" if waits else ": it was waiting" if line else ""
    text = f"  {line}\n" if line else None
    return vf.Error(type="TimeoutError", message=message, traceback=text)


def unusable_score(task: Any, trace: vf.Trace) -> str | None:
    """What is wrong with the rewards of a finished episode; None where each is a finite number."""
    kind = _class_of(task)
    for part, reward in trace.rewards.items():
        if reward is None:
            return (
                f"the reward {part} of {kind} was never scored (the episode stopped: {trace.stop_condition})"
            )
        if not math.isfinite(reward.score):
            message = f"the reward {part} of {kind} is {reward.score}: a reward must be a finite number"
            return message + _at(_hook_of(part, task.hooks("reward"), trace.rewards))
        if not abs(reward.value) <= LARGEST:
            weighted = f"{reward.value:g} with its weight {reward.weight:g}"
            return f"the reward {part} of {kind} is {weighted}{_TOO_LARGE}"
    return (
        None
        if abs(trace.reward) <= LARGEST
        else f"the rewards of {kind} add up to {trace.reward:g}{_TOO_LARGE}"
    )


def _hidden_method(task: Any) -> str | None:
    """Explain a reward, metric or stop that takes the place of a method of verifiers' own task."""
    for kind in ("reward", "metric", "stop"):
        for hook in task.hooks(kind):
            if hasattr(vf.Task, name := hook.__name__):
                where = f"the {kind} {name} of {_class_of(task)} hides verifiers' own method Task.{name}"
                return f"{where}: give it another name{_at(hook)}"
    return None


def _hook_of(part: str, hooks: Sequence[Any], scores: Mapping[str, Any]) -> Any:
    """The method that a score comes from: of its own name, or else the one that returned a mapping."""
    named = next((hook for hook in hooks if hook.__name__ == part), None)
    # verifiers sets all scores to None before it records them in order, and removes that of a mapping.
    recorded = itertools.takewhile(lambda hook: scores.get(hook.__name__, 0.0) is not None, hooks)
    mappings = [hook for hook in recorded if hook.__name__ not in scores]
    return named or (mappings[-1] if mappings else None)


def _no_number(error: vf.Error, task: Any, trace: vf.Trace, line: Line | None) -> str | None:
    """Explain a reward or metric that is no number, or that cannot be awaited; None where it is something
    else. `line`: the user's that recorded it, if one did.
    """
    owner = _class_of(task)
    for kind, scores in (("metric", trace.metrics), ("reward", trace.rewards)):
        hooks = {hook.__name__: hook for hook in task.hooks(kind)}
        if "awaitable is required" in error.message:
            for name, hook in hooks.items():
                if inspect.isasyncgenfunction(inspect.unwrap(hook)):
                    return f"the {kind} {name} of {owner} yields: it has to return its number{_at(hook)}"
                if not inspect.iscoroutinefunction(inspect.unwrap(hook)):
                    return (
                        f"the {kind} {name} of {owner} is not asynchronous: write async def {name}{_at(hook)}"
                    )
        if f"the {kind} " in error.message and (match := _NO_NUMBER.search(error.message)):
            hook = _hook_of(match["name"], list(hooks.values()), scores)
            place = _at(hook) if line is None else f" ({line})"
            return f"the {kind} {match['name']} of {owner} is {match['value']}, not a number{place}"
    return None


def _at(hook: Any) -> str:
    try:
        code = inspect.unwrap(getattr(hook, "__func__", hook)).__code__
    except AttributeError:
        return ""
    return f" ({Line(code.co_filename, code.co_firstlineno, code.co_name)})"


def _class_of(task: Any) -> str:
    return type(task).__name__


def _leaves(text: str) -> list[str]:
    """The messages of the exceptions inside an exception group, from its formatted traceback."""
    if "sub-exception" not in text:
        return []
    matches = (_LEAF.match(line) for line in text.splitlines())
    leaves = [m["error"] for m in matches if m and not m["error"].startswith(("Traceback", "File "))]
    return list(dict.fromkeys(leaf for leaf in leaves if "sub-exception" not in leaf))


def _waits_for(chain: Sequence[FrameType]) -> str:
    """What this program's code at the end of the chain waits for; empty where it is none."""
    for frame in reversed(chain):
        name = Path(frame.f_code.co_filename).name, frame.f_code.co_name
        if name == ("chat_tools.py", "_answer"):
            return f"the tool {frame.f_locals.get('name')}"
        if name == ("chat_tools.py", "connected"):
            return f"the tool server at {', '.join(frame.f_locals.get('urls', {}).values())}"
        if name == ("chat_harness.py", "launch"):
            return "the model's reply"
    return ""

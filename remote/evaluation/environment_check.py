"""Describe an environment, and check that it plays: a program that `vfm env` runs with the image's Python.

    python -m remote.evaluation.environment_check [FD]     stdin, or FD: {request, check, env}

Reads options, rewards, splits and a prompt from the loaded environment; a check plays three episodes against
a scripted model. Answers in lines of JSON: {say} while it works, with what the environment prints, finally
{report} or {error}.
"""

from __future__ import annotations

import ast
import faulthandler
import inspect
import io
import itertools
import json
import os
import sys
import textwrap
import traceback
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from remote.contract.errors import EnvironmentMissing, Hint, VfmError
from remote.contract.json_text import from_json
from remote.contract.record import LaunchRequest
from remote.contract.spec import ExperimentSpec
from remote.environments import errors, resolve
from remote.environments.install import Say
from remote.output import redact
from remote.output.answers import answer, answer_failure

if TYPE_CHECKING:
    from remote.rollouts.player import Rollouts

EPISODES = 3
EPISODE_TIMEOUT = 120.0
"""Seconds that an episode of a check may take, where the config has the default."""
_README = 20_000  # characters


def report(request: LaunchRequest, check: bool, say: Say) -> dict[str, Any]:
    """Install, load and describe the environment; `check`: play it too. Raises `EnvironmentMissing`."""
    module = resolve.provide(resolve.place(request), say)
    from remote.evaluation.scripted_model import ScriptedModel, plausible
    from remote.rollouts.player import Rollouts  # imports verifiers: seconds

    model = ScriptedModel()
    model.player = plausible()
    spec = _with_short_timeout(request.spec)
    say(f"loading {module}")
    rollouts = Rollouts(
        module, spec.training.environment_args, spec, model, say=say, thread_stacks=sys.stderr
    )
    try:
        description = _described(module, rollouts)
        episodes = _episodes(rollouts, say) if check else []
        problems = _problems(description["rewards"], episodes)
        warnings = [] if problems else _warnings(episodes)
        return {**description, "episodes": episodes, "problems": problems, "warnings": warnings}
    finally:
        rollouts.close()
        model.close()


def _described(module: str, rollouts: Rollouts) -> dict[str, Any]:
    from verifiers.v1.utils.loaders import import_taskset, taskset_class, taskset_config_type

    from remote.environments.task_split import MOST_TASKS

    tasks, held_out = rollouts.tasks(), rollouts.tasks(held_out=True)
    with errors.user_code(module):
        config = taskset_config_type(module)
        endless = bool(taskset_class(module).INFINITE)
    if not tasks:
        raise EnvironmentMissing(
            f"the environment {module} has no task to train on", hint=Hint("check its options")
        )
    return {
        "module": module,
        "where": str(Path(inspect.getfile(import_taskset(module))).parent),
        **_published(module),
        "options": options(config),
        "rewards": _rewards(tasks[0]),
        "train": None if endless else len(tasks),
        "held_out": None if endless else len(held_out),
        "held_out_from": rollouts.held_out_from(),
        "counted_to": MOST_TASKS,
        "prompt": _prompt(tasks[0]),
    }


def _published(module: str) -> dict[str, str]:
    """Version, summary and README of the distribution that the module belongs to."""
    names = metadata.packages_distributions().get(module) or []
    if not names:
        return {"version": "", "summary": "", "readme": ""}
    about = metadata.metadata(names[0]).json
    return {
        "version": str(about["version"]),
        "summary": str(about.get("summary", "")),
        "readme": str(about.get("description", "")).strip()[:_README],
    }


def options(config: type[BaseModel], inside: str = "") -> list[dict[str, str]]:
    """The keys of `training.environment_args`: name, type, default and help, as the config's class has them.

    Those that every taskset has are left out; a task's own are `task.name`.
    """
    from verifiers.v1.configs.task import TaskConfig
    from verifiers.v1.configs.taskset import TasksetConfig

    common = {*TasksetConfig.model_fields, *TaskConfig.model_fields} - {"task"}
    helps, keys = _helps(config), []
    for name, field in config.model_fields.items():
        kind = field.annotation
        if name == "task":
            default = field.get_default(call_default_factory=True)
            keys += options(type(default), "task.") if isinstance(default, BaseModel) else []
        elif name not in common:
            default = field.get_default(call_default_factory=True)
            keys.append(
                {
                    "name": f"{inside}{name}",
                    "type": kind.__name__
                    if isinstance(kind, type) and "[" not in str(kind)
                    else _short(kind),
                    "default": "required" if field.is_required() else _shown(default),
                    "help": " ".join((field.description or helps.get(name, "")).split()),
                }
            )
    return keys


def _helps(config: type) -> dict[str, str]:
    """Field → the docstring under it, of the class and its bases."""
    helps: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        try:
            body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        except (OSError, TypeError, SyntaxError):
            continue  # built in, or its source is not at hand
        lines = body.body if isinstance(body, ast.ClassDef) else []
        for field, text in itertools.pairwise(lines):
            if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and _is_text(text):
                helps[field.target.id] = text.value.value  # type: ignore[attr-defined]
    return helps


def _is_text(node: ast.stmt) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Constant) and isinstance(value.value, str)


def _short(kind: Any) -> str:
    return str(kind).replace("typing.", "").replace("NoneType", "None")


def _shown(value: Any) -> str:
    return json.dumps(value.model_dump(mode="json") if isinstance(value, BaseModel) else value, default=str)


def _rewards(task: Any) -> list[dict[str, Any]]:
    """The reward parts that the task's class declares; those that an episode adds are not known here."""
    return [
        {
            "name": hook.__name__,
            "weight": float(getattr(hook, "_vf_weight", 1.0)),
            "help": " ".join((hook.__doc__ or "").split()),
        }
        for hook in task.hooks("reward")
    ]


def _prompt(task: Any) -> list[dict[str, Any]]:
    """The first messages; empty where the environment writes them during the episode."""
    from verifiers.v1.dialects.chat import message_to_wire

    data = task.data
    head = [{"role": "system", "content": data.system_prompt}] if data.system_prompt else []
    if isinstance(data.prompt, str):
        return [*head, {"role": "user", "content": data.prompt}]
    return [*head, *(message_to_wire(message) for message in data.prompt or [])]


def _episodes(rollouts: Rollouts, say: Say) -> list[dict[str, Any]]:
    tasks = list(itertools.islice(itertools.cycle(rollouts.tasks()), EPISODES))
    say(f"playing {EPISODES} episodes against a scripted model")
    names = ("task", "messages", "rewards", "reward", "metrics", "not_finite", "error")
    played = rollouts.play(tasks, temperature=1.0)
    return [{name: getattr(episode, name) for name in names} for episode in played]


def _with_short_timeout(spec: ExperimentSpec) -> ExperimentSpec:
    """The spec with the shorter episode timeout of a check, unless the config sets one."""
    default = type(spec.training).model_fields["episode_timeout"].default
    if spec.training.episode_timeout != default:
        return spec
    training = spec.training.model_copy(update={"episode_timeout": EPISODE_TIMEOUT})
    return spec.model_copy(update={"training": training})


def _problems(declared: list[dict[str, Any]], episodes: list[dict[str, Any]]) -> list[str]:
    """Why a training would learn nothing, whatever the model replies."""
    played = [episode for episode in episodes if not episode["error"]]
    parts = {part for episode in played for part in episode["rewards"]}
    weights = {reward["name"]: reward["weight"] for reward in declared}
    if played and not parts:
        return ["the episodes have no reward, so a training learns nothing: give the task one (@vf.reward)"]
    if parts and parts <= weights.keys() and not any(weights[part] for part in parts):
        return [f"every reward part has weight 0, so a training learns nothing: {', '.join(sorted(parts))}"]
    return []


def _warnings(episodes: list[dict[str, Any]]) -> list[str]:
    """What may keep a training from learning."""
    rewards = [round(episode["reward"], 9) for episode in episodes if not episode["error"]]
    if len(rewards) < 2 or len(set(rewards)) > 1:
        return []
    return [
        f"all {len(rewards)} rewards are {rewards[0]:g}, though the replies differed: a model whose replies "
        "all score alike learns nothing"
    ]


class Printed(io.TextIOBase):
    """A stdout that says each line, and at once: nothing is lost with the process."""

    def __init__(self, say: Say) -> None:
        self._say, self._rest = say, ""

    def writable(self) -> bool:
        """It is there to be written to."""
        return True

    def write(self, text: str) -> int:
        """Say the lines that the text completes."""
        *lines, self._rest = f"{self._rest}{text}".split("\n")
        for line in lines:
            self._say(line)
        return len(text)

    def fileno(self) -> int:
        """The descriptor for writes that bypass Python."""
        return 1


def main() -> int:
    """See the module's docstring."""
    answers = os.dup(1)
    os.dup2(2, 1)  # what libraries print is no answer
    faulthandler.enable()

    with open(int(sys.argv[1]) if sys.argv[1:] else 0, encoding="utf-8") as asked:
        question = from_json(asked.read())
    sys.stdout = Printed(lambda line: answer({"say": line}, answers))
    os.environ.setdefault("OPENAI_API_KEY", "unused-by-a-scripted-model")
    try:
        request = LaunchRequest.model_validate(question["request"])
        os.environ.update({**question["env"], **redact.hide(question["env"], request)})
        checked = report(request, question["check"], lambda line: answer({"say": line}, answers))
        answer({"report": checked}, answers)
        return 0
    except VfmError as error:
        return answer_failure(error, answers)
    except Exception as error:
        print(redact.text(traceback.format_exc()), file=sys.stderr)
        unexpected = VfmError(f"{type(error).__name__}: {error}", boundary="environment")
        return answer_failure(unexpected, answers)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # libraries leave threads behind

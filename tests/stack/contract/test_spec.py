"""Every key of a config takes effect: where each one lands.

The table is complete by a test of its own: a key that is added to the spec without a row here fails.
"""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from remote.contract.modal_resources import modal_options
from remote.contract.model_choice import choose_model
from remote.contract.record import RunRecord
from remote.contract.spec import ExperimentSpec
from remote.supervisor import attempt_log
from tests.stack.conftest import PROJECT, tiny_spec

pytestmark = pytest.mark.stack

Probe = Callable[[ExperimentSpec, pytest.FixtureRequest], Any]


def modal(name: str) -> Probe:
    return lambda spec, _: modal_options(spec)[name]


def trl(name: str) -> Probe:
    """A field of TRL's configuration."""

    def probe(spec: ExperimentSpec, request: pytest.FixtureRequest) -> Any:
        from remote.training.grpo import trainer_arguments

        tmp_path: Path = request.getfixturevalue("tmp_path")
        value = getattr(trainer_arguments(spec, tmp_path, "run", "cpu"), name)
        return getattr(value, "value", value)

    return probe


def flag(name: str) -> Probe:
    """What follows a flag of `vllm serve`, or whether it is there."""

    def probe(spec: ExperimentSpec, _: Any) -> Any:
        from remote.inference.command import command

        words = command(spec, "model", 8000, "cuda", "policy")
        if name not in words:
            return None
        after = words[words.index(name) + 1 : words.index(name) + 2]
        return True if not after or after[0].startswith("--") else after[0]

    return probe


def variable(name: str) -> Probe:
    def probe(spec: ExperimentSpec, _: Any) -> Any:
        from remote.inference.command import environment

        return environment(spec, "cpu", 2)[name]

    return probe


def attempt(read: Callable[[ExperimentSpec, RunRecord], Any]) -> Probe:
    """Something that is decided with every attempt at a run."""
    names = {name: "x" for name in ("run_id", "environment", "model", "outputs")}
    record = RunRecord(kind="train", backend="modal", **names)
    return lambda spec, _: read(spec, record)


def image_python(spec: ExperimentSpec, _: Any) -> Any:
    from remote.image.local import this_recipe

    return this_recipe(spec.image.python).python


def server_gpus(spec: ExperimentSpec, _: Any) -> Any:
    from remote.training.gpu_placement import place

    return place(spec, "train", "cuda", {"CUDA_VISIBLE_DEVICES": "0,1,2,3"}).server


def loaded(read: Callable[[Any], Any]) -> Probe:
    """Something of the model as it is loaded for training."""

    def probe(spec: ExperimentSpec, request: pytest.FixtureRequest) -> Any:
        from remote.models.load import load_for_training

        return read(load_for_training(spec, request.getfixturevalue("tiny_model"))[0])

    return probe


def peft(name: str) -> Probe:
    return loaded(lambda model: getattr(model.peft_config["default"], name))


class Address:
    base_url = "http://127.0.0.1:9"
    served_name = "policy"
    key = "k"


def environment_config(read: Callable[[Any], Any]) -> Probe:
    """Something of the verifiers environment as it is made."""

    def probe(spec: ExperimentSpec, request: pytest.FixtureRequest) -> Any:
        from remote.rollouts.player import Rollouts

        request.getfixturevalue("wordle")
        made = Rollouts("vf_wordle", spec.training.environment_args, spec, Address())
        try:
            return read(made)
        finally:
            made.close()

    return probe


def asked(name: str) -> Probe:
    """What an episode asks of the server."""

    def probe(spec: ExperimentSpec, request: pytest.FixtureRequest) -> Any:
        from remote.rollouts.player import sampling

        return getattr(sampling(spec, spec.training.temperature), name)

    return probe


def handed_over(spec: ExperimentSpec, _: Any) -> Any:
    """What the backends add to a run's variables."""
    from tui.settings import from_shell

    return list(from_shell(spec.training.environment_secrets))


def held_out(spec: ExperimentSpec, request: pytest.FixtureRequest) -> Any:
    from remote.training.held_out import HeldOut

    class Tasks:
        def tasks(self, held_out: bool = False) -> list[int]:
            return list(range(100))

    scored = HeldOut(spec, Tasks(), None)  # type: ignore[arg-type]
    return [step for step in range(1, 13) if scored.due(step)]


def planned(spec: ExperimentSpec, request: pytest.FixtureRequest) -> Any:
    """Episodes and temperature of an evaluation."""
    from remote.evaluation import episodes
    from remote.output.emitter import Emitter
    from remote.rollouts.recorder import Recorder

    class Planned(Exception):
        pass

    class Tasks:
        def evaluated(self) -> list[int]:
            return list(range(100))

        def load_finished(self, folder: Path, tasks: list[int], times: int) -> Any:
            return [([], times) for _ in tasks]

        def play(self, tasks: list[int], *, temperature: float, **_: Any) -> None:
            raise Planned(len(tasks), len(set(tasks)), temperature)

    recorder = Recorder(Emitter(None), request.getfixturevalue("tmp_path"), 0)
    with pytest.raises(Planned) as found:
        episodes.evaluate(spec, Tasks(), recorder, "run")  # type: ignore[arg-type]
    return found.value.args


def endpoint(spec: ExperimentSpec, _: Any) -> Any:
    """Where an evaluation is played, and by which variable's key."""
    from remote.inference.endpoint import Endpoint

    asked = Endpoint.of(spec, "theirs-large")
    return asked.api, asked.key_variable


def endpoint_is_seeded(spec: ExperimentSpec, request: pytest.FixtureRequest) -> Any:
    """Whether a request to somebody else's service carries a seed."""
    from remote.evaluation.scripted_model import ScriptedModel
    from remote.inference.endpoint import Endpoint
    from remote.rollouts.player import Rollouts

    request.getfixturevalue("wordle")
    model: ScriptedModel = request.getfixturevalue("model")
    made = Rollouts("vf_wordle", {"turns": 1}, spec, Endpoint(model.url, "theirs", "NO_KEY"), tokens=False)
    made.play(made.tasks()[:1], temperature=1.0)
    made.close()
    return all("seed" in body for body in model.requests)


def recorded(spec: ExperimentSpec, request: pytest.FixtureRequest) -> Any:
    """How many episodes of a step are shown."""
    from remote.rollouts.player import Played
    from remote.rollouts.recorder import Recorder

    shown: list[Any] = []

    class Emitter:
        def emit(self, event: Any) -> None:
            shown.append(event)

    recorder = Recorder(Emitter(), request.getfixturevalue("tmp_path"), spec.training.log_rollouts)  # type: ignore[arg-type]
    recorder.show(1, [Played(task=str(i), reward=float(i)) for i in range(9)])
    return len(shown)


def guard(spec: ExperimentSpec, _: Any) -> Any:
    from remote.training.logprob_guard import allowed_difference

    return allowed_difference(spec)


def row_length(spec: ExperimentSpec, _: Any) -> Any:
    from remote.rollouts.token_rows import to_row

    turn: Any = {"prompt_ids": [1] * 10, "completion_ids": [2] * 50, "logprobs": [0.0] * 50}
    row = to_row([turn], spec.model.max_token_length)
    return row and len(row.prompt_ids) + len(row.completion_ids)


def sync(spec: ExperimentSpec, _: Any) -> Any:
    from remote.inference.command import resolve_weight_sync

    return resolve_weight_sync(spec, "cpu")


def port(spec: ExperimentSpec, _: Any) -> Any:
    from remote.processes.ports import lease_port

    lease = lease_port(spec.vllm.port)
    lease.release()
    return lease.port


def found(spec: ExperimentSpec, _: Any) -> Any:
    from remote.environments.resolve import resolve

    return resolve(spec.training.environment, PROJECT / "environments")


def script_of(spec: ExperimentSpec, _: Any) -> Any:
    """The training script that a plan asks for."""
    from tui.config.resolve import resolve
    from tui.planning.training_scripts import find_script

    resolved = dataclasses.replace(resolve(None), spec=spec)
    return find_script(resolved, "vf_wordle", PROJECT).path


def at_once(spec: ExperimentSpec, request: pytest.FixtureRequest) -> Any:
    """The most episodes that are under way together."""
    from remote.rollouts import player

    class Crowd:
        now = most = 0

        async def run_slot(self, slot: Any, context: Any) -> None:
            self.now += 1
            self.most = max(self.most, self.now)
            for _ in range(20):
                await asyncio.sleep(0)
            self.now -= 1

    request.getfixturevalue("wordle")
    patch: pytest.MonkeyPatch = request.getfixturevalue("monkeypatch")
    made = player.Rollouts("vf_wordle", {}, spec, Address())
    crowd, real = Crowd(), made._env
    patch.setattr(made, "_env", crowd)
    patch.setattr(player, "_played", lambda *_: player.Played(task="x"))
    made.play([None] * 9, temperature=1.0)
    patch.setattr(made, "_env", real)
    made.close()
    return crowd.most


def report_mode(spec: ExperimentSpec, _: Any) -> Any:
    from remote.output.wandb_report import mode

    return mode(spec, {"WANDB_API_KEY": "x"})


def wandb(name: str) -> Probe:
    def probe(spec: ExperimentSpec, _: Any) -> Any:
        from remote.output.wandb_report import arguments

        return arguments(spec, Path("/run"))[name]

    return probe


def model_of(spec: ExperimentSpec, _: Any) -> Any:
    return choose_model(spec, "vf_wordle")[0]


def seat(made: Any) -> Any:
    return made._env.config.agent.max_turns


ROWS: list[tuple[str, Any, Probe, Any]] = [
    ("modal.cpus", 4.0, modal("cpu"), 4.0),
    ("modal.memory", 2048, modal("memory"), 2048),
    ("modal.gpu.count", 2, modal("gpu"), "A100-40GB:2"),
    ("modal.gpu.type", "H100", modal("gpu"), "H100"),
    ("modal.timeout", 3600, modal("timeout"), 3600),
    ("modal.region", "us, eu-west", modal("region"), ["us", "eu-west"]),
    ("modal.cloud", "aws", modal("cloud"), "aws"),
    ("model.base_model", "org/name", model_of, "org/name"),
    ("model.overrides", {"wordle": "org/other"}, model_of, "org/other"),
    ("model.max_token_length", 32, row_length, 32),
    ("model.dtype", "bfloat16", flag("--dtype"), "bfloat16"),
    ("model.dtype", "bfloat16", trl("bf16"), True),
    ("model.dtype", "bfloat16", loaded(lambda m: str(m.dtype)), "torch.bfloat16"),
    ("model.attn_implementation", "eager", loaded(lambda m: m.config._attn_implementation), "eager"),
    ("model.trust_remote_code", True, flag("--trust-remote-code"), True),
    ("model.lora.enabled", False, loaded(lambda m: hasattr(m, "peft_config")), False),
    ("model.lora.rank", 4, peft("r"), 4),
    ("model.lora.alpha", 12, peft("lora_alpha"), 12),
    ("model.lora.dropout", 0.25, peft("lora_dropout"), 0.25),
    ("training.environment", "wordle", found, "vf_wordle"),
    (
        "training.environment_args",
        {"turns": 2},
        environment_config(lambda made: made._env.config.taskset.turns),
        2,
    ),
    ("training.environment_secrets", ["HOME"], handed_over, ["HOME"]),
    ("training.script", "./examples/grpo/train_bfcl.py", script_of, "examples/grpo/train_bfcl.py"),
    ("training.steps", 7, trl("max_steps"), 7),
    ("training.batch_size", 4, trl("per_device_train_batch_size"), 4),
    ("training.gradient_accumulation_steps", 3, trl("gradient_accumulation_steps"), 3),
    ("training.gradient_accumulation_steps", 3, trl("steps_per_generation"), 3),
    ("training.num_generations", 2, trl("num_generations"), 2),
    ("training.learning_rate", "3e-6", trl("learning_rate"), 3e-6),
    ("training.lr_scheduler", "cosine", trl("lr_scheduler_type"), "cosine"),
    ("training.warmup_steps", 5, trl("warmup_steps"), 5),
    ("training.max_grad_norm", 0.7, trl("max_grad_norm"), 0.7),
    ("training.weight_decay", 0.3, trl("weight_decay"), 0.3),
    ("training.max_completion_length", 9, asked("max_tokens"), 9),
    ("training.max_completion_length", 9, trl("max_completion_length"), 9),
    ("training.max_turns", 2, environment_config(seat), 2),
    ("training.temperature", 0.6, asked("temperature"), 0.6),
    ("training.temperature", 0.6, trl("temperature"), 0.6),
    ("training.top_p", 0.9, asked("top_p"), 0.9),
    ("training.beta", 0.04, trl("beta"), 0.04),
    ("training.loss_type", "dr_grpo", trl("loss_type"), "dr_grpo"),
    ("training.scale_rewards", "batch", trl("scale_rewards"), "batch"),
    ("training.epsilon", 0.3, trl("epsilon"), 0.3),
    ("training.entropy_coef", 0.01, trl("entropy_coef"), 0.01),
    ("training.seed", 5, trl("seed"), 5),
    ("training.seed", 5, flag("--seed"), "5"),
    ("training.save_steps", 6, trl("save_steps"), 6),
    ("training.save_total_limit", 4, trl("save_total_limit"), 4),
    ("training.gradient_checkpointing", True, trl("gradient_checkpointing"), True),
    ("training.concurrency", 3, at_once, 3),
    ("training.eval_examples", 10, held_out, [12]),
    ("training.eval_steps", 5, held_out, [5, 10, 12]),
    ("training.log_rollouts", 3, recorded, 3),
    ("training.max_logp_difference", 0.2, guard, 0.2),
    ("evaluation.num_examples", 7, planned, (7, 7, 0.0)),
    ("evaluation.rollouts_per_example", 2, planned, (100, 50, 0.0)),
    ("evaluation.temperature", 0.5, planned, (50, 50, 0.5)),
    ("evaluation.endpoint", "https://host", endpoint, ("https://host/v1", "OPENAI_API_KEY")),
    ("evaluation.endpoint", "https://host", lambda spec, _: modal_options(spec, "evaluate")["gpu"], None),
    ("evaluation.endpoint_key", "THEIR_KEY", endpoint, ("https://host/v1", "THEIR_KEY")),
    ("evaluation.endpoint_seed", True, endpoint_is_seeded, True),
    ("vllm.gpu_memory_utilization", 0.4, flag("--gpu-memory-utilization"), "0.4"),
    ("vllm.cpu_kvcache_space", 3, variable("VLLM_CPU_KVCACHE_SPACE"), "3"),
    ("vllm.max_model_len", 700, flag("--max-model-len"), "700"),
    ("vllm.block_size", 16, flag("--block-size"), "16"),
    ("vllm.enforce_eager", True, flag("--enforce-eager"), True),
    ("vllm.enable_auto_tool_choice", True, flag("--enable-auto-tool-choice"), True),
    ("vllm.tool_call_parser", "hermes", flag("--tool-call-parser"), "hermes"),
    ("vllm.port", 18123, port, 18123),
    ("vllm.weight_sync", "adapter", sync, "adapter"),
    ("vllm.gpus", 2, server_gpus, ("0", "1")),
    ("modal.retries", 0, attempt(attempt_log.goes_on), False),
    ("budget.max_usd", 2.5, attempt(lambda *how: attempt_log.meter(*how).limit), 2.5),
    ("wandb.project", "mine", wandb("project"), "mine"),
    ("image.python", "3.12", image_python, "3.12"),
    ("wandb.enabled", True, report_mode, "online"),
]


ELSEWHERE = {
    "wandb.timeout": "tests/stack/output/test_wandb_report.py",
    "training.max_idle_steps": "tests/stack/training/test_learning_signal.py",
    "training.episode_timeout": "tests/stack/rollouts/test_episode_loop.py",
    "vllm.startup_timeout": "tests/unit/inference/test_server.py",
    "vllm.startup_retries": "tests/unit/inference/test_server.py",
    "vllm.restarts": "tests/unit/inference/test_server.py",
    "vllm.stall_timeout": "tests/unit/inference/test_server.py",
    "evaluation.checkpoint": "tests/unit/planning/test_checkpoint.py",
}
"""What is done with these is watched elsewhere: where a server is started, and where a run is planned."""


def with_key(key: str, value: Any) -> ExperimentSpec:
    """The tiny spec with one key set, and what that key needs to make sense."""
    data = tiny_spec().model_dump()
    companions: dict[str, dict[str, Any]] = {
        "model.lora.enabled": {"vllm.weight_sync": "full"},
        "training.batch_size": {"training.num_generations": 2},
        "training.eval_examples": {"training.steps": 12},
        "training.eval_steps": {"training.steps": 12, "training.eval_examples": 10},
        "evaluation.endpoint_key": {"evaluation.endpoint": "https://host"},
        "vllm.enable_auto_tool_choice": {"vllm.tool_call_parser": "hermes"},
        "vllm.tool_call_parser": {"vllm.enable_auto_tool_choice": True},
    }
    for path, given in {**companions.get(key, {}), key: value}.items():
        *sections, name = path.split(".")
        target = data
        for section in sections:
            target = target[section]
        target[name] = given
    return ExperimentSpec.model_validate(data)


@pytest.mark.parametrize(("key", "value", "probe", "expected"), ROWS, ids=[row[0] for row in ROWS])
def test_the_key_lands(
    key: str, value: Any, probe: Probe, expected: Any, request: pytest.FixtureRequest
) -> None:
    assert probe(with_key(key, value), request) == expected


def test_the_table_is_complete() -> None:
    def keys(model: Any, before: str = "") -> set[str]:
        found: set[str] = set()
        for name, field in model.model_fields.items():
            inner = field.annotation
            if isinstance(inner, type) and hasattr(inner, "model_fields"):
                found |= keys(inner, f"{before}{name}.")
            else:
                found.add(before + name)
        return found

    assert keys(ExperimentSpec) == {row[0] for row in ROWS} | ELSEWHERE.keys()
    for key, file in ELSEWHERE.items():
        assert key.rpartition(".")[2] in (PROJECT / file).read_text()

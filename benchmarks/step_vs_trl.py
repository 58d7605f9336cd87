"""One GRPO step: ours against TRL's own trainer with its default generation.

Same model (SmolLM2-135M with LoRA), same prompts, same number of completions and tokens: the learning
rate is next to nothing, so both sample from the same policy throughout, with the same limit. Blocks of
steps alternate in one process; each block's first step is left out. Run with the image's Python:
`make bench-step`.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.common import PROJECT, machine, spread, verdict

os.environ.setdefault("OPENAI_API_KEY", "unused")
os.environ.setdefault("TRL_EXPERIMENTAL_SILENCE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

ROUNDS, STEPS = 3, 3


class Laps:
    """Seconds of each optimiser step of a block but the first, and tokens of a completion."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.tokens: list[float] = []
        self.parts: dict[str, list[float]] = {}

    def callback(self) -> Any:
        from transformers import TrainerCallback

        laps = self

        class Clock(TrainerCallback):  # type: ignore[misc]
            def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                self.began = time.perf_counter()

            def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any], **_: Any) -> None:
                if "loss" in logs and state.global_step > 1:
                    laps.tokens.append(float(logs["completions/mean_length"]))

            def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
                if state.global_step > 1:
                    laps.seconds.append(time.perf_counter() - self.began)

        return Clock()


def demo_spec() -> Any:
    """The demo's spec with next to no learning rate, and nothing saved or scored between."""
    import yaml

    from remote.contract.spec import ExperimentSpec

    data = yaml.safe_load((PROJECT / "configs" / "local_demo.yaml").read_text())
    data["training"] |= {"learning_rate": 1e-9, "steps": STEPS, "eval_examples": 0, "save_steps": 1000}
    return ExperimentSpec.model_validate(data)


def ours(spec: Any, base: Path, server: Any, rollouts: Any, emitter: Any, laps: Laps) -> None:
    """One block of our trainer's steps."""
    from remote.models.load import load_for_training
    from remote.rollouts.recorder import Recorder
    from remote.training.grpo import EpisodePlayer, VfmTrainer, task_rows, trainer_arguments
    from remote.training.logprob_guard import LogprobGuard, allowed_difference
    from remote.training.weight_sync import make_sync

    model, tokenizer = load_for_training(spec, base)
    with tempfile.TemporaryDirectory() as folder:
        sync = make_sync(server.weight_sync, model, server, base, spec, "cpu")
        tasks = rollouts.tasks()
        recorder = Recorder(emitter, Path(folder), 0)
        player = EpisodePlayer(spec, tasks, rollouts, sync, recorder, tokenizer.pad_token_id)
        trainer = VfmTrainer(
            guard=LogprobGuard(allowed_difference(spec)),
            player=player,
            model=model,
            processing_class=tokenizer,
            args=trainer_arguments(spec, Path(folder), "bench", "cpu"),
            train_dataset=task_rows(tasks, spec),
            callbacks=[laps.callback()],
        )
        trainer.train()
        sync.close()
        for part in ("rollout", "sync", "train"):
            laps.parts.setdefault(part, []).append(player.timer.spent(part) / STEPS)


def trls(spec: Any, base: Path, tasks: Any, laps: Laps) -> None:
    """One block of TRL's own steps, generating with transformers."""
    from datasets import Dataset
    from trl import GRPOTrainer

    from remote.models.load import load_for_training
    from remote.training.grpo import trainer_arguments

    model, tokenizer = load_for_training(spec, base)
    rows = [
        {
            "prompt": [
                {"role": "system", "content": t.data.system_prompt},
                {"role": "user", "content": t.data.prompt},
            ]
        }
        for t in tasks
    ]

    def reward(completions: list[Any], **_: Any) -> list[float]:
        return [-float(len(c[0]["content"])) for c in completions]

    with tempfile.TemporaryDirectory() as folder:
        trainer = GRPOTrainer(
            model=model,
            processing_class=tokenizer,
            reward_funcs=reward,
            args=trainer_arguments(spec, Path(folder), "bench", "cpu"),
            train_dataset=Dataset.from_list(rows),
            callbacks=[laps.callback()],
        )
        trainer.train()


def main() -> None:
    """Alternate blocks, print medians, shares and the ratio."""
    from remote.environments.resolve import activate
    from remote.inference.server import VllmServer
    from remote.models.load import prepare_model
    from remote.output.emitter import Emitter
    from remote.rollouts.player import Rollouts

    activate(PROJECT / "environments" / "vf_wordle")
    spec = demo_spec()
    silent = Emitter(None, os.open(os.devnull, os.O_WRONLY))
    cache = Path(os.environ.get("VFM_BENCH_CACHE", tempfile.gettempdir())) / "vfm-bench"
    base = Path(prepare_model(spec.model.base_model, cache, lambda line: print(line, file=sys.stderr)))
    us, them = Laps(), Laps()
    with VllmServer(spec, str(base), silent) as server:
        server.wait_ready()
        args = spec.training.environment_args
        rollouts = Rollouts("vf_wordle", args, spec, server)
        blocks: list[Callable[[], None]] = [
            lambda: ours(spec, base, server, rollouts, silent, us),
            lambda: trls(spec, base, rollouts.tasks(), them),
        ]
        for _ in range(ROUNDS):
            for block in blocks:
                block()
        rollouts.close()
    print(machine())
    print(
        f"{spec.episodes_per_step} completions of at most {spec.training.max_completion_length} tokens a step"
    )
    print(f"TRL's own step: {spread(them.seconds)}, {fmean(them.tokens):.2f} tokens a completion")
    print(f"our step:       {spread(us.seconds)}, {fmean(us.tokens):.2f} tokens a completion")
    for part, values in us.parts.items():
        print(f"  {part}: {median(values):.2f} s")
    print(verdict("ours / TRL's", median(us.seconds) / median(them.seconds), 0.6))


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)

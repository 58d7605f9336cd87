"""An evaluation: play the episodes of held-out tasks, save each as it finishes, and score them.

Episodes are saved twice: as verifiers' traces, from which an interrupted evaluation is resumed, and in the
format of a training's episodes. Nothing is uploaded: of verifiers' own command only reading and writing
traces is used.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import verifiers.v1 as vf
from verifiers.v1.episode import EvalRunInfo
from verifiers.v1.utils.aio import run_shielded
from verifiers.v1.utils.trace_store import TRACES_FILE, write_episode

from remote.contract import layout
from remote.contract.errors import Hint, VfmError
from remote.contract.spec import ExperimentSpec
from remote.evaluation.scores import Finished, scores
from remote.inference.endpoint import Endpoint
from remote.output import redact
from remote.rollouts.player import Played, Rollouts, all_failed
from remote.rollouts.recorder import Recorder
from remote.rollouts.seeds import episode_key

EVERY = 1.0  # seconds between two reports of the scores


def evaluate(
    spec: ExperimentSpec,
    rollouts: Rollouts,
    recorder: Recorder,
    run_id: str,
    endpoint: Endpoint | None = None,
) -> dict[str, float]:
    """Play the missing episodes of the held-out tasks; returns the scores of all.

    Raises `VfmError` where there is no task, no episode succeeds, or the endpoint refuses.
    """
    options = spec.evaluation
    tasks = rollouts.evaluated()[: options.num_examples]
    progress = Progress(recorder, len(tasks) * options.rollouts_per_example)
    _check_options(spec, len(tasks), recorder)
    folder = recorder.run_dir / layout.EVALUATION
    folder.mkdir(exist_ok=True)
    earlier = rollouts.load_finished(folder, tasks, options.rollouts_per_example)
    progress.add_earlier([episodes for episodes, _ in earlier])
    missing = [
        (task, len(episodes) + sample)
        for task, (episodes, count) in enumerate(earlier)
        for sample in range(count)
    ]
    lock = asyncio.Lock()

    async def on_episode(place: int, episode: vf.Episode[Any, Any, Any], played: Played) -> None:
        if endpoint is not None:
            _censor(episode, played, endpoint)
        episode.record_run(EvalRunInfo(id=run_id))
        await run_shielded(_append(folder, episode, lock))
        progress.add(Finished(*missing[place], played))

    if missing:
        seed = spec.training.seed
        rollouts.play(
            [tasks[task] for task, _ in missing],
            temperature=options.temperature,
            on_episode=on_episode,
            keys=[episode_key(seed, "evaluate", 0, task, sample) for task, sample in missing],
        )
    return progress.conclude(endpoint)


async def _append(folder: Path, episode: vf.Episode[Any, Any, Any], lock: asyncio.Lock) -> None:
    """Append an episode to verifiers' file of traces, without secrets."""
    async with lock:
        await asyncio.to_thread(_write, folder, episode)


def _write(folder: Path, episode: vf.Episode[Any, Any, Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="vfm-episode-") as scratch:
        write_episode(Path(scratch), episode)
        line = (Path(scratch) / TRACES_FILE).read_text(encoding="utf-8").rstrip("\n")
    with (folder / TRACES_FILE).open("a", encoding="utf-8") as file:
        file.write(redact.json_line(line) + "\n")


class Progress:
    """Saves the finished episodes, and reports their scores."""

    def __init__(self, recorder: Recorder, total: int) -> None:
        self._recorder = recorder
        self._total = total
        self._finished: list[Finished] = []
        self._last = time.monotonic()

    def add_earlier(self, finished: Sequence[Sequence[Played]]) -> None:
        """Begin with the episodes that an earlier attempt has finished: those of each task."""
        self._recorder.remove_episodes(layout.EVALUATION_EPISODES)
        for task, episodes in enumerate(finished):
            for sample, played in enumerate(episodes):
                self._save(Finished(task, sample, played))
        if self._finished:
            count = len(self._finished)
            self._recorder.emitter.say("worker", f"{count} of {self._total} episodes are finished already")
            self._show()

    def add(self, episode: Finished) -> None:
        """Add a finished episode; reports the scores at most once a second."""
        self._save(episode)
        if time.monotonic() - self._last >= EVERY:
            self._show()

    def conclude(self, endpoint: Endpoint | None) -> dict[str, float]:
        """Report and return the final scores. Raises `VfmError` where every episode failed."""
        played = [episode.played for episode in self._finished]
        if (errors := [p.error for p in played if p.error]) and len(errors) == len(played):
            raise (
                all_failed(played, "the evaluation") if endpoint is None else endpoint.all_failed(errors[0])
            )
        self._recorder.log_problems("evaluation", played)
        self._recorder.show(0, played)
        values = scores(self._finished)
        self._recorder.metrics(len(played), values)
        self._recorder.emitter.progress(len(played), self._total, "episodes")
        error = values.get("eval/standard_error")
        spread = "" if error is None else f" ± {error:.3f}"
        self._recorder.emitter.say("train", f"score {values['eval/total']:.3f}{spread}")
        return values

    def _save(self, episode: Finished) -> None:
        self._finished.append(episode)
        self._recorder.save(layout.EVALUATION_EPISODES, 0, [episode.played], sample=episode.sample)

    def _show(self) -> None:
        self._last = time.monotonic()
        values = scores(self._finished)
        # A curve of the standard error says little; the summary has it.
        errors = [name for name in values if name.endswith("_standard_error")]
        live = {name: value for name, value in values.items() if name not in errors}
        self._recorder.metrics(len(self._finished), live)
        self._recorder.emitter.progress(len(self._finished), self._total, "episodes")


def _check_options(spec: ExperimentSpec, tasks: int, recorder: Recorder) -> None:
    """Raise `VfmError` without tasks; log options that do not fit."""
    options, say = spec.evaluation, recorder.emitter.say
    if not tasks:
        raise VfmError(
            f"the environment {spec.training.environment} has no tasks to evaluate",
            boundary="environment",
            hint=Hint("check training.environment_args, which may leave it without any"),
        )
    if tasks < options.num_examples:
        setting = f"evaluation.num_examples = {options.num_examples}"
        say("env", f"{setting}: the environment has {tasks} held-out tasks, and all of them are played")
    if options.temperature == 0 and options.rollouts_per_example > 1:
        setting = f"evaluation.rollouts_per_example = {options.rollouts_per_example} at temperature 0"
        say(
            "worker",
            f"⚠ {setting}: the episodes of a task will be (nearly) the same; set evaluation.temperature",
        )


def _censor(episode: vf.Episode[Any, Any, Any], played: Played, endpoint: Endpoint) -> None:
    """Remove the endpoint's key from the episode. Raises a failure that all other episodes would share."""
    calls = [call.error for trace in episode.traces for call in trace.calls if call.error]
    errors = [*episode.errors, *(error for trace in episode.traces for error in trace.errors), *calls]
    for error in errors:
        error.message = endpoint.censored(error.message)
        error.traceback = endpoint.censored(error.traceback) if error.traceback else None
    played.error = endpoint.censored(played.error) if played.error else None
    if not episode.ok and (failure := endpoint.hopeless(errors)) is not None:
        raise failure

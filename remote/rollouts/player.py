"""Play episodes of a verifiers environment against the running server.

Owns the environment object, the time limit of an episode, and `Played`: conversation, token ids by turn,
reward parts. Episodes run on the thread of `episode_loop`, since verifiers is asynchronous and the trainer is
not; why they failed is explained by `episode_errors`.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, TypeVar

import verifiers.v1 as vf
from verifiers.v1.cli.eval import resume
from verifiers.v1.clients import EvalClientConfig, ModelContext
from verifiers.v1.configs.agent import AgentConfig
from verifiers.v1.dialects.chat import message_to_wire
from verifiers.v1.env import Env, RunSlot
from verifiers.v1.episode import EnvInfo
from verifiers.v1.trace import TraceTask
from verifiers.v1.utils.generic import concrete_type
from verifiers.v1.utils.loaders import environment_class, load_environment

from remote.contract.errors import EnvironmentMissing, Hint, VfmError
from remote.contract.spec import ExperimentSpec
from remote.environments.errors import user_code
from remote.environments.process_exit import keep_alive
from remote.environments.task_split import TaskSplit
from remote.inference.command import SERVER_KEY
from remote.inference.endpoint import Endpoint
from remote.inference.protocols import ModelServer, RestartableServer, ServerLost
from remote.rollouts import chat_harness, episode_errors
from remote.rollouts.episode_loop import EpisodeLoop, OutOfTime, report_slow_loading
from remote.rollouts.scores import check_scores
from remote.rollouts.seeds import EPISODE, episode_keys
from remote.rollouts.token_rows import Turn

T = TypeVar("T")
OnEpisode = Callable[[int, vf.Episode[Any, Any, Any], "Played"], Awaitable[None]]
"""Called with each finished episode: its index among those that are played, verifiers' episode and ours."""
POLL = 1.0  # seconds between two checks of an episode, at most
GRACE = 10.0
"""Seconds that an episode may take to clean up after its time is up; then it is abandoned."""
RETRY_BUSY = {"type": "ProviderError", "status_code": [429, "5xx"], "max_retries": 6}
"""verifiers' rule for a busy service: retry for half a minute and more, with growing pauses."""


@dataclass
class Played:
    """One finished episode."""

    task: str
    """The task's name, id or index."""
    messages: list[dict[str, Any]] = field(default_factory=list)
    turns: list[Turn] = field(default_factory=list)
    rewards: dict[str, float] = field(default_factory=dict)
    """Weighted reward parts; their sum is `reward`."""
    reward: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    """Those with finite values."""
    not_finite: dict[str, str] = field(default_factory=dict)
    """The other metrics, as text: `nan`, `inf`, `-inf`."""
    error: str | None = None
    """Why the episode failed, with the file and line of the user's code; then nothing else is valid."""


class Rollouts:
    """An environment, ready to play until `close`.

    `args`: of the environment's taskset. `tokens`: whether episodes keep token ids and log-probabilities,
    which training needs. `say`: logs a line. `thread_stacks`: see `EpisodeLoop`. Raises `EnvironmentMissing`
    where the environment cannot be loaded.
    """

    def __init__(
        self,
        module: str,
        args: dict[str, Any],
        spec: ExperimentSpec,
        server: ModelServer | Endpoint,
        *,
        tokens: bool = True,
        say: Callable[[str], None] = lambda line: None,
        thread_stacks: IO[str] | None = None,
    ) -> None:
        self.model = server.served_name
        """The served name of the model for episodes; a weight sync may change it."""
        self.on_new_server: Callable[[], None] = lambda: None
        """Called after a restart of the server: sends it the current weights."""
        self.module = module
        self._spec = spec
        self._server = server
        self._plays = 0
        self._stack = AsyncExitStack()
        keep_alive(module)
        check_scores()
        self._env, self._config = _load(module, args, spec, tokens, isinstance(server, Endpoint))
        self._say = say
        self._split = TaskSplit(self._env.taskset, args, spec.training.eval_examples, say)
        self._limit = spec.training.episode_timeout
        self._loop = EpisodeLoop(module, self._limit, say, thread_stacks)
        try:
            self._serve()
        except BaseException:
            self._loop.close()
            raise

    def _serve(self) -> None:
        try:
            with user_code(self.module, "be served"):
                self._loop.run(self._stack.enter_async_context(self._env.serving()), self._limit)
        except EnvironmentMissing as error:
            if isinstance(error.__cause__, OutOfTime):
                raise EnvironmentMissing(
                    f"the environment {self.module} was not ready to play within "
                    f"training.episode_timeout = {self._limit:g} seconds",
                    cause=str(error.__cause__),
                    hint=Hint("its start(), or a tool server that it starts, waits for something in vain"),
                ) from error.__cause__
            raise

    def tasks(self, held_out: bool = False) -> list[vf.Task[Any, Any, Any]]:
        """The tasks to train on, or the held-out ones (see `task_split`)."""
        return self._loaded(lambda split: split.held_out if held_out else split.train)

    def evaluated(self) -> list[vf.Task[Any, Any, Any]]:
        """The tasks of an evaluation: the held-out ones, or all where none are held out."""
        return self._loaded(lambda split: split.evaluated)

    def held_out_from(self) -> str:
        """Where the held-out tasks come from, for people; empty where there are none."""
        return self._loaded(lambda split: split.described)

    def _loaded(self, part: Callable[[TaskSplit], T]) -> T:
        with user_code(self.module, "load its tasks"), report_slow_loading(self.module, self._say):
            return part(self._split)

    def play(
        self,
        tasks: Sequence[vf.Task[Any, Any, Any]],
        *,
        temperature: float,
        on_episode: OnEpisode | None = None,
        keys: Sequence[str] | None = None,
    ) -> list[Played]:
        """Play one episode of each task, in parallel; results are in the order of the tasks.

        A failed episode is a result with `error` set. An exception of `on_episode` ends all episodes. Where
        the server dies or hangs meanwhile, it is restarted and the episodes are repeated: all of them, or
        with `on_episode` those that it has not been called for. Raises `ServerError` where no restart is
        left. `keys`: of the episodes (see `seeds`); by default they depend on the number of earlier calls.
        """
        if keys is None:
            self._plays += 1
            keys = episode_keys(self._spec.training.seed, "play", self._plays, range(len(tasks)))
        finished: dict[int, Played] = {}
        while True:
            left = {place: task for place, task in enumerate(tasks) if place not in finished}
            context = ModelContext(
                model=self.model, client=_client(self._server), sampling=sampling(self._spec, temperature)
            )
            try:
                self._loop.run(self._play(left, keys, context, on_episode, finished))
                if on_episode is None and self._server_lost():  # an environment may hide errors of the server
                    raise ServerLost
            except ServerLost:
                if on_episode is None:
                    finished.clear()  # the finished ones are short: keeping them would favour short episodes
                self._renew()
                continue
            if isinstance(self._server, RestartableServer):
                self._server.proven()
            return [finished[place] for place in range(len(tasks))]

    def _server_lost(self) -> bool:
        return isinstance(self._server, RestartableServer) and self._server.lost()

    def _renew(self) -> None:
        assert isinstance(self._server, RestartableServer)
        self._server.renew()
        self.on_new_server()

    async def _play(
        self,
        tasks: Mapping[int, vf.Task[Any, Any, Any]],
        keys: Sequence[str],
        context: ModelContext,
        on_episode: OnEpisode | None,
        finished: dict[int, Played],
    ) -> None:
        permits = asyncio.Semaphore(self._spec.training.concurrency)
        asking = asyncio.Lock()

        takes_seeds = not isinstance(self._server, Endpoint) or self._spec.evaluation.endpoint_seed

        async def play_one(place: int, task: vf.Task[Any, Any, Any]) -> None:
            EPISODE.set(keys[place] if takes_seeds else "")
            async with permits:
                episode = await self._episode(task, context)
            played = _played(episode, task, self.module)
            if played.error and episode.ok:  # verifiers has accepted its score
                episode.ok = False
                episode.errors.append(vf.Error(type="ValueError", message=played.error))
            if played.error is not None:
                async with asking:
                    if await asyncio.to_thread(self._server_lost):
                        raise ServerLost
            if on_episode is not None:
                await on_episode(place, episode, played)
            finished[place] = played

        await _together([play_one(place, task) for place, task in tasks.items()])

    async def _episode(
        self, task: vf.Task[Any, Any, Any], context: ModelContext
    ) -> vf.Episode[Any, Any, Any]:
        """Play one episode, which ends after `training.episode_timeout` seconds, whatever its code does."""
        slot = RunSlot(task)
        running = asyncio.ensure_future(self._env.run_slot(slot, context))
        try:
            if not await _done_in_time(running, self._limit):
                error = episode_errors.too_slow(running, self._limit, self.module)
                running.cancel()
                await asyncio.wait({running}, timeout=GRACE)
                return self._failed(slot, error)
        except asyncio.CancelledError:  # all episodes are being cancelled
            running.cancel()
            await asyncio.wait({running}, timeout=GRACE)
            raise
        try:
            return running.result()
        except BaseException as raised:  # the episode's; this coroutine itself is not interrupted here
            return self._failed(slot, episode_errors.raised(raised, self.module))

    def _failed(self, slot: RunSlot, error: vf.Error) -> vf.Episode[Any, Any, Any]:
        """verifiers' record of an episode that it has not recorded."""
        task = slot.task
        about = TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash)
        done = [trace for trace in slot.traces if trace.is_completed]
        return vf.Episode(env=EnvInfo(id=self._config.env_id), task=about, traces=done, errors=[error])

    def load_finished(
        self, folder: Path, tasks: Sequence[vf.Task[Any, Any, Any]], times: int
    ) -> list[tuple[list[Played], int]]:
        """The episodes in a folder of verifiers' traces: for each task its finished ones, at most `times`,
        and the number of missing ones.

        Removes torn lines and failed episodes from the file.
        """
        plan = resume.load(folder, list(tasks), times, self._env.complete)
        return [
            ([_played(episode, task, self.module) for episode in finished], missing)
            for task, finished, missing in plan
        ]

    def close(self) -> None:
        """Stop the environment and its loop, within a minute. Safe to repeat."""
        self._loop.close(self._stack.aclose(), chat_harness.close())


def sampling(spec: ExperimentSpec, temperature: float) -> vf.SamplingConfig:
    """The sampling parameters of each request."""
    training = spec.training
    return vf.SamplingConfig(
        temperature=temperature, top_p=training.top_p, max_tokens=training.max_completion_length
    )


async def _done_in_time(running: asyncio.Task[Any], seconds: float) -> bool:
    """Whether a task ends within so many seconds, not counting time in which other code blocks the loop."""
    left = seconds
    while left > 0 and not running.done():
        poll = min(left, POLL, seconds / 10)
        await asyncio.wait({running}, timeout=poll)
        left -= poll
    return running.done()


async def _together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all; where one raises, the others are cancelled first."""
    running = [asyncio.ensure_future(work_item) for work_item in work]
    try:
        return list(await asyncio.gather(*running))
    except BaseException:
        for work_item in running:
            work_item.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        raise


def _client(server: ModelServer | Endpoint) -> EvalClientConfig:
    if isinstance(server, Endpoint):
        return EvalClientConfig(base_url=server.api, api_key_var=server.key_variable)
    os.environ[SERVER_KEY] = server.key  # verifiers' client takes the name of a variable alone
    return EvalClientConfig(base_url=f"{server.base_url}/v1", api_key_var=SERVER_KEY)


def _load(
    module: str, args: dict[str, Any], spec: ExperimentSpec, tokens: bool, is_endpoint: bool
) -> tuple[Env[Any], Any]:
    with user_code(module):
        env_class = environment_class(module)
        config_class = concrete_type(env_class, vf.EnvConfig, origin=Env) or vf.EnvConfig
        seat = {
            "harness": {"id": chat_harness.register(), "tokens": tokens},
            "runtime": {"type": "subprocess"},
            "max_turns": spec.training.max_turns,
        }
        roles = [n for n, f in config_class.model_fields.items() if isinstance(f.default, AgentConfig)]
        data = {"taskset": {"id": module, **args}, **dict.fromkeys(roles, seat)}
        if is_endpoint:
            data["retries"] = {"rules": [RETRY_BUSY]}
        config = config_class.model_validate(data)
        return load_environment(config), config


def _played(episode: vf.Episode[Any, Any, Any], task: vf.Task[Any, Any, Any], module: str) -> Played:
    data = episode.task.data
    name = str(data.name or data.id or data.idx)
    traces = [t for t in episode.traces if t.agent.trainable] or list(episode.traces)
    failed = [trace for trace in traces if not trace.ok]
    errors = [*((e, None) for e in episode.errors), *((e, t) for t in failed for e in t.errors)]
    if not episode.ok or not traces:
        if not errors:
            return Played(task=name, error="the episode ended without a result")
        last, trace = errors[-1]
        return Played(task=name, error=episode_errors.recorded(last, module, task, trace))
    trace = traces[0]
    if problem := episode_errors.unusable_score(task, trace):
        return Played(task=name, error=problem)
    metrics = {name: float(v) for name, v in trace.metrics.items() if v is not None}
    return Played(
        task=name,
        messages=[message_to_wire(m) for m in trace.branches[-1].messages] if trace.branches else [],
        turns=trace.info.get(chat_harness.TURNS, []),
        rewards={part: r.value for part, r in trace.rewards.items() if r is not None},
        reward=trace.reward,
        metrics={name: v for name, v in metrics.items() if math.isfinite(v)},
        not_finite={name: str(v) for name, v in metrics.items() if not math.isfinite(v)},
    )


def all_failed(played: Sequence[Played], scope: str) -> VfmError:
    """The error where every episode failed. `scope`: of what, such as `step 3`."""
    first = next(p.error for p in played if p.error)
    return VfmError(
        f"every episode of {scope} failed: {first}",
        boundary="rollout",
        cause=first or "",
        hint=Hint("the environment or the server is at fault: see the log's [env] and [vllm] lines"),
    )

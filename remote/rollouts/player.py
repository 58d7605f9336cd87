"""Plays episodes of a verifiers environment against the running server.

Owns the environment object, an episode's time limit, and what an episode is to us: conversation, turns on
token ids, reward parts. The thread that episodes are played on is `episode_loop`'s (verifiers is
asynchronous, the trainer is not), what an episode failed of is `episode_errors`', how episodes become
training rows `rows`', installing the environment `environments`'.
"""

from __future__ import annotations

import asyncio
import math
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Protocol, TypeVar

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
from remote.environments.task_split import TaskSplit
from remote.inference.command import SERVER_KEY
from remote.inference.endpoint import Endpoint
from remote.inference.stall_watch import RestartableServer, ServerLost
from remote.rollouts import chat_harness, episode_errors
from remote.rollouts.episode_loop import EpisodeLoop, OutOfTime, waiting_told
from remote.rollouts.seeds import EPISODE, episode_keys
from remote.rollouts.token_rows import Turn

T = TypeVar("T")
OnEpisode = Callable[[int, vf.Episode[Any, Any, Any], "Played"], Awaitable[None]]
"""What is done with each episode when it is over: its place among those that are played, verifiers' episode
and ours."""
LOOK = 1.0  # seconds between two looks at an episode, at most
GRACE = 10.0
"""Seconds that an episode whose time is up may take to tidy up; then it is left to itself."""
BUSY = {"type": "ProviderError", "status_code": [429, "5xx"], "max_retries": 6}
"""verifiers' rule for a service that has too much to do: half a minute and more, with growing pauses."""


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
    """Those that are finite numbers."""
    not_finite: dict[str, str] = field(default_factory=dict)
    """The others, as text: `nan`, `inf`, `-inf`."""
    error: str | None = None
    """What went wrong, with the file and line of the user's code; then nothing else counts."""


class ModelServer(Protocol):
    """Where episodes are played: its address is asked for when they are, since a server that has to be
    started again may take another port."""

    @property
    def base_url(self) -> str:
        """`http://127.0.0.1:PORT`, without `/v1`."""
        ...

    @property
    def served_name(self) -> str:
        """The name of the model."""
        ...

    @property
    def key(self) -> str:
        """What requests show as a bearer token."""
        ...


class Rollouts:
    """An environment that is being served, until `close`.

    `args` go to the environment's taskset; `tokens`: whether episodes keep token ids and log-probabilities,
    which training needs; `say` gets lines for the log; `last_words` is for `episode_loop`. Raises
    `EnvironmentMissing` where it cannot be loaded.
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
        last_words: IO[str] | None = None,
    ) -> None:
        self.model = server.served_name
        """The served name that episodes are played with; a weight sync may change it."""
        self.on_new_server: Callable[[], None] = lambda: None
        """Called when the server was started again: brings it to the present weights."""
        self.module = module
        self._spec = spec
        self._server = server
        self._plays = 0
        self._stack = AsyncExitStack()
        self._env, self._config = _load(module, args, spec, tokens, isinstance(server, Endpoint))
        self._say = say
        self._split = TaskSplit(self._env.taskset, args, spec.training.eval_examples, say)
        self._limit = spec.training.episode_timeout
        self._loop = EpisodeLoop(module, self._limit, say, last_words)
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
                    hint=Hint("its start(), or a tool server that it starts, waits for what does not come"),
                ) from error.__cause__
            raise

    def tasks(self, held_out: bool = False) -> list[vf.Task[Any, Any, Any]]:
        """The tasks to train on, or those that are held out of the training (see `task_split`)."""
        return self._loaded(lambda split: split.held_out if held_out else split.train)

    def evaluated(self) -> list[vf.Task[Any, Any, Any]]:
        """The tasks that an evaluation plays: held-out ones, or all where none are held out."""
        return self._loaded(lambda split: split.evaluated)

    def held_out_from(self) -> str:
        """Where the held-out tasks come from, in a few words; empty where there are none."""
        return self._loaded(lambda split: split.described)

    def _loaded(self, part: Callable[[TaskSplit], T]) -> T:
        with user_code(self.module, "load its tasks"), waiting_told(self.module, self._say):
            return part(self._split)

    def play(
        self,
        tasks: Sequence[vf.Task[Any, Any, Any]],
        *,
        temperature: float,
        on_episode: OnEpisode | None = None,
        keys: Sequence[str] | None = None,
    ) -> list[Played]:
        """Play one episode of each task, in parallel; the order of results is the tasks' order.

        An episode that fails is a result too, with `error` set. What `on_episode` raises ends all of them.
        Where the server dies or hangs meanwhile, it is started again and they are repeated: all of them, or
        those that `on_episode` has not had yet. Raises `ServerError` where no start is left. `keys` are the
        episodes' (see `seeds`); without them a seed depends on how often `play` was called.
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
                if on_episode is None and self._lost():  # an environment may make a result of an error
                    raise ServerLost
            except ServerLost:
                if on_episode is None:
                    finished.clear()  # the short ones are over first: keeping them would favour them
                self._renew()
                continue
            if isinstance(self._server, RestartableServer):
                self._server.proven()
            return [finished[place] for place in range(len(tasks))]

    def _lost(self) -> bool:
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

        async def one(place: int, task: vf.Task[Any, Any, Any]) -> None:
            EPISODE.set(keys[place] if takes_seeds else "")
            async with permits:
                episode = await self._episode(task, context)
            played = _played(episode, task, self.module)
            if played.error and episode.ok:  # verifiers has let its score pass
                episode.ok = False
                episode.errors.append(vf.Error(type="ValueError", message=played.error))
            if played.error is not None:
                async with asking:
                    if await asyncio.to_thread(self._lost):
                        raise ServerLost
            if on_episode is not None:
                await on_episode(place, episode, played)
            finished[place] = played

        await _together([one(place, task) for place, task in tasks.items()])

    async def _episode(
        self, task: vf.Task[Any, Any, Any], context: ModelContext
    ) -> vf.Episode[Any, Any, Any]:
        """One episode, over after `training.episode_timeout` seconds, whatever its code does or raises."""
        slot = RunSlot(task)
        running = asyncio.ensure_future(self._env.run_slot(slot, context))
        try:
            if not await _done_in_time(running, self._limit):
                error = episode_errors.too_slow(running, self._limit, self.module)
                running.cancel()
                await asyncio.wait({running}, timeout=GRACE)
                return self._failed(slot, error)
        except asyncio.CancelledError:  # all episodes are being ended
            running.cancel()
            await asyncio.wait({running}, timeout=GRACE)
            raise
        try:
            return running.result()
        except BaseException as raised:  # the task's, whatever it is; this one is not interrupted here
            return self._failed(slot, episode_errors.raised(raised, self.module))

    def _failed(self, slot: RunSlot, error: vf.Error) -> vf.Episode[Any, Any, Any]:
        """The record of an episode that verifiers has none of."""
        task = slot.task
        about = TraceTask(type=type(task).__name__, data=task.data, key=task.key, hash=task.hash)
        done = [trace for trace in slot.traces if trace.is_completed]
        return vf.Episode(env=EnvInfo(id=self._config.env_id), task=about, traces=done, errors=[error])

    def take_up(
        self, folder: Path, tasks: Sequence[vf.Task[Any, Any, Any]], times: int
    ) -> list[tuple[list[Played], int]]:
        """What an attempt that was interrupted has left in a folder of verifiers' traces: for each task its
        finished episodes, at most `times`, and how many it still owes.

        The file then holds these alone: lines that are torn, and episodes that failed, are gone.
        """
        plan = resume.load(folder, list(tasks), times, self._env.complete)
        return [
            ([_played(episode, task, self.module) for episode in kept], owed) for task, kept, owed in plan
        ]

    def close(self) -> None:
        """Stop serving and end the loop, within a minute. Safe to call twice."""
        self._loop.close(self._stack.aclose(), chat_harness.close())


def sampling(spec: ExperimentSpec, temperature: float) -> vf.SamplingConfig:
    """What each reply of an episode asks of the server."""
    training = spec.training
    return vf.SamplingConfig(
        temperature=temperature, top_p=training.top_p, max_tokens=training.max_completion_length
    )


async def _done_in_time(running: asyncio.Task[Any], seconds: float) -> bool:
    """Whether a task ends within so many seconds of the loop's own time: while other code blocks the loop,
    the clock stands still."""
    left = seconds
    while left > 0 and not running.done():
        look = min(left, LOOK, seconds / 10)
        await asyncio.wait({running}, timeout=look)
        left -= look
    return running.done()


async def _together(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """The results of all; where one raises, the others are ended first."""
    running = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*running))
    except BaseException:
        for one in running:
            one.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        raise


def _client(server: ModelServer | Endpoint) -> EvalClientConfig:
    if isinstance(server, Endpoint):
        return EvalClientConfig(base_url=server.api, api_key_var=server.key_variable)
    os.environ[SERVER_KEY] = server.key  # verifiers' client takes the name of a variable alone
    return EvalClientConfig(base_url=f"{server.base_url}/v1", api_key_var=SERVER_KEY)


def _load(
    module: str, args: dict[str, Any], spec: ExperimentSpec, tokens: bool, elsewhere: bool
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
        if elsewhere:
            data["retries"] = {"rules": [BUSY]}
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
        error, trace = errors[-1]
        return Played(task=name, error=episode_errors.recorded(error, module, task, trace))
    trace = traces[0]
    if wrong := episode_errors.unusable_score(task, trace):
        return Played(task=name, error=wrong)
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


def all_failed(played: Sequence[Played], what: str) -> VfmError:
    """The error of a step in which no episode succeeded."""
    first = next(p.error for p in played if p.error)
    return VfmError(
        f"every episode of {what} failed: {first}",
        boundary="rollout",
        cause=first or "",
        hint=Hint("the environment or the server is at fault: look at the log's [env] and [vllm] lines"),
    )

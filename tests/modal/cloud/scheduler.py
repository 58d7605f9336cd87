"""Inputs and containers: which container takes which input, and what follows from each attempt's end.

Owns retries by the function's policy, timeouts, cancellation and preemption. Processes are `containers.py`'s.
"""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Coroutine
from typing import Any

from modal_proto import api_pb2 as pb

from tests.modal.cloud.containers import Containers
from tests.modal.cloud.faults import Faults
from tests.modal.cloud.logs import SYSTEM
from tests.modal.cloud.state import App, Call, Container, Input, State

_Result = pb.GenericResult
CANCEL_PATIENCE = 30.0
"""Seconds that a function has to end after it was cancelled, before its container is killed."""
_LINGER = 0.2


class Scheduler:
    """Takes inputs from a call to a result."""

    def __init__(self, state: State, containers: Containers, faults: Faults) -> None:
        self._state = state
        self._containers = containers
        self._faults = faults
        self._queues: dict[str, deque[Input]] = defaultdict(deque)
        self._tasks: set[asyncio.Task[None]] = set()

    def enqueue(self, one: Input) -> None:
        """Have an input run by a free container or a new one."""
        if one.output is not None:
            return
        function = one.call.function
        queue = self._queues[function.function_id]
        queue.append(one)
        free = [c for c in self._of(function.function_id) if not c.running and not c.stopping]
        for container in free:
            container.changed.fire()
        if len(free) < len(queue):
            self._soon(self._serve(one))

    async def take(self, container: Container) -> Input | None:
        """The next input for a container; None if it has to end."""
        queue = self._queues[container.function.function_id]
        while not queue and not container.stopping:
            await container.changed.wait()
        if container.stopping:
            return None
        one = queue.popleft()
        one.task_id, one.started = container.task_id, time.time()
        container.running[one.input_id] = one
        container.served += 1
        if limit := container.function.definition.timeout_secs:
            asyncio.get_running_loop().call_later(limit, self._time_out, container, one, one.attempt)
        return one

    def put(self, container: Container, item: pb.FunctionPutOutputsItem) -> None:
        """Take an attempt's outcome from its container; late ones are dropped."""
        one = container.running.get(item.input_id)
        if one is None or one.attempt != item.retry_count:
            return
        del container.running[one.input_id]
        if container.fate is not None:
            self._attempted(one, container.fate)
        else:
            self._attempted(one, item.result, item.data_format)

    def cancel(self, call: Call, *, terminate: bool = False) -> None:
        """Cancel a call's unfinished inputs; a running function has time to end."""
        for one in call.unfinished:
            one.cancelled = True
            container = self._state.containers.get(one.task_id)
            if container is None or one.input_id not in container.running:
                self._forget(one)
            elif terminate and container.process is not None:
                container.process.kill()
            else:
                container.changed.fire()
                asyncio.get_running_loop().call_later(CANCEL_PATIENCE, self._give_up, container, one)

    def alive(self, app: App) -> list[Container]:
        """The app's containers that have not ended."""
        return [c for c in self._living() if c.function.app_id == app.app_id]

    def settle(self, app: App) -> None:
        """Stop a detached app without a client and without unfinished inputs."""
        calls = [call for call in self._state.calls.values() if call.function.app_id == app.app_id]
        if app.state == pb.APP_STATE_DETACHED_DISCONNECTED and not any(call.unfinished for call in calls):
            self.stop_soon(app)

    def stop_soon(self, app: App) -> None:
        """Stop an app and its containers."""
        if app.state not in (pb.APP_STATE_STOPPING, pb.APP_STATE_STOPPED):
            app.state = pb.APP_STATE_STOPPING
            self._soon(self._stop(app))

    async def time_out_all(self) -> None:
        """See `Faults.time_out`."""
        for container, one in self._at_work():
            self._time_out(container, one, one.attempt)

    async def preempt_all(self) -> None:
        """See `Faults.preempt`."""
        for container, _ in self._at_work():
            container.preempted = True
            self._app(container).log.write("Runner preempted, restarting\n", SYSTEM, container=container)
            self._soon(self._end(container))

    async def end_all(self, fate: _Result) -> None:
        """See `Faults.crash`, `out_of_memory` and `exit`."""
        for container, _ in self._at_work():
            container.fate, container.stopping = fate, True
            if container.process is not None:
                container.process.kill()

    def _app(self, container: Container) -> App:
        return self._state.apps[container.function.app_id]

    def _of(self, function_id: str) -> list[Container]:
        return [c for c in self._living() if c.function.function_id == function_id]

    def _living(self) -> list[Container]:
        return [c for c in self._state.containers.values() if not c.ended]

    def _at_work(self) -> list[tuple[Container, Input]]:
        return [(c, one) for c in self._state.containers.values() for one in c.running.values()]

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, one: Input) -> None:
        """Start a container for an input, and see it through to its end."""
        container = self._containers.prepare(one.call.function)
        process = await self._containers.start(container)
        if container.stopping:
            process.kill()
        await process.ended()
        container.ended, container.exit_code = time.time(), process.code
        container.changed.fire()
        running = list(container.running.values())
        container.running.clear()
        for each in running:
            if container.preempted and container.fate is None and not each.cancelled:
                self.enqueue(each)
            else:
                self._attempted(each, container.fate or _Result(status=_Result.GENERIC_STATUS_FAILURE))
        queue = self._queues[container.function.function_id]
        if not container.served and not container.stopping:
            # It could not even start: another one would fare no better.
            init = container.fate or _Result(status=_Result.GENERIC_STATUS_INIT_FAILURE)
            while queue:
                self._finish(queue.popleft(), init)
        elif queue and not self._of(container.function.function_id):
            self._soon(self._serve(queue[0]))

    def _attempted(self, one: Input, result: _Result, data_format: int = pb.DATA_FORMAT_PICKLE) -> None:
        """Finish an input after an attempt, or try it again after the policy's delay."""
        policy = one.call.function.definition.retry_policy
        if one.cancelled:
            self._finish(one, _Result(status=_Result.GENERIC_STATUS_TERMINATED))
        elif result.status == _Result.GENERIC_STATUS_SUCCESS or one.attempt >= policy.retries:
            self._finish(one, result, data_format)
        else:
            delay = policy.initial_delay_ms / 1000 * (policy.backoff_coefficient or 1.0) ** one.attempt
            one.attempt += 1
            one.task_id = ""
            longest = policy.max_delay_ms / 1000 or delay
            asyncio.get_running_loop().call_later(min(delay, longest), self.enqueue, one)

    def _finish(self, one: Input, result: _Result, data_format: int = pb.DATA_FORMAT_PICKLE) -> None:
        one.output = pb.FunctionGetOutputsItem(
            result=result,
            idx=one.idx,
            input_id=one.input_id,
            data_format=pb.DataFormat.Name(data_format),
            task_id=one.task_id,
            input_started_at=one.started,
            output_created_at=time.time(),
            retry_count=one.attempt,
        )
        if result.status != _Result.GENERIC_STATUS_KERNEL_OOM_KILL:
            one.shown = result.status
        one.call.changed.fire()
        app = self._state.apps[one.call.function.app_id]
        asyncio.get_running_loop().call_later(_LINGER, self.settle, app)

    def _forget(self, one: Input) -> None:
        queue = self._queues[one.call.function.function_id]
        if one in queue:
            queue.remove(one)
        self._finish(one, _Result(status=_Result.GENERIC_STATUS_TERMINATED))

    def _give_up(self, container: Container, one: Input) -> None:
        if one.output is None and container.process is not None:
            container.process.kill()

    def _time_out(self, container: Container, one: Input, attempt: int) -> None:
        if container.running.get(one.input_id) is not one or one.attempt != attempt or container.stopping:
            return
        limit = container.function.definition.timeout_secs
        said = f"Task's current input {one.input_id} hit its timeout of {limit}s"
        self._app(container).log.write(said + "\n", SYSTEM, container=container)
        container.fate = _Result(status=_Result.GENERIC_STATUS_TIMEOUT, exception=said)
        self._soon(self._end(container))

    async def _end(self, container: Container) -> None:
        """End a container as Modal does: no more inputs, SIGINT if it has one, time, then SIGKILL."""
        container.stopping = True
        container.changed.fire()
        if container.process is not None:
            await container.process.end(self._faults.grace, interrupt=bool(container.running))

    async def _stop(self, app: App) -> None:
        for call in self._state.calls.values():
            if call.function.app_id == app.app_id:
                for one in call.unfinished:
                    one.cancelled = True
                    if not one.task_id:
                        self._forget(one)
        alive = self.alive(app)
        await asyncio.gather(*(self._end(container) for container in alive))
        for container in alive:
            while not container.ended:
                await container.changed.wait()
        app.state, app.stopped = pb.APP_STATE_STOPPED, time.time()
        app.log.changed.fire()

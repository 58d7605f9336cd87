"""Calls: inputs, outputs, cancel, call graph; and the requests of the containers that serve them."""

from __future__ import annotations

import time

from modal_proto import api_pb2 as pb

from tests.modal.cloud.scheduler import Scheduler
from tests.modal.cloud.state import Call, Container, Input, State, missing, new_id
from tests.modal.cloud.wire import EMPTY, Empty, caller

_HEARTBEAT = 14.0  # seconds; the container gives up on one after 15
_Result = pb.GenericResult


class Calls:
    """The RPCs of function calls."""

    def __init__(self, state: State, scheduler: Scheduler) -> None:
        self._state = state
        self._scheduler = scheduler

    async def FunctionMap(self, request: pb.FunctionMapRequest) -> pb.FunctionMapResponse:
        function = self._state.function(request.function_id)
        call = Call(new_id("fc"), function, request.parent_input_id)
        self._state.calls[call.call_id] = call
        return pb.FunctionMapResponse(
            function_call_id=call.call_id,
            pipelined_inputs=[self._add(call, item) for item in request.pipelined_inputs],
            retry_policy=function.definition.retry_policy,
            function_call_jwt=call.call_id,
            max_inputs_outstanding=1000,
        )

    async def FunctionPutInputs(self, request: pb.FunctionPutInputsRequest) -> pb.FunctionPutInputsResponse:
        call = self._state.call(request.function_call_id)
        return pb.FunctionPutInputsResponse(inputs=[self._add(call, item) for item in request.inputs])

    async def FunctionGetOutputs(
        self, request: pb.FunctionGetOutputsRequest
    ) -> pb.FunctionGetOutputsResponse:
        call = self._state.call(request.function_call_id)
        deadline = time.monotonic() + request.timeout
        while True:
            last = request.end_idx if request.HasField("end_idx") else len(call.inputs)
            asked = [one for one in call.inputs if request.start_idx <= one.idx <= last]
            outputs = [one.output for one in asked if one.output is not None]
            left = deadline - time.monotonic()
            if outputs or left <= 0:
                unfinished = len(call.unfinished)
                return pb.FunctionGetOutputsResponse(outputs=outputs, num_unfinished_inputs=unfinished)
            await call.changed.wait(left)

    async def FunctionCallFromId(
        self, request: pb.FunctionCallFromIdRequest
    ) -> pb.FunctionCallFromIdResponse:
        call = self._state.call(request.function_call_id)
        who = pb.FunctionCallHandleMetadata(
            app_id=call.function.app_id, function_id=call.function.function_id
        )
        return pb.FunctionCallFromIdResponse(
            function_call_id=call.call_id, num_inputs=len(call.inputs), metadata=who
        )

    async def FunctionCallGetInfo(
        self, request: pb.FunctionCallGetInfoRequest
    ) -> pb.FunctionCallGetInfoResponse:
        call = self._state.call(request.function_call_id)
        info = pb.FunctionCallInfo(function_call_id=call.call_id, created_at=call.created)
        info.total_inputs = len(call.inputs)
        for one in call.inputs:
            _category(info, one).total += 1
        return pb.FunctionCallGetInfoResponse(info=info)

    async def FunctionGetCallGraph(
        self, request: pb.FunctionGetCallGraphRequest
    ) -> pb.FunctionGetCallGraphResponse:
        call = self._state.call(request.function_call_id)
        inputs = [
            pb.InputCallGraphInfo(
                input_id=one.input_id, status=one.shown, function_call_id=call.call_id, task_id=one.task_id
            )
            for one in call.inputs
        ]
        node = pb.FunctionCallCallGraphInfo(
            function_call_id=call.call_id,
            parent_input_id=call.parent_input_id,
            function_name=call.function.definition.function_name,
            module_name=call.function.definition.module_name,
        )
        return pb.FunctionGetCallGraphResponse(inputs=inputs, function_calls=[node])

    async def FunctionCallCancel(self, request: pb.FunctionCallCancelRequest) -> Empty:
        call = self._state.call(request.function_call_id)
        self._scheduler.cancel(call, terminate=request.terminate_containers)
        return EMPTY

    def _add(self, call: Call, item: pb.FunctionPutInputsItem) -> pb.FunctionPutInputsResponseItem:
        one = Input(new_id("in"), call, item.idx, item.input)
        call.inputs.append(one)
        self._state.inputs[one.input_id] = one
        self._scheduler.enqueue(one)
        return pb.FunctionPutInputsResponseItem(idx=item.idx, input_id=one.input_id, input_jwt=one.input_id)


class InContainers:
    """The RPCs that Modal's container entry point makes."""

    def __init__(self, state: State, scheduler: Scheduler) -> None:
        self._state = state
        self._scheduler = scheduler

    async def ContainerHello(self, request: Empty) -> Empty:
        return EMPTY

    async def ContainerHeartbeat(
        self, request: pb.ContainerHeartbeatRequest
    ) -> pb.ContainerHeartbeatResponse:
        container = self._container()
        deadline = time.monotonic() + _HEARTBEAT
        while (left := deadline - time.monotonic()) > 0:
            # Told again and again: a container that has only just taken its input does not hear it at first.
            if ids := [one.input_id for one in container.running.values() if one.cancelled]:
                return pb.ContainerHeartbeatResponse(cancel_input_event=pb.CancelInputEvent(input_ids=ids))
            await container.changed.wait(left)
        return pb.ContainerHeartbeatResponse()

    async def ContainerStop(self, request: pb.ContainerStopRequest) -> pb.ContainerStopResponse:
        container = self._container()
        container.stopping = True
        container.changed.fire()
        return pb.ContainerStopResponse()

    async def FunctionGetInputs(self, request: pb.FunctionGetInputsRequest) -> pb.FunctionGetInputsResponse:
        one = await self._scheduler.take(self._container())
        if one is None:
            return pb.FunctionGetInputsResponse(inputs=[pb.FunctionGetInputsItem(kill_switch=True)])
        item = pb.FunctionGetInputsItem(
            input_id=one.input_id,
            input=one.payload,
            function_call_id=one.call.call_id,
            function_call_invocation_type=pb.FUNCTION_CALL_INVOCATION_TYPE_ASYNC,
            retry_count=one.attempt,
        )
        return pb.FunctionGetInputsResponse(inputs=[item])

    async def FunctionPutOutputs(self, request: pb.FunctionPutOutputsRequest) -> Empty:
        # What a function wrote before it ended is in the log before anybody hears of its end.
        container = self._container()
        if container.process is not None:
            container.process.drain()
        for item in request.outputs:
            self._scheduler.put(container, item)
        return EMPTY

    async def TaskResult(self, request: pb.TaskResultRequest) -> Empty:
        self._container().fate = request.result
        return EMPTY

    def _container(self) -> Container:
        task_id = caller.get()
        if task_id not in self._state.containers:
            raise missing(f"Container {task_id}")
        return self._state.containers[task_id]


def _category(info: pb.FunctionCallInfo, one: Input) -> pb.InputCategoryInfo:
    if one.output is None:
        return info.pending_inputs
    match one.output.result.status:
        case _Result.GENERIC_STATUS_SUCCESS:
            return info.succeeded_inputs
        case _Result.GENERIC_STATUS_TIMEOUT:
            return info.timeout_inputs
        case _Result.GENERIC_STATUS_TERMINATED:
            return info.cancelled_inputs
        case _:
            return info.failed_inputs

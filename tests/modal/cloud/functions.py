"""Functions, and their variants with other options."""

from __future__ import annotations

from collections.abc import Callable

from modal_proto import api_pb2 as pb

from tests.modal.cloud.state import App, Function, State, missing, new_id


class Functions:
    """The RPCs that create functions and look them up."""

    def __init__(self, state: State, on_create: Callable[[], None]) -> None:
        self._state = state
        self._on_create = on_create

    async def FunctionPrecreate(self, request: pb.FunctionPrecreateRequest) -> pb.FunctionPrecreateResponse:
        self._on_create()
        known = self._state.functions.get(request.existing_function_id)
        function = known or Function(new_id("fu"), request.app_id, request.function_name)
        self._state.functions[function.function_id] = function
        definition = function.definition
        definition.function_name = request.function_name
        definition.function_type = request.function_type
        definition.supported_input_formats[:] = request.supported_input_formats
        definition.supported_output_formats[:] = request.supported_output_formats
        definition.function_schema.CopyFrom(request.function_schema)
        return pb.FunctionPrecreateResponse(
            function_id=function.function_id, handle_metadata=handle(function)
        )

    async def FunctionCreate(self, request: pb.FunctionCreateRequest) -> pb.FunctionCreateResponse:
        # A list of GPUs comes as ranked definitions; the first choice is always to be had here.
        ranked = request.function_data.ranked_functions
        definition = ranked[0].function if ranked else request.function
        known = self._state.functions.get(request.existing_function_id)
        function = known or Function(new_id("fu"), request.app_id, definition.function_name)
        function.definition.CopyFrom(definition)
        self._state.functions[function.function_id] = function
        self._state.app(request.app_id).function_ids[function.tag] = function.function_id
        return pb.FunctionCreateResponse(
            function_id=function.function_id,
            function=definition,
            handle_metadata=handle(function),
            function_data=_data(function),
        )

    async def FunctionGet(self, request: pb.FunctionGetRequest) -> pb.FunctionGetResponse:
        app = self._named(request.app_name)
        if request.object_tag not in app.function_ids:
            raise missing(f"Function '{request.object_tag}'")
        function = self._state.function(app.function_ids[request.object_tag])
        return pb.FunctionGetResponse(
            function_id=function.function_id, handle_metadata=handle(function), function=_data(function)
        )

    async def FunctionGetById(self, request: pb.FunctionGetByIdRequest) -> pb.FunctionGetByIdResponse:
        function = self._state.function(request.function_id)
        return pb.FunctionGetByIdResponse(function=_data(function), handle_metadata=handle(function))

    async def FunctionBindParams(
        self, request: pb.FunctionBindParamsRequest
    ) -> pb.FunctionBindParamsResponse:
        base = self._state.function(request.function_id)
        variant = Function(new_id("fu"), base.app_id, base.tag, base_id=base.function_id)
        variant.definition.CopyFrom(base.definition)
        variant.options = request.function_options
        _apply(variant.definition, request.function_options)
        self._state.functions[variant.function_id] = variant
        return pb.FunctionBindParamsResponse(
            bound_function_id=variant.function_id, handle_metadata=handle(variant)
        )

    def _named(self, name: str) -> App:
        for app in reversed(self._state.apps.values()):
            if name in (app.app_id, app.name) and app.state == pb.APP_STATE_DEPLOYED:
                return app
        raise missing(f"App '{name}'")


def handle(function: Function) -> pb.FunctionHandleMetadata:
    """The metadata of the function's handles, without an input plane, which is another server."""
    definition = function.definition
    return pb.FunctionHandleMetadata(
        app_id=function.app_id,
        function_name=definition.function_name,
        function_type=definition.function_type,
        function_schema=definition.function_schema,
        definition_id=f"de-{function.function_id[3:]}",
        base_function_id=function.base_id,
        supported_input_formats=definition.supported_input_formats,
        supported_output_formats=definition.supported_output_formats,
    )


def _data(function: Function) -> pb.FunctionData:
    ranked = pb.FunctionData.RankedFunction(rank=0, function=function.definition)
    definition = function.definition
    return pb.FunctionData(
        module_name=definition.module_name,
        function_name=definition.function_name,
        function_type=definition.function_type,
        timeout_secs=definition.timeout_secs,
        ranked_functions=[ranked],
    )


def _apply(definition: pb.Function, options: pb.FunctionOptions) -> None:
    """Apply the options of `with_options`."""
    if options.HasField("resources"):
        definition.resources.MergeFrom(options.resources)
    if options.HasField("retry_policy"):
        definition.retry_policy.CopyFrom(options.retry_policy)
    if options.HasField("timeout_secs"):
        definition.timeout_secs = options.timeout_secs
    if options.HasField("scheduler_placement"):
        definition.scheduler_placement.CopyFrom(options.scheduler_placement)
    if options.HasField("cloud_provider_str"):
        definition.cloud_provider_str = options.cloud_provider_str
    if options.replace_secret_ids:
        definition.secret_ids[:] = options.secret_ids
    if options.replace_volume_mounts:
        del definition.volume_mounts[:]
        definition.volume_mounts.extend(options.volume_mounts)

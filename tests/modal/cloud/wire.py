"""Connects RPCs with the parts that answer them, checks tokens, and applies the faults of requests.

A part is an object with methods named as the RPCs: a coroutine for one answer, an asynchronous generator
for a stream of them. RPCs that no part has are answered UNIMPLEMENTED.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from typing import Any

import modal  # noqa: F401  # before modal_proto: its own import order
from google.protobuf.empty_pb2 import Empty as Empty  # type: ignore[import-untyped]
from google.protobuf.message_factory import GetMessageClass  # type: ignore[import-untyped]
from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from modal_proto import api_pb2 as pb

from tests.modal.cloud.faults import Faults

EMPTY = Empty()
TASK_HEADER = "x-cloud-task"
caller: ContextVar[str] = ContextVar("caller", default="")
"""The container that asks; "" where it is a client outside."""

_Stream = Any


class Service:
    """The parts, as one service of grpclib's server."""

    def __init__(self, parts: Sequence[object], faults: Faults, token: tuple[str, str]) -> None:
        self._parts = parts
        self._faults = faults
        self._token = token
        self.asked: list[str] = []
        """Every RPC in the order of arrival."""

    def __mapping__(self) -> dict[str, Handler]:
        """See `grpclib.server.Server`."""
        service = pb.DESCRIPTOR.services_by_name["ModalClient"]
        table: dict[str, Handler] = {}
        for method in service.methods:
            answer = next((getattr(p, method.name) for p in self._parts if hasattr(p, method.name)), None)
            streams = method.server_streaming
            table[f"/{service.full_name}/{method.name}"] = Handler(
                self._handler(method.name, answer, streams),
                Cardinality.UNARY_STREAM if streams else Cardinality.UNARY_UNARY,
                GetMessageClass(method.input_type),
                GetMessageClass(method.output_type),
            )
        return table

    def _handler(
        self, name: str, answer: Callable[[Any], Any] | None, streams: bool
    ) -> Callable[[_Stream], Any]:
        async def handle(stream: _Stream) -> None:
            request = await stream.recv_message()
            await self._admit(name, stream.metadata)
            if answer is None:
                raise GRPCError(Status.UNIMPLEMENTED, name)
            if streams:
                async for reply in answer(request):
                    await stream.send_message(reply)
            else:
                await stream.send_message(await answer(request))

        return handle

    async def _admit(self, name: str, metadata: Any) -> None:
        self.asked.append(name)
        caller.set(metadata.get(TASK_HEADER, ""))
        given = (metadata.get("x-modal-token-id", ""), metadata.get("x-modal-token-secret", ""))
        if not caller.get() and (given != self._token or self._faults.wrong_token):
            raise GRPCError(Status.UNAUTHENTICATED, "Token validation failed")
        if name in self._faults.errors:
            raise GRPCError(self._faults.errors[name], self._faults.words or f"{name} fails")
        if not caller.get():
            await asyncio.sleep(self._faults.delays.get(name, 0.0))

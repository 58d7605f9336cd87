"""The client, the workspace, environments, secrets and billing."""

from __future__ import annotations

from collections.abc import AsyncIterator

from grpclib import GRPCError, Status
from modal_proto import api_pb2 as pb

from tests.modal.cloud.state import ENVIRONMENT, OWNER, State, missing, new_id
from tests.modal.cloud.wire import Empty

WORKSPACE_BUILDER = "2024.10"
"""The builder version of images for which a client names none."""


class Objects:
    """The RPCs of the client itself, environments, secrets and billing."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def ClientHello(self, request: Empty) -> pb.ClientHelloResponse:
        return pb.ClientHelloResponse()

    async def WorkspaceNameLookup(self, request: Empty) -> pb.WorkspaceNameLookupResponse:
        return pb.WorkspaceNameLookupResponse(username=OWNER, workspace_name=OWNER)

    async def EnvironmentGetOrCreate(
        self, request: pb.EnvironmentGetOrCreateRequest
    ) -> pb.EnvironmentGetOrCreateResponse:
        name = request.deployment_name or ENVIRONMENT
        settings = pb.EnvironmentSettings(image_builder_version=WORKSPACE_BUILDER)
        known = pb.EnvironmentMetadata(name=name, settings=settings)
        return pb.EnvironmentGetOrCreateResponse(environment_id=f"en-{name}", metadata=known)

    async def EnvironmentList(self, request: Empty) -> pb.EnvironmentListResponse:
        return pb.EnvironmentListResponse(items=[pb.EnvironmentListItem(name=ENVIRONMENT, default=True)])

    async def SecretGetOrCreate(self, request: pb.SecretGetOrCreateRequest) -> pb.SecretGetOrCreateResponse:
        name = request.deployment_name
        if request.object_creation_type == pb.OBJECT_CREATION_TYPE_UNSPECIFIED:
            if name not in self._state.named_secrets:
                raise missing(f"Secret '{name}'")
            secret_id = self._state.named_secrets[name]
        else:
            secret_id = new_id("st")
            self._state.secrets[secret_id] = dict(request.env_dict)
        if name:
            self._state.named_secrets[name] = secret_id
        absent = set(request.required_keys) - set(self._state.secrets[secret_id])
        if absent:
            raise GRPCError(Status.FAILED_PRECONDITION, f"Secret is missing {', '.join(sorted(absent))}")
        known = pb.SecretMetadata(name=name, keys=list(self._state.secrets[secret_id]))
        return pb.SecretGetOrCreateResponse(secret_id=secret_id, metadata=known)

    async def SecretGetInfo(self, request: pb.SecretGetInfoRequest) -> pb.SecretGetInfoResponse:
        keys = list(self._state.secrets.get(request.secret_id, {}))
        return pb.SecretGetInfoResponse(metadata=pb.SecretMetadata(keys=keys))

    async def WorkspaceBillingRates(
        self, request: pb.WorkspaceBillingRatesRequest
    ) -> pb.WorkspaceBillingRatesResponse:
        return pb.WorkspaceBillingRatesResponse(rates=self._state.rates)

    async def WorkspaceBillingReport(
        self, request: pb.WorkspaceBillingReportRequest
    ) -> AsyncIterator[pb.WorkspaceBillingReportItem]:
        start, end = request.start_timestamp.ToNanoseconds(), request.end_timestamp.ToNanoseconds()
        for item in self._state.billing:
            if start <= item.interval.ToNanoseconds() and (not end or item.interval.ToNanoseconds() < end):
                yield item

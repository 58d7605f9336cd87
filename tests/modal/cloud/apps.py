"""Apps: create, publish, look up, list, disconnect, stop."""

from __future__ import annotations

from modal_proto import api_pb2 as pb

from tests.modal.cloud.functions import handle
from tests.modal.cloud.logs import Log
from tests.modal.cloud.scheduler import Scheduler
from tests.modal.cloud.state import ENVIRONMENT, OWNER, App, State, missing, new_id
from tests.modal.cloud.wire import EMPTY, Empty


class Apps:
    """The RPCs of apps, without their logs."""

    def __init__(self, state: State, scheduler: Scheduler) -> None:
        self._state = state
        self._scheduler = scheduler

    async def AppCreate(self, request: pb.AppCreateRequest) -> pb.AppCreateResponse:
        app = self._create(request.description, request.app_state, dict(request.tags))
        page = f"https://modal.com/apps/{OWNER}/{ENVIRONMENT}/{app.app_id}"
        return pb.AppCreateResponse(app_id=app.app_id, app_page_url=page, app_logs_url=page)

    async def AppGetOrCreate(self, request: pb.AppGetOrCreateRequest) -> pb.AppGetOrCreateResponse:
        app = self._state.apps.get(request.app_name) or self._deployed(request.app_name)
        if app is None and request.object_creation_type == pb.OBJECT_CREATION_TYPE_CREATE_IF_MISSING:
            app = self._create(request.app_name, pb.APP_STATE_DEPLOYED, {})
        if app is None:
            raise missing(f"App '{request.app_name}'")
        return pb.AppGetOrCreateResponse(app_id=app.app_id, handle_metadata=self._metadata(app))

    async def AppGetByDeploymentName(
        self, request: pb.AppGetByDeploymentNameRequest
    ) -> pb.AppGetByDeploymentNameResponse:
        app = self._deployed(request.name)
        if app is None:
            return pb.AppGetByDeploymentNameResponse(environment_name=ENVIRONMENT)
        lifecycle = self._lifecycle(app)
        return pb.AppGetByDeploymentNameResponse(
            app_id=app.app_id, environment_name=ENVIRONMENT, lifecycle=lifecycle
        )

    async def AppGetLayout(self, request: pb.AppGetLayoutRequest) -> pb.AppGetLayoutResponse:
        app = self._state.app(request.app_id)
        objects = [
            pb.Object(object_id=one, function_handle_metadata=handle(self._state.function(one)))
            for one in app.function_ids.values()
        ]
        return pb.AppGetLayoutResponse(
            app_layout=pb.AppLayout(function_ids=app.function_ids, objects=objects)
        )

    async def AppPublish(self, request: pb.AppPublishRequest) -> pb.AppPublishResponse:
        app = self._state.app(request.app_id)
        app.name = request.name or app.name
        app.state = request.app_state or app.state
        app.function_ids = dict(request.function_ids)
        return pb.AppPublishResponse(url=f"https://modal.com/apps/{app.app_id}", deployed_at=app.created)

    async def AppHeartbeat(self, request: pb.AppHeartbeatRequest) -> Empty:
        self._state.app(request.app_id)
        return EMPTY

    async def AppClientDisconnect(self, request: pb.AppClientDisconnectRequest) -> Empty:
        app = self._state.app(request.app_id)
        if app.state == pb.APP_STATE_DETACHED:
            app.state = pb.APP_STATE_DETACHED_DISCONNECTED
            self._scheduler.settle(app)
        elif app.state in (pb.APP_STATE_EPHEMERAL, pb.APP_STATE_INITIALIZING):
            self._scheduler.stop_soon(app)
        return EMPTY

    async def AppStop(self, request: pb.AppStopRequest) -> Empty:
        self._scheduler.stop_soon(self._state.app(request.app_id))
        return EMPTY

    async def AppList(self, request: pb.AppListRequest) -> pb.AppListResponse:
        items = [
            pb.AppListResponse.AppListItem(
                app_id=app.app_id,
                description=app.name,
                name=app.name if app.state == pb.APP_STATE_DEPLOYED else "",
                state=app.state,
                created_at=app.created,
                stopped_at=app.stopped,
                n_running_tasks=len(self._scheduler.alive(app)),
                metadata=self._metadata(app),
            )
            for app in self._state.apps.values()
        ]
        return pb.AppListResponse(apps=items)

    async def AppGetTags(self, request: pb.AppGetTagsRequest) -> pb.AppGetTagsResponse:
        return pb.AppGetTagsResponse(tags=self._state.app(request.app_id).tags)

    async def AppSetTags(self, request: pb.AppSetTagsRequest) -> Empty:
        self._state.app(request.app_id).tags = dict(request.tags)
        return EMPTY

    async def AppGetInfo(self, request: pb.AppGetInfoRequest) -> pb.AppGetInfoResponse:
        return pb.AppGetInfoResponse(info=self._metadata(self._state.app(request.app_id)))

    async def AppGetLifecycle(self, request: pb.AppGetLifecycleRequest) -> pb.AppGetLifecycleResponse:
        return pb.AppGetLifecycleResponse(lifecycle=self._lifecycle(self._state.app(request.app_id)))

    async def TaskList(self, request: pb.TaskListRequest) -> pb.TaskListResponse:
        apps = [app for app in self._state.apps.values() if request.app_id in ("", app.app_id)]
        tasks = [
            pb.TaskStats(
                task_id=one.task_id, app_id=app.app_id, app_description=app.name,
                started_at=one.started, enqueued_at=one.started,
            )
            for app in apps
            for one in self._scheduler.alive(app)
        ]  # fmt: skip
        return pb.TaskListResponse(tasks=tasks)

    def _create(self, name: str, state: pb.AppState.ValueType, tags: dict[str, str]) -> App:
        app = App(new_id("ap"), name, state or pb.APP_STATE_EPHEMERAL, tags, Log())
        self._state.apps[app.app_id] = app
        return app

    def _deployed(self, name: str) -> App | None:
        deployed = (one for one in self._state.apps.values() if one.state == pb.APP_STATE_DEPLOYED)
        return next((one for one in deployed if one.name == name), None)

    def _lifecycle(self, app: App) -> pb.AppLifecycle:
        return pb.AppLifecycle(
            app_state=app.state, created_at=app.created, created_by=OWNER, stopped_at=app.stopped
        )

    def _metadata(self, app: App) -> pb.AppHandleMetadata:
        return pb.AppHandleMetadata(
            description=app.name,
            app_id=app.app_id,
            environment_name=ENVIRONMENT,
            lifecycle=self._lifecycle(app),
            functions=app.function_ids,
        )

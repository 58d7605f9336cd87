"""The Modal shell: the function that runs on Modal, and the app that is made of it for each run.

Thin on purpose. What the function does is `container`'s, what its image holds `images`'s, when an app is
started `launcher`'s. The function stands at the top of this module undecorated, so that Modal finds it by
name and every run can give it resources of its own.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import modal
from modal.exception import InputCancellation

from remote import container, images
from remote.contract import layout
from remote.contract.record import LaunchRequest
from remote.contract.resources import modal_options

FOLDERS = ("remote", "environments", "examples")
"""What of the project goes into a container, where it is there."""
LEFT_OUT = ("**/__pycache__", "**/*.pyc", "**/*.egg-info", "**/.*")
"""Caches, environments and secrets (`.env`, `.venv`, `.git`) stay at home."""
STARTUP = 1800
"""Seconds that a container may take to start: the image is large."""


def run(request_json: str, head: str) -> dict[str, Any]:
    """One attempt at a run, on Modal; `head` is what its stream holds already."""
    request = LaunchRequest.model_validate_json(request_json)
    place = container.Place(
        outputs=Path(os.environ.get("VFM_OUTPUTS_DIR", layout.MODAL_OUTPUTS)),
        cache=Path(os.environ.get("VFM_CACHE_DIR", layout.MODAL_CACHE)),
        project=Path(__file__).parents[1],
        task=os.environ.get("MODAL_TASK_ID"),
        call=modal.current_function_call_id(),
    )
    # The cache is committed by Modal itself, in the background and when the container ends.
    commit = modal.Volume.from_name(request.outputs).commit
    return container.run(request, head, place, commit, InputCancellation)


def make_app(request: LaunchRequest, image: modal.Image) -> tuple[modal.App, Any]:
    """A new app for one run, and its function; the resources come with `with_resources`."""
    tags = {"experimenter": request.experimenter, "experiment": request.experiment, "run": request.run_id}
    app = modal.App(layout.app_name(request.experimenter, request.experiment), tags=tags)
    made = app.function(
        name="run",
        image=with_project(image, Path.cwd()),
        include_source=False,
        # Whatever a dead attempt left in its container's GPU and memory is gone with it.
        single_use_containers=True,
        startup_timeout=STARTUP,
    )(run)
    return app, made


def with_resources(function: Any, request: LaunchRequest, secrets: dict[str, str]) -> Any:
    """The function on the machine that the config asks for, with secrets, volumes and retries."""
    volumes = {
        layout.MODAL_CACHE: modal.Volume.from_name(request.cache),
        layout.MODAL_OUTPUTS: modal.Volume.from_name(request.outputs),
    }
    retries = modal.Retries(
        max_retries=request.spec.modal.retries, initial_delay=1.0, backoff_coefficient=1.0
    )
    return function.with_options(
        **modal_options(request.spec, request.kind),
        retries=retries,
        secrets=[modal.Secret.from_dict(dict(secrets))],
        volumes=volumes,
    )


def with_project(image: modal.Image, project: Path) -> modal.Image:
    """The image with the project's own files, which are added when a container starts."""
    for folder in FOLDERS:
        if (project / folder).is_dir():
            image = image.add_local_dir(project / folder, f"{images.PROJECT}/{folder}", ignore=LEFT_OUT)
    return image

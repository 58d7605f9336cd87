"""The function that runs on Modal, and the app that is created with it for each run.

The function is undecorated at the top level of this module, so that Modal finds it by name and every run can
give it its own resources. What it does is in `container.py`.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import modal
from modal import FilePatternMatcher
from modal.exception import InputCancellation

import remote
from remote.contract import layout
from remote.contract.errors import ConfigError, Hint
from remote.contract.modal_resources import modal_options
from remote.contract.record import LaunchRequest
from remote.image import pins
from remote.modal_app import container

FOLDERS = ("environments", "examples")
"""Folders of the project that are uploaded to containers, where they exist; `remote/` is uploaded too."""
LEFT_OUT = (
    *("**/__pycache__", "**/*.pyc", "**/*.egg-info", "**/.*", "**/node_modules"),
    *(f"*/{name}" for name in ("venv", "env", "build", "dist", "tests", "outputs", "wandb")),
)
"""Not uploaded: caches, virtual environments, secrets (`.env`, `.git`), and in a package's own folder its
tests and the results of building and running."""
MOST_BYTES, MOST_FILES = 500 << 20, 20_000
"""Limits of an upload; data sets belong in a volume."""
STARTUP = 1800
"""Seconds that a container may take to start: the image is large."""


def run(request_json: str, head: str) -> dict[str, Any]:
    """One attempt at a run, on Modal. `head`: what the launcher has written to its stream."""
    request = LaunchRequest.model_validate_json(request_json)
    place = container.Place(
        outputs=Path(os.environ.get("VFM_OUTPUTS_DIR", layout.MODAL_OUTPUTS)),
        cache=Path(os.environ.get("VFM_CACHE_DIR", layout.MODAL_CACHE)),
        project=remote.PARENT,
        task=os.environ.get("MODAL_TASK_ID"),
        call=modal.current_function_call_id(),
    )
    # Modal itself commits the cache, in the background and when the container ends.
    commit = modal.Volume.from_name(request.outputs).commit
    return container.run(request, head, place, commit, InputCancellation)


def make_app(request: LaunchRequest, image: modal.Image) -> tuple[modal.App, Any]:
    """A new app for one run, and its function, still without resources (see `with_resources`)."""
    tags = {"experimenter": request.experimenter, "experiment": request.experiment, "run": request.run_id}
    app = modal.App(layout.app_name(request.experimenter, request.experiment), tags=tags)
    made = app.function(
        name="run",
        image=with_project(image, Path.cwd()),
        include_source=False,
        # So that nothing of an earlier attempt remains in the container's GPU and memory.
        single_use_containers=True,
        startup_timeout=STARTUP,
    )(run)
    return app, made


def with_resources(function: Any, request: LaunchRequest, secrets: dict[str, str]) -> Any:
    """The function with the config's machine, secrets, volumes and retries."""
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
    """The image with `remote/` and the project's own files, which Modal adds when a container starts."""
    for folder in (remote.PARENT / "remote", *(project / name for name in FOLDERS)):
        if folder.is_dir():
            check_size(folder)
            image = image.add_local_dir(folder, f"{pins.PROJECT}/{folder.name}", ignore=LEFT_OUT)
    return image


def check_size(folder: Path) -> None:
    """Raise `ConfigError` where a folder is too large to upload; names the largest part."""
    left_out = FilePatternMatcher(*LEFT_OUT)
    sizes: dict[str, int] = defaultdict(int)
    files = 0
    for root, names, file_names in os.walk(folder):
        relative = Path(root).relative_to(folder)
        names[:] = [name for name in names if not left_out(relative / name)]
        for path in (relative / name for name in file_names):
            if not left_out(path):
                files += 1
                sizes["/".join(path.parts[:2])] += (folder / path).lstat().st_size
    total = sum(sizes.values())
    if total > MOST_BYTES or files > MOST_FILES:
        largest = max(sizes, key=lambda name: sizes[name])
        raise ConfigError(
            f"{folder.name}/ has {total / (1 << 20):,.0f} MiB in {files:,} files to upload for a run, more "
            f"than {MOST_BYTES >> 20} MiB or {MOST_FILES:,} files; most of it is {folder.name}/{largest}",
            hint=Hint("move data into the cache volume (vfm put), and a virtual environment to .venv"),
        )

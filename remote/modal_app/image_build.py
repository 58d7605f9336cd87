"""Report the build of the image on Modal: its phase, its lines, and why it failed.

The image is the one of the project's `run_modal.py`.
"""

from __future__ import annotations

import importlib
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

from remote.contract.errors import ConfigError, Hint, ImageError
from remote.output.emitter import Emitter

if TYPE_CHECKING:
    import modal
    from modal.exception import ImageBuildError

EVIDENCE = 15
"""Number of last lines of a failed build that are recorded."""


class Building:
    """Emits the image phase around a build, and turns its failure into `ImageError`."""

    def __init__(self, emit: Emitter) -> None:
        self._emit = emit
        self._last: deque[str] = deque(maxlen=EVIDENCE)

    def line(self, text: str) -> None:
        """Log a line of the build."""
        self._last.append(text)
        self._emit.say("image", text)

    def __enter__(self) -> Building:
        self._emit.phase("image", "started")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self._emit.phase("image", "done", "built" if self._last else "reused")
            return
        self._emit.phase("image", "failed")
        if isinstance(error, Exception):
            raise self._translated(error) from error

    def _translated(self, error: Exception) -> Exception:
        from modal.exception import ImageBuildError

        from remote.modal_app.client import explained

        if isinstance(error, ImageBuildError):
            cause = "\n".join([*self._last, *_reason(error)])
            return ImageError("Modal could not build the image", cause=cause, hint=_advice(error))
        try:
            with explained("build the image"):
                raise error
        except Exception as translated:
            return translated


def _reason(error: ImageBuildError) -> list[str]:
    """Modal's own description of the failure, which the last lines of output may lack."""
    lines = [line.strip() for line in str(error).splitlines()]
    command = f"modal image logs {error.image_id}"
    return [line for line in lines if line and line not in (command, "View the build logs:")]


def _advice(error: ImageBuildError) -> Hint:
    """Advice by Modal's message, since all of these have the same class."""
    text, whole = str(error), f"`modal image logs {error.image_id}` shows all of its output"
    if "terminated due to external shut-down" in text or "timed out" in text.partition("\n")[0]:
        return Hint(f"it was interrupted: launch again, finished layers are kept; {whole}")
    return Hint(
        "see the lines above; your own packages are listed in run_modal.py, the others in "
        f"remote/image/pins.py; {whole}"
    )


def users_image(python: str | None = None) -> modal.Image:
    """The image of `run_modal.py`; without that file, the training stack alone. Raises `ConfigError`.

    `python`: its minor version, such as `3.11`; None: the default.
    """
    from remote.image import pins

    pins.choose_python(python)
    if not Path("run_modal.py").is_file():
        return pins.modal_image()
    try:
        image = importlib.import_module("run_modal").image
    except (Exception, SystemExit) as error:
        raise ConfigError(
            f"run_modal.py could not be read: {type(error).__name__}: {error}",
            hint=Hint("it has to define `image`, a modal.Image"),
        ) from error
    return image  # type: ignore[no-any-return]

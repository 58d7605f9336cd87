"""The local image: the virtual environment in which workers on this machine run, built once and reused.

It lies in `$VFM_HOME/images/local-<key>/`, and is built in place, since a virtual environment contains its
own path. It is complete once it has its `image.json`, which is written last; without it, the next build
removes what is there. A lock allows one build at a time. uv inherits it, so that a build that outlives its
killed parent is not overwritten.

    python -m remote.image.local [--home DIR]            build ahead, or find it built; prints the stream
    python -m remote.image.local [--home DIR] --where    print its Python's path, or exit with 1
    python -m remote.image.local [--home DIR] --prune    remove images that this version does not use
"""

from __future__ import annotations

import argparse
import errno
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import FrameType

from remote.contract.errors import Hint, ImageError
from remote.contract.platforms import PYTHONS, THIS_PYTHON
from remote.image import pins
from remote.image.build import MARKER, Build
from remote.image.pins import Device, Recipe
from remote.output.emitter import Emitter
from remote.processes.file_lock import hold


def detect_device() -> Device:
    """`cuda` where an NVIDIA GPU can be used, otherwise `cpu`."""
    return "cuda" if _gpu_listed() or _gpu_mounted() else "cpu"


def _gpu_listed() -> bool:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return False
    try:
        listed = subprocess.run([tool, "-L"], capture_output=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and bool(listed.stdout.strip())


def _gpu_mounted() -> bool:
    # A container without a GPU still sees its host's /proc/driver.
    return Path("/proc/driver/nvidia/version").exists() and Path("/dev/nvidiactl").exists()


def this_recipe(python: str | None = None) -> Recipe:
    """The recipe for this machine, with this Python or another minor version (`image.python`).

    Raises `ImageError` where the stack does not support that version.
    """
    python = python or THIS_PYTHON
    if python not in PYTHONS:
        raise ImageError(
            f"the training stack needs Python {' or '.join(PYTHONS)}, not {python} ({sys.executable})",
            hint=Hint("create the client's environment again: make install PYTHON=python3.12"),
        )
    return pins.recipe(detect_device(), python)


def folder(home: Path, recipe: Recipe) -> Path:
    """The folder of a recipe's image."""
    return home / "images" / f"local-{recipe.key}"


def find(home: Path, recipe: Recipe | None = None) -> Path | None:
    """The Python of a complete image; None where there is none, or its Python was removed."""
    image = folder(home, recipe or this_recipe())
    python = image / "bin" / "python"
    return python if (image / MARKER).is_file() and os.access(python, os.X_OK) else None


def ensure(home: Path, emit: Emitter, recipe: Recipe | None = None) -> Path:
    """The image's Python; builds the image where it is missing.

    Emits the `image` phase, whose end has the detail `reused` or `built`. Raises `ImageError` where the build
    fails; then, and when it is interrupted, nothing is left of it.
    """
    emit.phase("image", "started")
    try:
        recipe = recipe or this_recipe()
        python, detail = find(home, recipe), "reused"
        if python is None:
            python, detail = _locked_build(home.absolute(), emit, recipe)
    except BaseException as error:
        emit.phase("image", "failed")
        if isinstance(error, OSError):
            raise _disk_error(error, home) from error
        raise
    emit.phase("image", "done", detail)
    return python


def prune(home: Path, keep: Iterable[str] = ()) -> list[Path]:
    """Remove the local images except those of this version and of the keys in `keep`; returns the removed
    folders.

    The caller must know that no run uses them; waits for builds in progress.
    """
    keys = {this_recipe().key, *(this_recipe(python).key for python in PYTHONS), *keep}
    removed = []
    for image in sorted((home / "images").glob("local-*/")):
        if image.name.removeprefix("local-") not in keys:
            with hold(_lock(image), lambda *_: None):
                _wipe(image)
            removed.append(image)
    return removed


def _lock(image: Path) -> Path:
    return image.with_name(image.name + ".lock")


def _locked_build(home: Path, emit: Emitter, recipe: Recipe) -> tuple[Path, str]:
    image = folder(home, recipe)

    def waiting(holder: str, seconds: float) -> None:
        emit.say("image", f"process {holder} is building this image: waiting for it · {seconds:.0f} s")

    with hold(_lock(image), waiting) as lock:
        python = find(home, recipe)  # built while we waited
        if python is not None:
            return python, "reused"
        if image.exists():
            emit.say("image", "clearing away what an interrupted build left behind")
            _wipe(image)
        try:
            return Build(image, emit, recipe, lock).run(), "built"
        except BaseException:
            _wipe(image)
            raise


def _wipe(image: Path) -> None:
    """Remove an image, its marker first, so that the rest after a crash does not count as complete."""
    (image / MARKER).unlink(missing_ok=True)
    if image.exists():
        shutil.rmtree(image)


def _disk_error(error: OSError, home: Path) -> ImageError:
    full = error.errno in (errno.ENOSPC, errno.EDQUOT)
    return ImageError(
        f"the local image could not be built: {'the disk is full' if full else error.strerror or error} "
        f"({error.filename or home})",
        cause=str(error),
        hint=Hint("set VFM_HOME to a writable folder, on a disk with 10 GB to spare"),
    )


def _on_sigterm(number: int, frame: FrameType | None) -> None:
    raise SystemExit(128 + number)


def _default_home() -> Path:
    configured = os.environ.get("VFM_HOME")
    if configured:
        return Path(configured).expanduser()
    import platformdirs

    return Path(platformdirs.user_data_dir("vfm", appauthor=False))


def main(arguments: list[str] | None = None) -> int:
    """The door for people and for `vfm image build local`; exit codes: 0, 1 failed, 130 interrupted."""
    parser = argparse.ArgumentParser("python -m remote.image.local", description="Build the local image.")
    parser.add_argument("--home", type=Path, help="where images lie, in place of $VFM_HOME")
    parser.add_argument("--python", choices=PYTHONS, help="its minor version, in place of this Python's")
    parser.add_argument("--where", action="store_true", help="print its Python's path; 1 if it is not built")
    parser.add_argument("--prune", action="store_true", help="remove images that this version does not use")
    options = parser.parse_args(arguments)
    home = (options.home or _default_home()).expanduser()
    signal.signal(signal.SIGTERM, _on_sigterm)
    emit = Emitter(None)
    try:
        if options.where:
            return _print_where(home, options.python)
        for image in prune(home) if options.prune else []:
            emit.say("image", f"removed {image}")
        if not options.prune:
            python = ensure(home, emit, this_recipe(options.python))
            emit.say("image", f"the image's Python: {python}")
    except ImageError as error:
        emit.failure(error)
        return 1
    except KeyboardInterrupt:
        emit.say("image", "interrupted: what was built so far is gone, what was downloaded is kept")
        return 130
    return 0


def _print_where(home: Path, version: str | None) -> int:
    python = find(home, this_recipe(version))
    if python is None:
        return 1
    print(python)
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Overlays: folders into which environments are installed, named by a digest of their sources.

An overlay is filled under a temporary name and renamed when it is complete; then it must not change, and one
that was changed is installed again. So an environment that is edited or installed again gets another overlay,
and running runs keep theirs. Overlays that were not used for a week are removed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from remote.contract.errors import EnvironmentMissing, Hint
from remote.contract.json_text import from_json, to_json
from remote.output.run_dir import sync

UNUSED = 7 * 86400.0
"""Seconds after which an overlay that no run uses is removed. An attempt on Modal ends after one day."""
_LEFTOVER = 86400.0  # seconds after which the remains of an interrupted install are removed
_ABOUT = ".vfm-overlay.json"  # in an overlay: module and files; processes that use the overlay lock it
_VERSION = 3  # of the way in which an overlay is filled
_TRIES = 5  # installs of a package whose files change meanwhile
_NOT_SOURCE = {
    *("__pycache__", ".git", ".hg", ".venv", "venv", "node_modules", "dist", "build", ".tox"),
    *(".mypy_cache", ".pytest_cache", ".ruff_cache"),
}
_held: list[int] = []


def digest(*sources: Path | str) -> str:
    """Twelve hexadecimal digits of the sources' contents and of this Python.

    Of a folder its files without tests, of a wheel its bytes, of a requirement its text. Raises
    `EnvironmentMissing` where a file cannot be read.
    """
    total = hashlib.sha256(f"{_VERSION} {sys.version} {sys.prefix}".encode())
    for source in sources:
        path = Path(source)
        try:
            if path.is_dir():
                _add_files(total, path)
            else:
                total.update(path.read_bytes() if path.is_absolute() else str(source).encode())
        except OSError as error:
            reason = error.strerror or str(error)
            raise EnvironmentMissing(
                f"the environment cannot be read: {error.filename or path}: {reason}",
                hint=Hint("every file of the package must be readable"),
            ) from error
    return total.hexdigest()[:12]


def _add_files(total: Any, folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        parts = path.relative_to(folder).parts
        made = path.suffix == ".pyc" or any(part.endswith(".egg-info") for part in parts)
        if parts[0] != "tests" and not made and not _NOT_SOURCE.intersection(parts) and path.is_file():
            content = path.read_bytes()
            total.update(f"\0{'/'.join(parts)}\0{len(content)}\0".encode() + content)


def take(overlay: Path, say: Callable[[str], None] = lambda _: None) -> str | None:
    """The module of an existing overlay, which counts as used until this process ends; None: it is missing.

    One whose files were changed or removed since their installation is set aside, and `say` is called.
    """
    about = overlay / _ABOUT
    try:
        fd = os.open(about, os.O_RDONLY)
    except OSError:
        return None
    with suppress(OSError):  # a file system without locks: its age protects it
        fcntl.flock(fd, fcntl.LOCK_SH)
    if not about.exists():  # removed a moment ago
        os.close(fd)
        return None
    _held.append(fd)
    with suppress(OSError):
        os.utime(about)
    try:
        about_overlay = from_json(about.read_bytes())
        if not (damage := _damage(overlay, about_overlay.get("files", {}))):
            return str(about_overlay["module"])
        say(f"{overlay.name} is not as it was installed ({damage}): installing it anew")
    except (ValueError, KeyError, TypeError, AttributeError):  # half of it was written when the power went
        pass
    _set_aside(overlay)
    return None


def _files(overlay: Path) -> dict[str, str]:
    """Relative path → SHA-256 of each installed file, without bytecode."""
    return {
        str(path.relative_to(overlay)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(overlay.rglob("*"))
        if path.is_file() and path.suffix != ".pyc"
    }


def _damage(overlay: Path, files: dict[str, str]) -> str:
    """The first difference from the installed files; empty: there is none."""
    for name, known in files.items():
        try:
            content = (overlay / name).read_bytes()
        except OSError as error:
            return f"{name}: {error.strerror}"
        if hashlib.sha256(content).hexdigest() != known:
            return f"{name} was changed"
    return ""


def make(
    overlays: Path, name: str, sources: Callable[[], list[Path | str]], fill: Callable[[Path], str]
) -> tuple[Path, str]:
    """Create an overlay of the package `name`; returns it and its module.

    `fill` installs into a folder and returns the module. It is called again where the sources change
    meanwhile. An equal overlay that another process creates meanwhile is used instead.
    """
    for _ in range(_TRIES):
        version = digest(*sources())
        overlay = overlays / f"{name}@{version}"
        part = overlays / f".{overlay.name}.{uuid.uuid4().hex[:8]}.part"
        part.mkdir(parents=True)
        try:
            module = fill(part)
            if digest(*sources()) != version:
                continue
            about = {"module": module, "source": str(sources()[-1]), "files": _files(part)}
            (part / _ABOUT).write_text(to_json(about) + "\n", encoding="utf-8")
            try:
                sync(part / _ABOUT)
                sync(part)
                part.rename(overlay)
                sync(overlays)
            except OSError:
                if not overlay.exists():
                    raise
        finally:
            shutil.rmtree(part, ignore_errors=True)
        if (module_of_overlay := take(overlay)) is not None:
            return overlay, module_of_overlay
    raise EnvironmentMissing(
        f"the files of {name} kept changing while it was installed",
        hint=Hint("launch again once they are saved"),
    )


def source_of(file: str) -> str:
    """The source of a file in an overlay, where it still has the same content; otherwise the file itself."""
    path = Path(file)
    overlay = next((folder for folder in path.parents if (folder / _ABOUT).is_file()), None)
    if overlay is None:
        return file
    try:
        source, inside = Path(from_json((overlay / _ABOUT).read_bytes())["source"]), path.relative_to(overlay)
        content = path.read_bytes()
        for likely in (source / inside, source / "src" / inside, source.joinpath(*inside.parts[1:])):
            if likely.is_file() and likely.read_bytes() == content:
                return str(likely)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return file


def prune(overlays: Path) -> None:
    """Remove overlays that were not used for a week, and the remains of interrupted installs."""
    now = time.time()
    with suppress(OSError):
        for path in list(overlays.iterdir()):
            limit = _LEFTOVER if path.name.startswith(".") else UNUSED
            if path.is_dir() and now - _last_used(path) > limit:
                _remove(path)


def _last_used(overlay: Path) -> float:
    about = overlay / _ABOUT
    return (about if about.exists() else overlay).stat().st_mtime


def _remove(overlay: Path) -> None:
    """Remove an overlay unless it is in use; it is renamed first, so that no process takes half of it."""
    with suppress(OSError):
        fd = os.open(overlay / _ABOUT, os.O_RDONLY) if (overlay / _ABOUT).exists() else None
        try:
            if fd is not None:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            gone = _set_aside(overlay)
            shutil.rmtree(gone, ignore_errors=True)
        finally:
            if fd is not None:
                os.close(fd)


def _set_aside(overlay: Path) -> Path:
    """Rename an overlay so that only `prune` finds it."""
    gone = overlay.with_name(f".{overlay.name.lstrip('.')}.{uuid.uuid4().hex[:8]}.gone")
    with suppress(FileNotFoundError):  # another process did
        overlay.rename(gone)
    return gone

"""Save a draft as a config that keeps the comments, order and layout of its source.

Owns the changes, and verifying the new file before it takes its name: it must resolve to the same values.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from remote.contract.errors import ConfigError, Hint
from tui.config import layers, yaml_edit, yaml_files
from tui.config.problems import ConfigProblems
from tui.config.resolve import Resolved, locate, resolve_layers
from tui.config.yaml_files import SUFFIXES, Key
from tui.planning.draft import Draft

_FRESH = "# Unset keys have their defaults: `vfm config schema` lists every key.\n"


def config_path(name: str, project_dir: Path) -> Path:
    """The file of a name: `mine` is `configs/mine.yaml`; a path is kept. Raises `ConfigError`."""
    name = name.strip()
    if not name or name.endswith("/"):
        raise ConfigError("the new config needs a name", hint=Hint("such as my_experiment"))
    path = Path(name).expanduser()
    if path.suffix not in SUFFIXES:
        path = path.with_name(f"{path.name}{SUFFIXES[0]}")
    if len(path.parts) == 1:
        path = Path("configs") / path
    return path if path.is_absolute() else project_dir / path


def save(draft: Draft, path: Path, project_dir: Path, *, overwrite: bool = False) -> None:
    """Write the draft's config, completely or not at all.

    Raises `ConfigError` where the file exists, the draft has problems, the file cannot be written, or the
    layout of the source cannot take the change.
    """
    resolved = draft.resolved
    if resolved is None or not draft.is_sound:
        raise ConfigError("the draft has problems", hint=Hint("fix the fields that show one"))
    text = edited(_source(draft, project_dir), resolved)
    path = Path(os.path.realpath(path))  # write to the target of a link
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        if path.exists() and not overwrite:
            raise _exists(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(part, text)
        _verify(part, draft, resolved)
        _move(part, path, overwrite)
    except OSError as error:
        raise ConfigError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):  # an invalid name has left no file
            part.unlink(missing_ok=True)


def edited(text: str, resolved: Resolved) -> str:
    """A config's text with the overrides. Raises `ConfigProblems`."""
    values, gone = list(_changes(resolved)), list(_gone(resolved))
    return yaml_edit.edit(text, values, gone) if values or gone else text


def _changes(resolved: Resolved) -> Iterator[tuple[Key, Any]]:
    for override in resolved.typed:
        yield from layers.leaves(override.value, override.key)


def _gone(resolved: Resolved) -> Iterator[Key]:
    """Keys of the file that overrides removed: parts of a mapping, an overridden model."""
    for dotted, value in resolved.configured.items():
        if dotted not in resolved.values and value != {}:
            yield _whole(tuple(dotted.split(".")), resolved)


def _whole(key: Key, resolved: Resolved) -> Key:
    """The key to drop: a mapping inside `environment_args` goes with its last key."""
    left = [tuple(name.split(".")) for name in resolved.values]
    inside = next((n for n in range(1, len(key)) if layers.is_open_root(key[:n])), len(key) - 1)
    parts = (key[:n] for n in range(inside + 1, len(key)))
    return next((part for part in parts if not any(k[: len(part)] == part for k in left)), key)


def _source(draft: Draft, project_dir: Path) -> str:
    if draft.config is None:
        return _FRESH
    return Path(locate(draft.config, project_dir)).read_bytes().decode("utf-8-sig")


def _write(path: Path, text: str) -> None:
    with path.open("wb") as file:
        file.write(text.encode())
        file.flush()
        os.fsync(file.fileno())


def _verify(path: Path, draft: Draft, resolved: Resolved) -> None:
    try:
        again = resolve_layers(yaml_files.load(path)).values
    except ConfigProblems as error:
        raise _unsuited(draft, error.problems[0].message) from error
    for key in resolved.values.keys() | again.keys():
        if again.get(key) != resolved.values.get(key):
            raise _unsuited(draft, f"{key} would have another value")


def _move(part: Path, path: Path, overwrite: bool) -> None:
    if overwrite:
        os.replace(part, path)
        return
    try:
        os.link(part, path)  # unlike a rename, fails where the file exists
    except FileExistsError:
        raise _exists(path) from None
    except OSError:  # a file system without links
        os.replace(part, path)


def _exists(path: Path) -> ConfigError:
    return ConfigError(f"{path.name} exists already", hint=Hint("choose another name"))


def _unsuited(draft: Draft, reason: str) -> ConfigError:
    return ConfigError(
        f"the layout of {draft.config} cannot take this change: {reason}",
        hint=Hint("copy the file and edit it by hand, or set the value with --set"),
    )

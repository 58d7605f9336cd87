"""Read config files: YAML into plain data, with the line of every key.

Refuses what is not a plain mapping (empty files, duplicate keys, foreign tags, alias bombs), and names file,
line and column. `resolve.py` knows what keys mean; `yaml_scalars.py`, what plain words mean.
"""

from __future__ import annotations

import difflib
import os
import re
import stat
from dataclasses import dataclass, field
from io import BufferedReader
from pathlib import Path
from typing import Any, NoReturn

import yaml

from tui.config.problems import ConfigProblems, Problem, refuse, shown
from tui.config.yaml_scalars import SCALARS, TAG, read_plain, read_tagged

Key = tuple[str, ...]

MAX_BYTES = 1_000_000
MAX_NODES = 10_000
"""Values in one file, aliases expanded; a config has dozens."""
MAX_DEPTH = 40
SUFFIXES = (".yaml", ".yml")


@dataclass
class SourceTree:
    """A config file's nested plain data, and the line of each key."""

    path: str
    """The file as the user named it."""
    data: dict[str, Any]
    lines: dict[Key, int] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    """Problems with keys as such: duplicates, keys that are no word."""

    def where(self, key: Key) -> str:
        """`path:line` of a key, or of the nearest key around it."""
        while key and key not in self.lines:
            key = key[:-1]
        return f"{self.path}:{self.lines[key]}" if key else self.path


class _Loader(yaml.SafeLoader):
    """YAML's syntax with YAML 1.2's scalars, and limits on size and nesting."""

    yaml_implicit_resolvers = {}  # noqa: RUF012 - PyYAML's own way; filled just below
    count = 0
    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.count += 1
        self.depth += 1
        if self.depth > MAX_DEPTH:
            self._refuse(f"nested more than {MAX_DEPTH} deep")
        if self.count > MAX_NODES:
            self._refuse(f"more than {MAX_NODES:,} values, so it is no config")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def _refuse(self, problem: str) -> NoReturn:
        mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
        raise yaml.composer.ComposerError(None, None, problem, mark)


for _scalar in SCALARS:
    _Loader.add_implicit_resolver(_scalar.tag, _scalar.form, list(_scalar.first))
_Loader.add_implicit_resolver(TAG + "merge", re.compile(r"<<\Z"), ["<"])


def load(path: Path | str) -> SourceTree:
    """Read a config. Raises `ConfigProblems` that name file, line and column."""
    name = str(path)
    text = _read_text(Path(path).expanduser(), name)
    node = compose(text, name)
    if node is None:
        raise refuse("the file is empty: it holds no keys", name, "see configs/ for examples")
    if not isinstance(node, yaml.MappingNode):
        raise refuse(
            f"holds {_kind(node)}, but a config is a mapping of sections such as `training:`",
            _at(name, node),
        )
    builder = _Builder(name)
    data = builder.build(node, ())
    return SourceTree(name, data, builder.lines, builder.problems)


def read_value(text: str, where: str) -> Any:
    """Read a value that a user typed: a plain word, or YAML in quotes, brackets or braces.

    A plain word that is no number, true, false or null is text as it is. Raises `ConfigProblems` that name
    `where`.
    """
    text = text.strip()
    if not text.startswith(("[", "{", '"', "'")):
        return text_value(read_plain(text), where)
    try:
        node = compose(text, where)
    except ConfigProblems as error:
        message = error.problems[0].message
        raise refuse(f"the value cannot be read: {message}", where, "quote text that begins so") from None
    builder = _Builder(where)
    value = builder.build(node, ())
    if builder.problems:
        raise ConfigProblems([Problem(p.message, where) for p in builder.problems])
    return value


def read_block(text: str, where: str) -> Any:
    """The value of some lines of YAML; None for comments alone. Raises `ConfigProblems` that name `where`."""
    builder = _Builder(where)
    node = compose(text, where)
    value = None if node is None else builder.build(node, ())
    if builder.problems:
        raise ConfigProblems(builder.problems)
    return value


def list_configs(folder: Path) -> list[Path]:
    """The configs of a folder, by name; none where there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(p for p in folder.iterdir() if p.suffix in SUFFIXES and p.is_file())


def _read_text(path: Path, name: str) -> str:
    try:
        raw = _read_bytes(path)
    except FileNotFoundError:
        raise _missing(path, name) from None
    except IsADirectoryError:
        listing = ", ".join(_shown(str(p)) for p in list_configs(path))
        hint = f"it holds: {listing}" if listing else None
        raise refuse("is a folder: name a config in it", name, hint) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise refuse(f"cannot be read: {reason}", name) from None
    if len(raw) > MAX_BYTES:
        raise refuse(f"is larger than {MAX_BYTES:,} bytes, so it is no config", name)
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise refuse(f"is not UTF-8 text (byte {error.start})", f"{name}:{line}") from None


def _read_bytes(path: Path) -> bytes:
    """The file's bytes, at most one beyond the limit; does not wait for a pipe without a writer."""
    with open(path, "rb", buffering=0, opener=lambda p, flags: os.open(p, flags | os.O_NONBLOCK)) as file:
        first = file.read(1) if stat.S_ISFIFO(os.fstat(file.fileno()).st_mode) else None
        if first == b"":
            raise ValueError("it is a pipe that nobody writes into")
        os.set_blocking(file.fileno(), True)
        return (first or b"") + BufferedReader(file).read(MAX_BYTES + 1)


def _missing(path: Path, name: str) -> ConfigProblems:
    beside = path.parent if list_configs(path.parent) else Path("configs")
    configs = list_configs(beside)
    if not configs:
        return refuse("there is no such config", name)
    close = difflib.get_close_matches(path.stem, [p.stem for p in configs], 1)
    nearest = next((f"did you mean {_shown(str(p))}? " for p in configs if [p.stem] == close), "")
    listing = ", ".join(_shown(p.name) for p in configs)
    return refuse("there is no such config", name, f"{nearest}{beside}/ holds: {listing}")


def _shown(name: str) -> str:
    """A file's name on one line."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in name)


def compose(text: str, name: str) -> Any:
    """A document's tree of PyYAML nodes with their marks; None for an empty one. Raises `ConfigProblems`."""
    loader: _Loader | None = None
    try:
        loader = _Loader(text)
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise refuse(_plainly(error), place) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        message = f"not YAML: the character {error.character!r} is not allowed"
        raise refuse(message, f"{name}:{line}") from None
    finally:
        if loader is not None:
            loader.dispose()


def _plainly(error: yaml.MarkedYAMLError) -> str:
    text = ", ".join(part for part in (error.context, error.problem) if part)
    if isinstance(error, yaml.composer.ComposerError):
        return text  # the syntax is right, and the document is none of ours
    if "'\\t'" in text:
        return "not YAML: a tab where YAML wants spaces"
    if "mapping values are not allowed here" in text:
        return "not YAML: a second ':' on the line, or a wrong indent (quote text that holds ': ')"
    return f"not YAML: {text}"


def _at(path: str, node: yaml.Node) -> str:
    return f"{path}:{node.start_mark.line + 1}"


def _kind(node: yaml.Node) -> str:
    return "a list" if isinstance(node, yaml.SequenceNode) else f"only the value {shown(node.value)}"


class _Builder:
    """Builds plain data of nodes: expands and counts aliases, and notes the line of each key."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lines: dict[Key, int] = {}
        self.problems: list[Problem] = []
        self._count = 0
        self._open: set[int] = set()

    def build(self, node: yaml.Node, key: Key) -> Any:
        self._enter(node)
        try:
            if isinstance(node, yaml.MappingNode) and node.tag == TAG + "map":
                return self._mapping(node, key)
            if isinstance(node, yaml.SequenceNode) and node.tag == TAG + "seq":
                return [self.build(item, (*key, str(i))) for i, item in enumerate(node.value)]
            return self._scalar(node)
        finally:
            self._open.discard(id(node))

    def _enter(self, node: yaml.Node) -> None:
        self._count += 1
        if self._count > MAX_NODES:
            raise refuse(
                f"holds more than {MAX_NODES:,} values once its aliases are written out", _at(self.path, node)
            )
        if id(node) in self._open:
            raise refuse("an alias stands for something that holds the alias itself", _at(self.path, node))
        self._open.add(id(node))

    def _scalar(self, node: yaml.Node) -> Any:
        try:
            if not isinstance(node, yaml.ScalarNode):
                raise ValueError(f"the tag {node.tag!r} is not allowed")
            return text_value(read_tagged(node.tag, node.value), _at(self.path, node))
        except ValueError as error:
            raise refuse(str(error), _at(self.path, node)) from None

    def _mapping(self, node: yaml.MappingNode, key: Key) -> dict[str, Any]:
        data: dict[str, Any] = {}
        merged: list[yaml.Node] = []
        for name_node, value_node in node.value:
            if name_node.tag == TAG + "merge":
                merged += value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
            else:
                self._entry(data, name_node, value_node, key)
        for source in merged:
            self._merge(data, source, key)
        return data

    def _entry(self, data: dict[str, Any], name_node: yaml.Node, value: yaml.Node, key: Key) -> None:
        if not isinstance(name_node, yaml.ScalarNode):
            self.problems.append(Problem("a key must be a word", _at(self.path, name_node)))
            return
        name = str(name_node.value)
        full = (*key, name)
        if name in data:
            first = f"{self.path}:{self.lines[full]}"
            message = f"the key {'.'.join(full)} stands here a second time (first at {first})"
            self.problems.append(Problem(message, _at(self.path, name_node), ".".join(full)))
        self.lines[full] = name_node.start_mark.line + 1
        data[name] = self.build(value, full)

    def _merge(self, data: dict[str, Any], source: yaml.Node, key: Key) -> None:
        if not isinstance(source, yaml.MappingNode):
            self.problems.append(Problem("`<<` takes a mapping", _at(self.path, source)))
            return
        before = dict(self.lines)
        for name, value in self.build(source, key).items():
            data.setdefault(name, value)
        # Keys of the mapping itself keep their lines.
        self.lines |= before


def text_value(value: Any, where: str) -> Any:
    """The value. Raises `ConfigProblems` for text with NUL or characters that UTF-8 lacks."""
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            _no_text(where)
        if "\0" in value:
            _no_text(where)
    return value


def _no_text(where: str) -> NoReturn:
    raise refuse("the text holds a character that no file or command line can carry", where)

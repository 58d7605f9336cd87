"""Set or remove one key in a config's text: comments, order, quotes and layout of the rest stay.

ruamel.yaml changes the document and writes it; only the lines that the change alters are taken over from what
it writes. `tui/planning/save_draft.py` reads the result again, to check that it means what it should.
"""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable
from difflib import SequenceMatcher
from typing import Any

from tui.config.field_text import number
from tui.config.problems import refuse
from tui.config.yaml_files import Key
from tui.config.yaml_scalars import read_plain

_WORDS = re.compile(r"\w(?:[\w./+-]| (?=\w))*")
"""Text that every reader of YAML takes for the same text without quotes, inside braces too."""


def edit(text: str, values: Iterable[tuple[Key, Any]] = (), gone: Iterable[Key] = ()) -> str:
    """Return the text with some keys set and others removed, where they are there.

    Raises `ConfigProblems` where the file's form does not allow it.
    """

    def change(root: Any) -> None:
        for key, value in values:
            _put(root, key, value)
        for key in gone:
            _drop(root, key)

    newline = "\r\n" if "\r\n" in text else "\n"
    lines = text.replace("\r\n", "\n").removesuffix("\n").split("\n")
    before, after = _written(lines, lambda root: None), _written(lines, change)
    if len(before) != len(lines):  # braces over several lines, the mark of the document's end
        if text.count("#") != "\n".join(before).count("#"):
            raise refuse("saving would lose comments inside braces or after the document's end")
        lines = before
    return newline.join([*_merged(lines, before, after), ""])


def _put(root: Any, key: Key, value: Any) -> None:
    node = root
    for depth, part in enumerate(key[:-1]):
        if not isinstance(node.get(part), dict):
            node[part] = type(node)()
        node = node[part]
        _refuse_shared(node, key[: depth + 1])
    node[key[-1]] = _node(value, type(root), type(node.get(key[-1])))


def _drop(root: Any, key: Key) -> None:
    parent, node = None, root
    for depth, part in enumerate(key[:-1]):
        parent, node = node, node.get(part)
        if not isinstance(node, dict):
            return
        _refuse_shared(node, key[: depth + 1])
    if key[-1] in node and len(node) == 1 and parent is not None:
        parent[key[-2]] = _node({}, type(root))
    else:
        node.pop(key[-1], None)


def _refuse_shared(node: Any, key: Key) -> None:
    if node.anchor.value is not None:
        raise refuse(f"{'.'.join(key)} has an anchor or is an alias: a change would reach other keys")


def _node(value: Any, mapping: type, old: type = str) -> Any:
    """A value as ruamel.yaml writes it: collections in braces, text in the quotes that stood there before."""
    from ruamel.yaml.comments import CommentedSeq
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString, ScalarString, SingleQuotedScalarString

    if isinstance(value, str):
        is_plain = _WORDS.fullmatch(value) and isinstance(read_plain(value), str)
        quoted = old if old is SingleQuotedScalarString and value.isprintable() else DoubleQuotedScalarString
        return value if is_plain and not issubclass(old, ScalarString) else quoted(value)
    if isinstance(value, dict):
        node = mapping({_node(str(name), mapping): _node(part, mapping) for name, part in value.items()})
        node.fa.set_flow_style()
        return node
    if isinstance(value, list):
        items = CommentedSeq([_node(part, mapping) for part in value])
        items.fa.set_flow_style()
        return items
    if isinstance(value, float):
        short = number(value)
        return short if any(c in short for c in ".e") else f"{short}.0"
    return json.dumps(value)


def _merged(lines: list[str], before: list[str], after: list[str]) -> list[str]:
    """`lines`, with the differences between `before`, which is the same line for line, and `after`."""
    merged: list[str] = []
    for tag, i, j, k, m in SequenceMatcher(None, before, after, autojunk=False).get_opcodes():
        old, new = lines[i:j], after[k:m]
        # ruamel.yaml counts the comments below a key as that key's: a new key goes above them,
        # and they stay when the key goes.
        if tag == "equal":
            merged += old
        elif tag == "insert":
            at = len(merged)
            while new[0].startswith(" ") and at and _is_comment(merged[at - 1]):
                at -= 1
            merged[at:at] = _spaced(merged[at - 1 : at], new)
        else:
            merged += [*new, *(line for line in old if _is_comment(line) and line not in new)]
    return merged


def _spaced(above: list[str], new: list[str]) -> list[str]:
    """New lines with an empty one before each section."""
    pairs = zip([*above, *new] if above else ["", *new], new, strict=False)
    return [x for last, line in pairs for x in ([""] if last and line[0] != " " else []) + [line]]


def _is_comment(line: str) -> bool:
    return not line.strip() or line.lstrip().startswith("#")


def _written(lines: list[str], change: Callable[[Any], None]) -> list[str]:
    from ruamel.yaml.comments import CommentedMap
    from ruamel.yaml.error import YAMLError

    yaml, out = _yaml(), io.StringIO()
    columns = [len(x) - len(x.lstrip(" ")) for x in lines if not _is_comment(x)]
    yaml.indent(mapping=min((n for n in columns if n), default=2))
    try:
        root = yaml.load("\n".join(lines))
        if root is None:
            out.write("\n".join([*lines, ""]))
            root = CommentedMap()
        change(root)
        if root:
            yaml.dump(root, out)
    except YAMLError as error:
        raise refuse(f"the layout cannot be kept: {error}") from error
    return out.getvalue().removesuffix("\n").split("\n")


def _yaml() -> Any:
    from ruamel.yaml import YAML, resolver

    base: Any = resolver.BaseResolver

    class PlainText(base):  # type: ignore[misc]
        """Takes every plain word for text, written as it was: `yaml_scalars.py` knows what words mean."""

        processing_version = (1, 2)

        def __init__(self, version: Any = None, loader: Any = None, loadumper: Any = None) -> None:
            super().__init__(loadumper or loader)

    yaml: Any = YAML()
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    yaml.Resolver = PlainText
    return yaml

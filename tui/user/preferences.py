"""What people set for themselves: `settings.toml` in the config directory.

Owns its reading. A mistake costs what stands in its line and no more: it is told with file, line and the
nearest name, and the rest applies. Which bindings and themes there are is the app's to know
(`tui/screens/vocabulary.py`); `unknown` compares. Light: the app reads this before its first frame.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

NAME = "settings.toml"
_LONGEST = 1_000_000  # bytes; what is longer was not written by hand
_PATIENCE = 50  # damaged lines that are passed over before the file is given up
_SETS = re.compile(r"""\s*\[?["']?([\w.-]+)["']?\s*[=\]]""")
_AT_LINE = re.compile(r" \(at line (\d+), column \d+\)$")


@dataclass(frozen=True)
class Mistake:
    """One thing in the file that cannot be followed."""

    where: str
    """`settings.toml:7`."""
    message: str
    hint: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" + (f" · {self.hint}" if self.hint else "")


@dataclass(frozen=True)
class Preferences:
    """What the file says, as far as it can be followed."""

    path: Path | None = None
    """Where the file lies, or would."""
    exists: bool = False
    theme: str | None = None
    download_dir: str | None = None
    plain_signs: bool = False
    """Whether signs are to be plain ASCII, for terminals whose font lacks the others."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Binding id → its key or keys, comma separated."""
    mistakes: tuple[Mistake, ...] = ()
    lines: Mapping[str, int] = field(default_factory=dict)
    """Where each value stands."""

    @classmethod
    def read(cls, config_dir: Path) -> Preferences:
        """Read `settings.toml` of a directory. Never raises: what is wrong is among the mistakes."""
        path = config_dir / NAME
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return cls(path)
        except OSError as error:
            reason = error.strerror or str(error)
            return cls(path, True, mistakes=(Mistake(NAME, f"cannot be read: {reason}"),))
        return _Reader(path, raw).preferences()

    def where(self, name: str) -> str:
        """`settings.toml:7` of a value."""
        return f"{NAME}:{self.lines[name]}" if name in self.lines else NAME


def unknown(preferences: Preferences, ids: Iterable[str], themes: Iterable[str]) -> list[Mistake]:
    """What the file names and the app does not have, each with the nearest name."""
    ids, themes = list(ids), list(themes)
    found = [
        Mistake(preferences.where(name), f"there is no key binding {name!r}", _nearest(name, ids))
        for name in preferences.keys
        if name not in ids
    ]
    theme = preferences.theme
    if theme is not None and theme not in themes:
        hint = _nearest(theme, themes)
        found.append(Mistake(preferences.where("theme"), f"there is no theme {theme!r}", hint))
    return found


class _Reader:
    """One reading of the file."""

    def __init__(self, path: Path, raw: bytes) -> None:
        self._path = path
        self._mistakes: list[Mistake] = []
        self._lines: dict[str, int] = {}
        self._text = self._decode(raw)

    def preferences(self) -> Preferences:
        data = self._parse()
        readers = {
            "theme": lambda value: self._text_of("theme", value),
            "download_dir": lambda value: self._text_of("download_dir", value),
            "plain_signs": self._plain_signs,
            "keys": self._keys,
        }
        values = {}
        for name, value in data.items():
            self._lines[name] = self._line_of(name)
            if name in readers:
                values[name] = readers[name](value)
            else:
                self._wrong(name, f"there is no setting {name!r}", _nearest(name, readers))
        kept: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        return Preferences(self._path, True, **kept, mistakes=tuple(self._mistakes), lines=self._lines)

    def _decode(self, raw: bytes) -> str:
        if len(raw) > _LONGEST:
            self._mistakes.append(Mistake(NAME, f"is larger than {_LONGEST:,} bytes, and was not read"))
            return ""
        try:
            return raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            self._mistakes.append(Mistake(f"{NAME}:{line}", "is not UTF-8 text from here on"))
            return raw[: error.start].rpartition(b"\n")[0].decode("utf-8-sig")

    def _parse(self) -> dict[str, Any]:
        """The file without its damaged lines."""
        lines = self._text.replace("\r\n", "\n").split("\n")
        for _ in range(_PATIENCE):
            try:
                return tomllib.loads("\n".join(lines))
            except tomllib.TOMLDecodeError as error:
                at = _AT_LINE.search(str(error))
                # An error at the end of the document belongs to the last line that says something.
                last = max((n for n, line in enumerate(lines, 1) if line.strip()), default=1)
                number = min(int(at[1]), last) if at else last
                message = _AT_LINE.sub("", str(error)).removesuffix(" (at end of document)")
                where = f"{NAME}:{number}"
                self._mistakes.append(Mistake(where, f"is not TOML: {message}", 'as in: theme = "vfm-light"'))
                lines[number - 1] = ""
            except RecursionError:
                break
        self._mistakes.append(Mistake(NAME, "too much of it is not TOML: nothing of it was taken"))
        return {}

    def _line_of(self, name: str) -> int:
        """The line that sets a value; the last part of a dotted name may stand under a header."""
        return self._places.get(name) or self._places.get(name.rpartition(".")[2], 1)

    @cached_property
    def _places(self) -> dict[str, int]:
        """What stands before an equals sign or in a header, and the line where it does first."""
        places: dict[str, int] = {}
        for number, line in enumerate(self._text.splitlines(), 1):
            if found := _SETS.match(line):
                places.setdefault(found[1], number)
        return places

    def _wrong(self, name: str, message: str, hint: str = "") -> None:
        self._mistakes.append(Mistake(f"{NAME}:{self._line_of(name)}", message, hint))

    def _text_of(self, name: str, value: Any) -> str | None:
        if isinstance(value, str) and value:
            return value
        self._wrong(name, f"{name} is {_kind(value)}, not text", f'as in: {name} = "…"')
        return None

    def _plain_signs(self, value: Any) -> bool | None:
        if isinstance(value, bool):
            return value
        self._wrong("plain_signs", f"plain_signs is {_kind(value)}, not true or false")
        return None

    def _keys(self, value: Any) -> dict[str, str] | None:
        if not isinstance(value, dict):
            self._wrong(
                "keys", f"keys is {_kind(value)}, not a table", 'as in: [keys], "runs.open" = "enter"'
            )
            return None
        taken: dict[str, str] = {}
        for name, keys in _flat(value):
            self._lines[name] = self._line_of(name)
            if good := self._good_keys(name, keys):
                taken[name] = ",".join(good)
        return taken

    def _good_keys(self, name: str, value: Any) -> list[str]:
        words = value.split(",") if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            self._wrong(name, f"{name} is {_kind(value)}, not a key", f'as in: "{name}" = "ctrl+k,x"')
            return []
        words = [word.strip() for word in words if word.strip()]
        if not words:
            self._wrong(name, f"{name} names no key: it keeps the one it has")
        for word in words:
            if not is_key(word):
                self._wrong(name, f"there is no key {word!r}", _nearest_key(word))
        return [word for word in words if is_key(word)]


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """`runs.open = "enter"` without quotes is a table in a table: both spellings mean the same."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _kind(value: Any) -> str:
    kinds = {bool: "true or false", int: "a number", float: "a number", str: "text", list: "a list"}
    return (
        "empty" if value == "" else kinds.get(type(value), "a table" if isinstance(value, dict) else "a date")
    )


_MODIFIERS = frozenset({"ctrl", "shift", "alt", "meta", "super", "hyper"})
_WORDS = """
enter escape tab space backspace delete insert home end pageup pagedown up down left right
slash backslash at minus plus underscore hyphen_minus less_than_sign greater_than_sign
"""
_NAMED = frozenset(_WORDS.split()) | {f"f{number}" for number in range(1, 25)}


def is_key(word: str) -> bool:
    """Whether this is how a key is spelled: `x`, `ctrl+k`, `shift+f3`, `question_mark`, `?`."""
    if len(word) == 1:
        return word.isprintable()
    *modifiers, key = word.split("+")
    return _MODIFIERS.issuperset(modifiers) and (_is_character(key) or key in _NAMED)


def _is_character(key: str) -> bool:
    if len(key) == 1:
        return key.isprintable()
    try:
        unicodedata.lookup(key.replace("_", " "))
    except KeyError:
        return False
    return key.islower()


def _nearest_key(word: str) -> str:
    spelled = re.sub(r"^(?:\^|C-|ctrl[- ]|control[-+ ])", "ctrl+", word, flags=re.IGNORECASE).lower()
    return f"did you mean {spelled}?" if is_key(spelled) else _nearest(word, _NAMED)


def _nearest(word: str, names: Iterable[str]) -> str:
    import difflib

    names = sorted(names)
    close = difflib.get_close_matches(word, names, 1, cutoff=0.5)
    if not close:  # `open` for `runs.open`
        close = [name for name in names if word in name.split(".")][:1]
    if close:
        return f"did you mean {close[0]}?"
    return f"there are: {', '.join(names)}" if 0 < len(names) <= 8 else ""

"""The user's `settings.toml`: theme, download directory, plain signs and keys.

Reads the file and checks its values, each mistake with its line. A file that is not TOML is not taken at all;
a value that does not fit is left out. Names of bindings and themes are checked by `tui/user/keymap.py`.
Light: the app reads this before its first frame.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

NAME = "settings.toml"
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
    """The settings that apply, and what is wrong with the others."""

    path: Path | None = None
    """Where the file lies, or would."""
    exists: bool = False
    theme: str | None = None
    download_dir: str | None = None
    plain_signs: bool = False
    """Whether signs are to be plain ASCII, for terminals whose font lacks the others."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Binding id → its key or keys, comma separated, as `App.set_keymap` takes them."""
    mistakes: tuple[Mistake, ...] = ()
    text: str = ""
    """The file as it is written."""

    @classmethod
    def read(cls, config_dir: Path) -> Preferences:
        """Read `settings.toml` of a directory. Never raises: errors become mistakes."""
        path = config_dir / NAME
        try:
            raw = path.read_bytes()
            text = raw.decode("utf-8-sig")
            values, mistakes = _values(text, tomllib.loads(text))
        except FileNotFoundError:
            return cls(path)
        except OSError as error:
            mistake = Mistake(NAME, f"cannot be read: {error.strerror or error}")
        except UnicodeDecodeError as error:
            line = raw.count(b"\n", 0, error.start) + 1
            mistake = Mistake(f"{NAME}:{line}", "is not UTF-8 text: none of the file applies")
        except tomllib.TOMLDecodeError as error:
            mistake = _damage(text, str(error))
        except RecursionError:
            mistake = Mistake(NAME, "is not TOML: nested too deeply")
        else:
            return cls(path, True, **values, mistakes=tuple(mistakes), text=text)
        return cls(path, True, mistakes=(mistake,))

    def where(self, name: str) -> str:
        """`settings.toml:7` of a value."""
        return _where(self.text, name)


def unknown(preferences: Preferences, ids: Iterable[str], themes: Iterable[str]) -> list[Mistake]:
    """Bindings and themes that the file names and the app does not have, with the nearest name."""
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


def _damage(text: str, message: str) -> Mistake:
    at = _AT_LINE.search(message)
    # An error at the end of the document belongs to the last line that is not empty.
    last = text.rstrip().count("\n") + 1
    line = min(int(at[1]), last) if at else last
    message = _AT_LINE.sub("", message).removesuffix(" (at end of document)")
    return Mistake(f"{NAME}:{line}", f"is not TOML: {message}: none of the file applies")


def _where(text: str, name: str) -> str:
    """The line that sets a value; the last part of a dotted name may stand under a header."""
    for word in (name, name.rpartition(".")[2]):
        found = re.search(rf"""^[ \t]*\[?["']?{re.escape(word)}["']?[ \t]*[=\]]""", text, re.MULTILINE)
        if found:
            return f"{NAME}:{text.count(chr(10), 0, found.start()) + 1}"
    return NAME


def _values(text: str, data: Mapping[str, Any]) -> tuple[dict[str, Any], list[Mistake]]:
    """The values that fit, and the mistakes of the others."""
    values: dict[str, Any] = {}
    mistakes: list[Mistake] = []
    readers = {"theme": _text, "download_dir": _text, "plain_signs": _switch}
    for name, value in data.items():
        try:
            if name == "keys":
                values["keys"], wrong = _keys(text, value)
                mistakes += wrong
            elif name in readers:
                values[name] = readers[name](name, value)
            else:
                raise _WrongError(f"there is no setting {name!r}", _nearest(name, [*readers, "keys"]))
        except _WrongError as error:
            mistakes.append(Mistake(_where(text, name), *error.args))
    return values, mistakes


class _WrongError(Exception):
    """A value that does not fit: what is wrong, and a hint."""


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise _WrongError(f"{name} is {_kind(value)}, not text", f'as in: {name} = "…"')
    return value


def _switch(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _WrongError(f"{name} is {_kind(value)}, not true or false")
    return value


def _keys(text: str, table: Any) -> tuple[dict[str, str], list[Mistake]]:
    if not isinstance(table, dict):
        raise _WrongError(f"keys is {_kind(table)}, not a table", 'as in: [keys], "runs.open" = "enter"')
    keys: dict[str, str] = {}
    mistakes: list[Mistake] = []
    for name, value in _flat(table):
        words = value.split(",") if isinstance(value, str) else value
        if not isinstance(words, list) or not all(isinstance(word, str) for word in words):
            hint = f'as in: "{name}" = "ctrl+k,x"'
            mistakes.append(Mistake(_where(text, name), f"{name} is {_kind(value)}, not a key", hint))
            continue
        words = [word.strip() for word in words if word.strip()]
        if not words:
            mistakes.append(Mistake(_where(text, name), f"{name} names no key: it keeps the one it has"))
        for word in words:
            if not is_key(word):
                mistakes.append(Mistake(_where(text, name), f"there is no key {word!r}", _nearest_key(word)))
        if good := [word for word in words if is_key(word)]:
            keys[name] = ",".join(good)
    return keys, mistakes


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

"""What `settings.toml` may name: every key binding of the app with its keys, and every theme.

Collected by `tui/list_bindings.py` in a process of its own, since that imports every widget.
What the user wrote is read by `tui/user/preferences.py`.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from remote.contract.json_text import from_json
from tui.user.preferences import Mistake, Preferences, unknown

_DEADLINE = 60.0  # seconds; on a machine under load importing everything may take ten


@dataclass(frozen=True)
class KnownBinding:
    """One binding that users can give other keys."""

    id: str
    keys: str
    """Comma separated, as it is without anybody's wishes."""
    description: str
    places: tuple[str, ...] = ()
    """The widgets and screens that have it; what is the app's works everywhere."""


@dataclass(frozen=True)
class Vocabulary:
    """All names, sorted."""

    bindings: tuple[KnownBinding, ...]
    themes: tuple[str, ...]

    @property
    def ids(self) -> list[str]:
        """The bindings' names."""
        return [binding.id for binding in self.bindings]


def ask() -> Vocabulary:
    """The same, found by another process: takes a second, and none of this one's time. Raises `OSError`."""
    command = [sys.executable, "-m", "tui.list_bindings", "--json"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=_DEADLINE, check=True)
    except subprocess.SubprocessError as error:
        said = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        raise OSError(f"the app's names could not be listed: {said[-1] if said else error}") from None
    data = from_json(done.stdout)
    bindings = tuple(
        KnownBinding(b["id"], b["keys"], b["description"], tuple(b["places"])) for b in data["bindings"]
    )
    return Vocabulary(bindings, tuple(data["themes"]))


def mistakes(wished: Preferences, vocabulary: Vocabulary) -> list[Mistake]:
    """What the file names and the app does not have, and keys that it gives to two things at once."""
    return [*unknown(wished, vocabulary.ids, vocabulary.themes), *_clashes(wished, vocabulary)]


def _clashes(wished: Preferences, vocabulary: Vocabulary) -> Iterator[Mistake]:
    now = {
        binding: set((wished.keys.get(binding.id) or binding.keys).split(","))
        for binding in vocabulary.bindings
    }
    for mine in vocabulary.bindings:
        for other in vocabulary.bindings if mine.id in wished.keys else ():
            told_already = other.id in wished.keys and other.id <= mine.id
            if not told_already and other != mine and _meet(mine, other):
                for key in sorted(now[mine] & now[other]):
                    both = " and ".join(f"“{b.description}” ({b.id})" for b in (mine, other))
                    yield Mistake(
                        wished.where(mine.id), f"{key} is now both {both}", "only one of them gets it"
                    )


def _meet(one: KnownBinding, other: KnownBinding) -> bool:
    """Whether both are asked at the same place."""
    return bool({*one.places} & {*other.places}) or "VfmApp" in {*one.places, *other.places}


def template(vocabulary: Vocabulary, wished: Preferences) -> str:
    """A `settings.toml` that changes nothing yet, with everything that it can change.

    What the user has set already stands in it as it is set.
    """
    width = max((len(f'# "{b.id}" = "{b.keys}"') for b in vocabulary.bindings), default=0)
    lines = [
        "# What vfm-tui does your way. Take the leading # from a line, change it, and start vfm-tui again.",
        "",
        _line("theme", wished.theme, "vfm-dark"),
        f"# Themes: {', '.join(vocabulary.themes)}",
        _line("download_dir", wished.download_dir, "downloads"),
        _line("plain_signs", wished.plain_signs or None, False),
        "",
        '# Several keys are separated by commas: "ctrl+k,x". Names are Textual\'s: enter, pageup, f3,',
        "# shift+tab, question_mark; a character stands for itself. F1 in the app shows what works where.",
        "[keys]",
    ]
    area = ""
    for binding in vocabulary.bindings:
        if binding.id.partition(".")[0] != area:
            area = binding.id.partition(".")[0]
            lines += ["", f"# {area}"]
        wish = wished.keys.get(binding.id)
        text = f"{_quoted(binding.id)} = {_quoted(wish or binding.keys)}"
        lines.append(f"{text if wish else '# ' + text:{width}}  # {binding.description}".rstrip(" #"))
    return "\n".join(lines) + "\n"


def _line(name: str, wish: Any, usual: Any) -> str:
    value = usual if wish is None else wish
    text = f"{name} = {str(value).lower() if isinstance(value, bool) else _quoted(value)}"
    return f"# {text}" if wish is None else text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a basic string of TOML

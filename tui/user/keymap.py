"""The names that `settings.toml` may use: every key binding of the app with its keys, and every theme.

`tui/list_bindings.py` collects them in a process of its own, since that imports every widget.
`tui/user/preferences.py` reads the file.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from remote.contract.json_text import from_json
from tui.settings import PACKAGES
from tui.user.preferences import Mistake, Preferences, unknown

_DEADLINE = 60.0  # seconds; on a machine under load importing everything may take ten


@dataclass(frozen=True)
class KnownBinding:
    """A binding that users can give other keys."""

    id: str
    keys: str
    """Its default keys, comma separated."""
    description: str
    places: tuple[str, ...] = ()
    """The classes of widgets and screens that have it; a binding of `VfmApp` works everywhere."""


@dataclass(frozen=True)
class KnownNames:
    """All bindings and themes, sorted by name."""

    bindings: tuple[KnownBinding, ...]
    themes: tuple[str, ...]

    @property
    def ids(self) -> list[str]:
        """Ids of the bindings."""
        return [binding.id for binding in self.bindings]


def list_names() -> KnownNames:
    """Run `tui/list_bindings.py` as a process. Takes a second or more. Raises `OSError`."""
    command = [sys.executable, "-m", "tui.list_bindings", "--json"]
    try:
        # cwd: a folder called tui where the user works would be imported in place of this one.
        done = subprocess.run(command, cwd=PACKAGES, capture_output=True, timeout=_DEADLINE, check=True)
    except subprocess.SubprocessError as error:
        lines = (getattr(error, "stderr", None) or b"").decode(errors="replace").strip().splitlines()
        cause = lines[-1] if lines else error
        raise OSError(f"the app's key bindings could not be listed: {cause}") from None
    data = from_json(done.stdout)
    bindings = tuple(
        KnownBinding(b["id"], b["keys"], b["description"], tuple(b["places"])) for b in data["bindings"]
    )
    return KnownNames(bindings, tuple(data["themes"]))


def mistakes(preferences: Preferences, known: KnownNames) -> list[Mistake]:
    """Names that the app does not have, and keys that two bindings of one place would share."""
    return [*unknown(preferences, known.ids, known.themes), *_clashes(preferences, known)]


def _clashes(preferences: Preferences, known: KnownNames) -> Iterator[Mistake]:
    keys = {b.id: {*(preferences.keys.get(b.id) or b.keys).split(",")} for b in known.bindings}
    for first, second in combinations(known.bindings, 2):
        changed = [binding for binding in (first, second) if binding.id in preferences.keys]
        if not changed or not _share_a_place(first, second):
            continue
        pair = [*changed, *(binding for binding in (first, second) if binding not in changed)]
        both = " and ".join(f"“{b.description}” ({b.id})" for b in pair)
        for key in sorted(keys[first.id] & keys[second.id]):
            where = preferences.where(changed[0].id)
            yield Mistake(where, f"{key} is now both {both}", "only one of them gets it")


def _share_a_place(first: KnownBinding, second: KnownBinding) -> bool:
    return bool({*first.places} & {*second.places}) or "VfmApp" in (*first.places, *second.places)


def template(known: KnownNames, preferences: Preferences) -> str:
    """A `settings.toml` with every setting: the user's as they are set, the others as comments."""
    width = max((len(f'# "{b.id}" = "{b.keys}"') for b in known.bindings), default=0)
    lines = [
        "# Settings of vfm-tui. Remove the leading # from a line, change it, and start vfm-tui again.",
        "",
        _line("theme", preferences.theme, "vfm-dark"),
        f"# Themes: {', '.join(known.themes)}",
        _line("download_dir", preferences.download_dir, "downloads"),
        _line("plain_signs", preferences.plain_signs or None, False),
        "",
        '# Several keys are separated by commas: "ctrl+k,x". Names are Textual\'s: enter, pageup, f3,',
        "# shift+tab, question_mark; a character stands for itself. F1 in the app shows what works where.",
        "[keys]",
    ]
    area = ""
    for binding in known.bindings:
        if binding.id.partition(".")[0] != area:
            area = binding.id.partition(".")[0]
            lines += ["", f"# {area}"]
        chosen = preferences.keys.get(binding.id)
        text = f"{_quoted(binding.id)} = {_quoted(chosen or binding.keys)}"
        lines.append(f"{text if chosen else '# ' + text:{width}}  # {binding.description}".rstrip(" #"))
    return "\n".join(lines) + "\n"


def _line(name: str, chosen: Any, default: Any) -> str:
    value = default if chosen is None else chosen
    text = f"{name} = {str(value).lower() if isinstance(value, bool) else _quoted(value)}"
    return f"# {text}" if chosen is None else text


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)  # a basic string of TOML

"""List every key binding of the app with its keys, and every theme: `python -m tui.list_bindings [--json]`.

It imports all widgets and screens, which takes a second; `tui/user/keymap.py` runs it as a process.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from types import ModuleType

from tui.user.keymap import KnownBinding, KnownNames


def collect() -> KnownNames:
    """Import the app, its screens and its widgets, and list their bindings."""
    app = importlib.import_module("tui.app")
    found: dict[str, KnownBinding] = {}
    for module in [app, *_modules("tui.screens"), *_modules("tui.widgets")]:
        for binding in _bindings(module):
            known = found.get(binding.id, binding)
            found[binding.id] = replace(known, places=tuple(sorted({*known.places, *binding.places})))
    themes = importlib.import_module("textual.theme").BUILTIN_THEMES
    ours = importlib.import_module("tui.themes")
    names = {*themes, ours.DARK.name, ours.LIGHT.name}
    return KnownNames(tuple(found[name] for name in sorted(found)), tuple(sorted(names)))


def _modules(package: str) -> Iterator[ModuleType]:
    """The modules of a package; one that cannot be imported is named on stderr and skipped."""
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        try:
            yield importlib.import_module(found.name)
        except ImportError as error:
            print(f"{found.name} cannot be imported: {error}", file=sys.stderr)


def _bindings(module: ModuleType) -> Iterable[KnownBinding]:
    """The bindings with an id of the classes that a module defines, inherited ones included."""
    for cls in vars(module).values():
        if not isinstance(cls, type) or cls.__module__ != module.__name__:
            continue
        for binding in (binding for base in cls.__mro__ for binding in vars(base).get("BINDINGS", ())):
            if getattr(binding, "id", None):
                keys = re.sub(r"\s", "", binding.key)
                yield KnownBinding(binding.id, keys, binding.description, (cls.__name__,))


def main() -> None:
    """Print the names, for people or (`--json`) for `list_names`."""
    known = collect()
    if "--json" in sys.argv:
        print(json.dumps(asdict(known)))
    else:
        for binding in known.bindings:
            print(f"{binding.id:28} {binding.keys:20} {binding.description}")


if __name__ == "__main__":
    main()

"""What the app remembers between sessions: layouts, sort orders, filters, the theme.

Owns one small JSON file under the user's data directory. What users write themselves is `settings`';
losing this file costs nobody more than a few key presses, so a damaged one is begun anew.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

from remote.contract.json_text import from_json
from tui.settings import make_private


class UiState:
    """Values by name, written at once. Without a folder nothing outlives the process."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        """Where whatever the app keeps for itself may lie."""
        self._values = self._read()

    def get(self, name: str, default: Any = None) -> Any:
        """What was remembered under a name."""
        return self._values.get(name, default)

    def put(self, name: str, value: Any) -> None:
        """Remember a JSON value; a disk that refuses it only shortens the memory."""
        if self._values.get(name, ...) != value:
            self._values[name] = value
            with suppress(OSError):
                self._write()

    @property
    def _path(self) -> Path | None:
        return self.folder / "memory.json" if self.folder else None

    def _read(self) -> dict[str, Any]:
        try:
            found = from_json(self._path.read_bytes()) if self._path else {}
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self) -> None:
        if self._path is None:
            return
        make_private(self._path.parent)
        part = self._path.with_suffix(".part")
        part.write_text(json.dumps(self._values, indent=1))
        os.replace(part, self._path)

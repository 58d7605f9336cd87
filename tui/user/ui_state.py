"""State of the app that outlives a session: layouts, sort orders, filters, the theme.

One small JSON file under the user's data directory. A damaged one is started afresh: nothing in it is worth
more than a few key presses.
"""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any

from remote.contract.json_text import from_json
from tui.private_files import write_private


class UiState:
    """Values by name, written at once. Without a folder nothing outlives the process."""

    def __init__(self, folder: Path | None = None) -> None:
        self.folder = folder
        """The app's own folder; None in tests and where there is no home."""
        self._values = self._read()

    def get(self, name: str, default: Any = None) -> Any:
        """The value under a name."""
        return self._values.get(name, default)

    def put(self, name: str, value: Any) -> None:
        """Set a JSON value and write the file; an `OSError` is ignored."""
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
        if self._path is not None:
            write_private(self._path, json.dumps(self._values, indent=1))

"""A terminal inside tmux: keys go in, the screen is read as a person sees it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.waiting import block_until

TMUX = shutil.which("tmux")
PROMPT = "ready> "


class Tmux:
    """A shell in a window of a tmux server of its own, which nothing else shares."""

    def __init__(self, folder: Path, env: Mapping[str, str], cwd: Path, size: tuple[int, int]) -> None:
        self._socket, self._env = folder / "tmux", {**env, "COLORTERM": "truecolor"}
        columns, rows = map(str, size)
        self._do(
            "-f",
            "/dev/null",
            "start-server",
            ";",
            "set",
            "-g",
            "default-terminal",
            "tmux-256color",
            ";",
            "new-session",
            "-d",
            "-x",
            columns,
            "-y",
            rows,
            "-c",
            str(cwd),
            "env",
            f"PS1={PROMPT}",
            "sh",
        )

    def press(self, *keys: str) -> None:
        """Keys by tmux's names: `Enter`, `Escape`, `C-q`, `Down`, `a`."""
        self._do("send-keys", *keys)

    def type(self, text: str) -> None:
        """Text, key by key as it stands."""
        self._do("send-keys", "-l", text)

    def run(self, command: str) -> None:
        """A line for the shell."""
        self.type(command)
        self.press("Enter")

    def screen(self) -> str:
        """What is on the screen now."""
        return self._do("capture-pane", "-p")

    def until(self, pattern: str, seconds: float = 60) -> str:
        """Look until a regular expression is on the screen; returns the screen, or fails showing it."""
        return self._await(pattern, seconds, there=True)

    def until_gone(self, pattern: str, seconds: float = 60) -> str:
        """Look until a regular expression is nowhere on the screen."""
        return self._await(pattern, seconds, there=False)

    def press_until(self, key: str, pattern: str, times: int = 60, seconds: float = 3) -> str:
        """Press a key, look, press it again: until a regular expression is on the screen."""
        for _ in range(times):
            self.press(key)
            try:
                return self.until(pattern, seconds)
            except AssertionError:
                continue
        raise AssertionError(f"{times} x {key} did not bring {pattern!r}:\n{self.screen()}")

    def close(self) -> None:
        """End the server and whatever runs in it."""
        self._do("kill-server")

    def _await(self, pattern: str, seconds: float, *, there: bool) -> str:
        def seen() -> str:
            screen = self.screen()
            return screen if bool(re.search(pattern, screen, re.M)) is there else ""

        what = f"{pattern!r} to {'come' if there else 'go'}"
        return block_until(seen, what, seconds=seconds, shows=self.screen)

    def _do(self, *words: str) -> str:
        command = [TMUX or "tmux", "-S", str(self._socket), *words]
        return subprocess.run(
            command, check=True, capture_output=True, text=True, env=self._env, timeout=30
        ).stdout

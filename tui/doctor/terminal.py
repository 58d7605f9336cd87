"""What the terminal can do: colours, characters, the clipboard."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping

from tui.doctor.finding import SIGNS, Result, Surroundings

_TMUX_ANSWER = 5.0  # seconds; tmux answers within milliseconds, or hangs


def look(around: Surroundings) -> Result:
    """All of it, as the gravest of the results with the details of each."""
    if around.size is None:
        return Result("ok", "no terminal here")
    results = [_colours(around.environ), _characters(around), clipboard(around)]
    gravest = min(results, key=lambda result: [*SIGNS].index(result.state))
    command = next((r.command for r in results if r.state == gravest.state and r.command), "")
    return Result(gravest.state, "\n".join(result.detail for result in results), command)


def _colours(env: Mapping[str, str]) -> Result:
    term = env.get("TERM", "")
    if "NO_COLOR" in env:
        return Result("ok", "no colours, since NO_COLOR is set: signs and words take their place")
    if not term or term in ("dumb", "unknown"):
        detail = f"TERM is {term or 'not set'}: the app may not be drawn at all"
        return Result("problem", detail, "export TERM=xterm-256color")
    if env.get("COLORTERM") in ("truecolor", "24bit") or "direct" in term or "kitty" in term:
        return Result("ok", f"16 million colours (TERM={term})")
    if "256color" in term:
        fix = "tmux set -as terminal-features ',*:RGB' && " if "TMUX" in env else ""
        detail = f"256 colours (TERM={term}); if the terminal has more, set COLORTERM"
        return Result("ok", detail, f"{fix}export COLORTERM=truecolor")
    detail = f"8 or 16 colours (TERM={term}): the theme “ansi-dark” uses the terminal's own"
    return Result("note", detail, "export TERM=xterm-256color")


def _characters(around: Surroundings) -> Result:
    env = around.environ
    locale = env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG") or ""
    if "utf8" in (locale + around.encoding).lower().replace("-", ""):
        return Result("ok", f"UTF-8 ({locale or around.encoding})")
    detail = f"the locale is {locale or 'not set'}: signs, frames and charts may show as question marks"
    return Result("note", detail, "export LANG=C.UTF-8")


def clipboard(around: Surroundings) -> Result:
    """Whether copied text reaches the clipboard: it is sent as an escape sequence (OSC 52), over ssh too."""
    env = around.environ
    if "TMUX" in env:
        if (option := _tmux_clipboard()) == "on":
            return Result("ok", "tmux passes copied text on to the terminal (OSC 52)")
        detail = f"tmux keeps copied text to itself (set-clipboard is {option or 'unknown'})"
        return Result("note", detail, "tmux set -s set-clipboard on")
    if "STY" in env:
        return Result("note", "GNU screen does not pass copied text on: save to a file, or use tmux")
    if env.get("TERM_PROGRAM") == "Apple_Terminal":
        return Result("note", "Terminal.app accepts no clipboard from a program (OSC 52)")
    return Result("ok", "copied text reaches the clipboard where the terminal allows it (OSC 52)")


def _tmux_clipboard() -> str:
    tmux = shutil.which("tmux")
    if tmux is None:
        return ""
    command = [tmux, "show-options", "-sv", "set-clipboard"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_TMUX_ANSWER, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()

"""What the terminal can do: colours, characters, room, the clipboard."""

from __future__ import annotations

import shutil
import subprocess

from tui.doctor.finding import Finding, Surroundings

_COLUMNS, _ROWS = 80, 24
_PATIENCE = 5.0  # seconds; tmux answers within milliseconds, or hangs
# Terminals that are known to take no clipboard from a program.
_NO_CLIPBOARD = {"Apple_Terminal": "Terminal.app"}


def colours(around: Surroundings) -> Finding:
    """How many colours the terminal says that it has."""
    title, env = "colours", around.environ
    term = env.get("TERM", "")
    if around.size is None:
        return Finding("colours", title, "ok", "there is no terminal here")
    if "NO_COLOR" in env:
        return Finding(
            "colours", title, "ok", "none, since NO_COLOR is set: signs and words tell what colours would"
        )
    if not term or term in ("dumb", "unknown"):
        told = f"TERM is {term or 'not set'}: the app may not be drawn at all"
        return Finding("colours", title, "problem", told, "export TERM=xterm-256color")
    if env.get("COLORTERM") in ("truecolor", "24bit") or "direct" in term or "kitty" in term:
        return Finding("colours", title, "ok", f"16 million (TERM={term})")
    if "256color" in term or env.get("TERM_PROGRAM") == "Apple_Terminal":
        told = f"256 (TERM={term}): the nearest ones are taken"
        if "TMUX" in env:
            told += "\ntmux passes on more where it is told that the terminal has them"
            fix = "tmux set -as terminal-features ',*:RGB' && export COLORTERM=truecolor"
            return Finding("colours", title, "ok", told, fix)
        told += "\nif your terminal has more, say so"
        return Finding("colours", title, "ok", told, "export COLORTERM=truecolor")
    told = (
        f"8 or 16 (TERM={term}): themes look coarse; the theme “ansi-dark” takes your terminal's own colours"
    )
    return Finding("colours", title, "note", told, "export TERM=xterm-256color")


def text(around: Surroundings) -> Finding:
    """Whether the terminal is said to take UTF-8."""
    title, env = "characters", around.environ
    locale = env.get("LC_ALL") or env.get("LC_CTYPE") or env.get("LANG") or ""
    if "utf8" in (locale + around.encoding).lower().replace("-", ""):
        return Finding("text", title, "ok", f"UTF-8 ({locale or around.encoding})")
    told = (
        f"the locale is {locale or 'not set'}, so signs, frames and charts may come out as question marks"
        "\n`plain_signs = true` in settings.toml helps where a font lacks signs"
    )
    return Finding("text", title, "note", told, "export LANG=C.UTF-8")


def size(around: Surroundings) -> Finding:
    """Columns and rows."""
    title = "terminal size"
    if around.size is None:
        return Finding("size", title, "ok", "there is no terminal here")
    columns, rows = around.size
    told = f"{columns} × {rows}"
    if columns < _COLUMNS or rows < _ROWS:
        told += f": the app is made for {_COLUMNS} × {_ROWS} and more; parts of it will be cut off"
        return Finding("size", title, "note", told)
    return Finding("size", title, "ok", told)


def clipboard(around: Surroundings) -> Finding:
    """Copying travels to the terminal as an escape sequence (OSC 52), over ssh too."""
    title, env = "clipboard", around.environ
    if "TMUX" in env:
        return _tmux()
    if "STY" in env:
        told = "GNU screen does not pass on what the app copies: save to a file instead, or use tmux"
        return Finding("clipboard", title, "note", told)
    if name := _NO_CLIPBOARD.get(env.get("TERM_PROGRAM", "")):
        return Finding("clipboard", title, "note", f"{name} takes no clipboard from a program (OSC 52)")
    far = " over ssh" if "SSH_CONNECTION" in env else ""
    told = f"copying reaches your terminal's clipboard{far} where the terminal allows it (OSC 52)"
    return Finding("clipboard", title, "ok", told)


def _tmux() -> Finding:
    """tmux keeps what the app copies to itself unless `set-clipboard` is on."""
    found = _tmux_option("set-clipboard")
    if found == "on":
        return Finding("clipboard", "clipboard", "ok", "tmux passes on what the app copies (OSC 52)")
    told = f"tmux keeps what the app copies to itself (set-clipboard is {found or 'unknown'})"
    return Finding("clipboard", "clipboard", "note", told, "tmux set -s set-clipboard on")


def _tmux_option(name: str) -> str:
    tmux = shutil.which("tmux")
    if tmux is None:
        return ""
    try:
        asked = [tmux, "show-options", "-sv", name]
        done = subprocess.run(asked, capture_output=True, text=True, timeout=_PATIENCE, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()

"""Whether the user is signed in to Modal, by the files and variables of this machine alone.

Owns reading Modal's file of profiles without importing Modal. Whether the server agrees shows with the first
request.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

TOKENS = ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET")
_OAUTH = "oauth_refresh_token"


def describe(secrets: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """By what the user is signed in, or an empty string.

    secrets: those of `.env`. environ: as `tui.settings.surroundings` returns it.
    """
    if all(name in environ or name in secrets for name in TOKENS):
        return "signed in by MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
    path = Path(environ.get("MODAL_CONFIG_PATH") or "~/.modal.toml").expanduser()
    try:
        profiles = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""  # missing, or a file that Modal cannot read either
    environment = environ.get("MODAL_ENVIRONMENT", "")
    whole = {
        n: p for n, p in profiles.items() if isinstance(p, dict) and (p.get("token_id") or p.get(_OAUTH))
    }
    chosen = environ.get("MODAL_PROFILE")  # Modal prefers it to the file's choice, too
    first = next(iter(whole), "")
    active = chosen or next((name for name, profile in whole.items() if profile.get("active")), first)
    if active not in whole:
        return ""
    environment = environment or str(whole[active].get("environment") or "")
    by = f"profile {active}" + (", as MODAL_PROFILE says" if chosen else "")
    return f"signed in by {path}, {by}" + (f", environment {environment}" if environment else "")

"""Whether this user is signed in to Modal, by what lies on this machine: nobody is asked, nothing imported.

Owns reading Modal's own file of profiles. Whether the server agrees shows with the first question.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

TOKENS = ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET")
_OAUTH = "oauth_refresh_token"


def how(secrets: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """How Modal would know who this is, in words; empty where it would not.

    `secrets` are those of `.env`; `environ` is what `tui.settings.surroundings` says.
    """
    if all(name in environ or name in secrets for name in TOKENS):
        return "signed in by MODAL_TOKEN_ID and MODAL_TOKEN_SECRET"
    path = Path(environ.get("MODAL_CONFIG_PATH") or "~/.modal.toml").expanduser()
    try:
        profiles = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""  # a file that is not there, or that Modal cannot read either
    environment = environ.get("MODAL_ENVIRONMENT", "")
    whole = {
        n: p for n, p in profiles.items() if isinstance(p, dict) and (p.get("token_id") or p.get(_OAUTH))
    }
    chosen = environ.get("MODAL_PROFILE")  # before the file's own choice, as Modal has it
    first = next(iter(whole), "")
    active = chosen or next((name for name, profile in whole.items() if profile.get("active")), first)
    if active not in whole:
        return ""
    environment = environment or str(whole[active].get("environment") or "")
    by = f"profile {active}" + (", as MODAL_PROFILE says" if chosen else "")
    return f"signed in by {path}, {by}" + (f", environment {environment}" if environment else "")

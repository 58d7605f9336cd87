"""Checks of what users set up: `.env`, configs, environments, `settings.toml`."""

from __future__ import annotations

import shlex
from pathlib import Path

from remote.contract import layout
from remote.contract.errors import VfmError
from tui.doctor.finding import Result, Surroundings
from tui.doctor.machine import readable_by_others
from tui.settings import KNOWN_SECRETS, NoProject, Settings
from tui.text.format import counted


def env(around: Surroundings) -> Result:
    """`.env`: readable, which names it and the process set (never a value), and the volumes of the user."""
    path = around.project_dir / ".env"
    if isinstance(around.error, NoProject):
        return Result("note", "unknown without a project")
    if around.settings is None:
        return Result("problem", str(around.error))
    settings, edit = around.settings, f"$EDITOR {_quoted(path)}"
    detail = _names_set(settings)
    try:
        outputs = layout.outputs_volume(settings.experimenter, settings.experiment)
        cache = layout.cache_volume(settings.experimenter, settings.experiment)
    except VfmError as error:
        return Result("problem", f"{error}\n{detail}", edit)
    detail += f"\nruns go to {outputs}, models to {cache}"
    copy = f"install -m 600 {_quoted(around.project_dir / '.env.example')} {_quoted(path)}"
    if not settings.env_file_exists:
        detail = f"there is no {path}: a run on Modal is refused without it\n{detail}"
        exists = (around.project_dir / ".env.example").is_file()
        return Result("note", detail, copy if exists else "", act="env" if exists else "")
    if settings.notices:
        return Result("problem", "\n".join([*settings.notices, detail]), edit)
    if readers := readable_by_others(path):
        return Result("note", f"{readers} can read {path}\n{detail}", f"chmod 600 {_quoted(path)}")
    if not settings.env_file_names:
        return Result(
            "note", f"{path} is empty: a run on Modal is refused until it sets a name\n{detail}", copy
        )
    if "default" in (settings.experimenter, settings.experiment):
        detail = f"EXPERIMENTER and EXPERIMENT_NAME name your volumes: set both\n{detail}"
        return Result("note", detail, edit)
    return Result("ok", detail)


def _names_set(settings: Settings) -> str:
    known = [name for name in KNOWN_SECRETS if name in settings.secrets]
    others = len(settings.secrets) - len(known)
    line = f"set: {', '.join(known) or 'none of the known keys'}" + (f" and {others} more" if others else "")
    missing = [name for name in ("WANDB_API_KEY", "HF_TOKEN", "OPENAI_API_KEY") if name not in known]
    return (
        f"{line}\nnot set: {', '.join(missing)} (a run on this machine needs none of them)"
        if missing
        else line
    )


def project(around: Surroundings) -> Result:
    """The configs and environments of the project."""
    from tui.config.yaml_files import list_configs
    from tui.planning.environments import list_environments

    if isinstance(around.error, NoProject):
        return Result("problem", str(around.error), "vfm init vfm-project")
    folder = around.project_dir
    configs, environments = list_configs(folder / "configs"), list_environments(folder)
    names = f": {', '.join(environments)}" if environments else ""
    detail = (
        f"{counted(len(configs), 'config')} in {folder / 'configs'}\n"
        f"{counted(len(environments), 'environment')} in {folder / 'environments'}{names}"
    )
    lacking = [name for name, found in (("a config", configs), ("an environment", environments)) if not found]
    if lacking:
        detail += f"\nwithout {' and '.join(lacking)} nothing can be launched"
        return Result("problem", detail, f"git -C {_quoted(folder)} status")
    return Result("ok", detail)


def settings(around: Surroundings) -> Result:
    """`settings.toml` and its mistakes; the app's key bindings are listed by another process, if needed."""
    from tui.user.keymap import list_names, mistakes
    from tui.user.preferences import Preferences

    preferences, path = Preferences.read(around.config_dir), around.config_dir / "settings.toml"
    if not preferences.exists:
        return Result("ok", f"there is no {path}: keys and colours are the default ones", act="settings")
    found = list(preferences.mistakes)
    if preferences.keys or preferences.theme:
        found += mistakes(preferences, list_names())
    if found:
        return Result("problem", "\n".join([f"in {path}:", *map(str, found)]), f"$EDITOR {_quoted(path)}")
    keys = f"{len(preferences.keys)} keys of your own" if preferences.keys else "no keys of your own"
    return Result("ok", f"{path}: {keys}, theme {preferences.theme or 'as chosen last'}")


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))

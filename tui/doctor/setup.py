"""What people set up themselves: `.env`, names, configs, environments, `settings.toml`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from remote.contract import layout
from remote.contract.errors import VfmError
from tui.doctor.finding import Finding, Surroundings
from tui.doctor.machine import readable_by_others
from tui.settings import KNOWN_SECRETS, NoProject


def env(around: Surroundings) -> Finding:
    """`.env`: there, readable, and which of the known names it or the process sets. Never a value."""
    title, path = ".env", around.project_dir / ".env"
    if isinstance(around.error, NoProject):
        return Finding("env", title, "note", "unknown while there is no project")
    if around.error is not None:
        return Finding("env", title, "problem", str(around.error))
    settings = around.settings
    assert settings is not None
    known = [name for name in KNOWN_SECRETS if name in settings.secrets]
    more = len(settings.secrets) - len(known)
    detail = f"set: {', '.join(known) or 'none of the known keys'}" + (f" and {more} more" if more else "")
    missing = [n for n in ("WANDB_API_KEY", "HF_TOKEN", "OPENAI_API_KEY") if n not in known]
    if missing:
        detail += f"\nnot set: {', '.join(missing)} (a run on this machine needs none of them)"
    if not settings.env_file_exists:
        return _no_env(around, f"a run on Modal is refused without it\n{detail}")
    if settings.notices:
        return Finding(
            "env", title, "problem", "\n".join([*settings.notices, detail]), f"$EDITOR {_quoted(path)}"
        )
    if readers := readable_by_others(path):
        told = f"{path} can be read by {readers}\n{detail}"
        return Finding("env", title, "note", told, f"chmod 600 {_quoted(path)}")
    if not settings.env_file_names:
        told = f"{path} is empty: a run on Modal is refused until it names something\n{detail}"
        example = around.project_dir / ".env.example"
        return Finding("env", title, "note", told, f"install -m 600 {_quoted(example)} {_quoted(path)}")
    return Finding("env", title, "ok", detail)


def _no_env(around: Surroundings, detail: str) -> Finding:
    path, example = around.project_dir / ".env", around.project_dir / ".env.example"
    told = f"there is no {path}: names and keys come from the process environment alone\n{detail}"
    if not example.is_file():
        return Finding("env", ".env", "note", told)
    return Finding(
        "env", ".env", "note", told, f"install -m 600 {_quoted(example)} {_quoted(path)}", act="env"
    )


def names(around: Surroundings) -> Finding:
    """EXPERIMENTER and EXPERIMENT_NAME, and the volumes that follow from them."""
    title, settings = "your names", around.settings
    if settings is None:
        return Finding("names", title, "note", "unknown while .env cannot be read")
    edit = f"$EDITOR {_quoted(around.project_dir / '.env')}"
    try:
        outputs = layout.outputs_volume(settings.experimenter, settings.experiment)
        cache = layout.cache_volume(settings.experimenter, settings.experiment)
    except VfmError as error:
        return Finding("names", title, "problem", str(error), edit)
    who = f"{settings.experimenter} / {settings.experiment}: runs go to {outputs}, models to {cache}"
    unset = [
        name
        for name, value in (
            ("EXPERIMENTER", settings.experimenter),
            ("EXPERIMENT_NAME", settings.experiment),
        )
        if value == "default"
    ]
    if unset:
        told = f"{who}\n{' and '.join(unset)} {'is' if len(unset) == 1 else 'are'} not set"
        return Finding("names", title, "note", f"{told}: name yourself before you share a machine", edit)
    return Finding("names", title, "ok", who)


def project(around: Surroundings) -> Finding:
    """What there is to train with."""
    from tui.config.yaml_files import list_configs
    from tui.planning.environments import list_environments

    title, folder = "configs", around.project_dir
    if isinstance(around.error, NoProject):
        return Finding("project", title, "problem", str(around.error), "vfm init vfm-project")
    configs = [path.name for path in list_configs(folder / "configs")]
    environments = list_environments(folder)
    lines = [
        f"{_count(configs, 'config')} in {folder / 'configs'}",
        f"{_count(environments, 'environment')} in {folder / 'environments'}"
        + (f": {', '.join(environments)}" if environments else ""),
    ]
    lacking = [what for what, found in (("a config", configs), ("an environment", environments)) if not found]
    if lacking:
        lines.append(f"without {' and '.join(lacking)} nothing can be launched")
        return Finding("project", title, "problem", "\n".join(lines), f"git -C {_quoted(folder)} status")
    return Finding("project", title, "ok", "\n".join(lines))


def settings(around: Surroundings) -> Finding:
    """`settings.toml` and its mistakes. The app's names are asked of another process, if they matter."""
    from tui.user.keymap import list_names, mistakes
    from tui.user.preferences import Preferences

    title, wished = "settings.toml", Preferences.read(around.config_dir)
    path = around.config_dir / "settings.toml"
    if not wished.exists:
        told = f"there is no {path}: keys and colours are the app's own"
        return Finding("settings", title, "ok", told, act="settings")
    found = list(wished.mistakes)
    if wished.keys or wished.theme:
        found += mistakes(wished, list_names())
    if found:
        lines = [f"in {path}:", *map(str, found)]
        return Finding("settings", title, "problem", "\n".join(lines), f"$EDITOR {_quoted(path)}")
    keys = f"{len(wished.keys)} keys of your own" if wished.keys else "no keys of your own"
    return Finding("settings", title, "ok", f"{path}: {keys}, theme {wished.theme or 'as chosen last'}")


def _count(names: Sequence[str], what: str) -> str:
    return f"{len(names)} {what}{'' if len(names) == 1 else 's'}"


def _quoted(path: object) -> str:
    return shlex.quote(str(path))

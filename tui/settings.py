"""Settings of this machine and its user: `.env`, the process environment, directories.

The only reader of both. Secrets are passed to the backend that launches a run, and never shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path

from remote.contract.errors import ConfigError, Hint
from remote.contract.redaction import named_secret

KNOWN_SECRETS = (
    "WANDB_API_KEY",
    "WANDB_BASE_URL",
    "WANDB_ENTITY",
    "HF_TOKEN",
    "HUGGING_FACE_HUB_TOKEN",
    "HF_ENDPOINT",
    "OPENAI_API_KEY",
)
"""Secrets that are taken from the process environment, too."""

PACKAGES = Path(__file__).parents[1]
"""The folder that holds `tui/` and `remote/`: a checkout, or where packages are installed."""
_OURS = frozenset({"EXPERIMENTER", "EXPERIMENT_NAME", "VFM_HOME", "VFM_CONFIG_DIR", "VFM_PROJECT"})
# A line of `.env` that sets a directory.
_NAMES_FOLDER = re.compile(
    rb"""^\s*(?:export\s+)?VFM_(?:HOME|CONFIG_DIR)\s*=\s*["']?[^\s"'#]""", re.MULTILINE
)


@dataclass(frozen=True)
class Settings:
    """Everything outside the configs. Variables of the process override `.env`."""

    project_dir: Path
    """The folder that holds `run_modal.py` and `environments/` (`find_project`)."""
    home: Path
    """The data folder: runs, volumes, images."""
    experimenter: str = "default"
    experiment: str = "default"
    env_file: Path = Path(".env")
    env_file_exists: bool = False
    env_file_names: frozenset[str] = frozenset()
    """Names in `.env`, also those without a value."""
    secrets: dict[str, str] = field(default_factory=dict, repr=False)
    """For a run's environment. Never shown."""
    notices: tuple[str, ...] = ()
    """A missing `.env`, lines of it that were skipped."""
    config_dir: Path = Path()
    """Folder of the user's `settings.toml` and `prices.toml`."""

    def __post_init__(self) -> None:
        if self.config_dir == Path():
            object.__setattr__(self, "config_dir", self.home / "config")

    @classmethod
    def load(cls, project_dir: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
        """Read the settings. Raises `ConfigError`, also where there is no project."""
        process = os.environ if environ is None else environ
        project = _project(project_dir, process)
        env_file = project / ".env"
        exists = os.path.lexists(env_file)
        written, notices = _read_env(env_file) if exists else ({}, [_missing(env_file)])
        values = {name: value for name, value in written.items() if value}
        both = {**values, **{name: value for name, value in process.items() if value}}
        names = (values.keys() | set(KNOWN_SECRETS)) - _OURS
        return cls(
            project_dir=project,
            home=_folder("VFM_HOME", _home(both)),
            config_dir=_folder("VFM_CONFIG_DIR", _config_dir(both)),
            experimenter=both.get("EXPERIMENTER") or "default",
            experiment=both.get("EXPERIMENT_NAME") or "default",
            env_file=env_file,
            env_file_exists=exists,
            env_file_names=frozenset(written),
            secrets={name: both[name] for name in sorted(names) if both.get(name)},
            notices=tuple(notices),
        )


@dataclass(frozen=True)
class Folders:
    """The directories that the app needs before its first frame."""

    home: Path
    config_dir: Path
    project_dir: Path
    """The working directory where there is no project."""


def glance(environ: Mapping[str, str] | None = None) -> Folders:
    """The directories of `Settings.load`, fast and without errors: `.env` is parsed only if it sets one."""
    process = os.environ if environ is None else environ
    project = _working_directory()
    try:
        project = _project(None, process)
        env_file = project / ".env"
        named = env_file.is_file() and _NAMES_FOLDER.search(env_file.read_bytes())
        written = _read_env(env_file)[0] if named else {}
        values = {name: value for name, value in written.items() if value}
    except (ConfigError, OSError):
        values = {}  # `Settings.load` raises it
    both = {**values, **{name: value for name, value in process.items() if value}}
    return Folders(_home(both), _config_dir(both), project)


_TERMINAL = (
    "TERM",
    "TERM_PROGRAM",
    "COLORTERM",
    "NO_COLOR",
    "FORCE_COLOR",
    "TMUX",
    "STY",
    "SSH_CONNECTION",
    "LC_ALL",
    "LC_CTYPE",
    "LANG",
    "MODAL_CONFIG_PATH",
    "MODAL_PROFILE",
    "MODAL_ENVIRONMENT",
    "VFM_IMAGE_PYTHON",
)
_SECRET = ("MODAL_TOKEN_ID", "MODAL_TOKEN_SECRET")


def surroundings(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Variables on the terminal and on Modal; secrets have the value `set`."""
    process = os.environ if environ is None else environ
    plain = {name: process[name] for name in _TERMINAL if process.get(name)}
    return {**plain, **{name: "set" for name in _SECRET if process.get(name)}}


@dataclass(frozen=True)
class TypedLine:
    """The command line that bash passes when Tab is pressed."""

    line: str
    """Up to the cursor."""
    word: str
    """The word under the cursor as bash sees it, with its opening quote."""
    breaks: str
    """Characters at which bash splits words."""


def completion_line(environ: Mapping[str, str] | None = None) -> TypedLine | None:
    """The command line to complete; None where bash passed none."""
    process = os.environ if environ is None else environ
    if "COMP_LINE" not in process:
        return None
    return TypedLine(process["COMP_LINE"], process.get("COMP_WORD", ""), process.get("COMP_WORDBREAKS", ""))


_INHERITED = re.compile(
    "PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|TZ|TMPDIR|TEMP|TMP|TERM|PWD|HOSTNAME|"
    "(HTTP|HTTPS|ALL|NO|FTP)_PROXY|SSL_CERT_(FILE|DIR)|REQUESTS_CA_BUNDLE|CURL_CA_BUNDLE|NIX_SSL_CERT_FILE|"
    "GIT_SSL_CAINFO|GRPC_DEFAULT_SSL_ROOTS_FILE_PATH|LD_LIBRARY_PATH|LD_PRELOAD|LIBRARY_PATH|CPATH|CC|CXX|"
    "LOCALE_ARCHIVE|(LC|XDG|NVIDIA|NCCL|GLOO|OMP|GOMP|KMP|MKL|OPENBLAS|NUMEXPR|MALLOC|TRITON|VLLM|ROCM|HIP|"
    "HSA|HF|HUGGINGFACE|TRANSFORMERS|TOKENIZERS|WANDB|VFM|UV|PIP|NLTK)_.*|(CUDA|TORCH|PYTORCH|PYTHON).*",
    re.IGNORECASE,
)
_NEVER = frozenset({"PYTHONPATH", "PYTHONHOME", "PYTHONSTARTUP"})
_FOR_MODAL, _FOR_AN_INDEX = "MODAL_", ("UV_INDEX_", "PIP_")


def environment(also: Mapping[str, str], *, modal: bool = False) -> dict[str, str]:
    """The environment of a program of `remote/`: paths, proxies, certificates and caches of this process,
    and nothing else; secrets are passed by pipe. `also` is added, and Modal's variables with `modal`.
    """
    inherited = {name: value for name, value in os.environ.items() if _is_inherited(name, modal)}
    return {**inherited, **also}


def _is_inherited(name: str, modal: bool) -> bool:
    if modal and name.startswith(_FOR_MODAL):
        return True
    if name in _NEVER or (named_secret(name) and not name.startswith(_FOR_AN_INDEX)):
        return False
    return bool(_INHERITED.fullmatch(name))


def from_shell(names: Iterable[str]) -> dict[str, str]:
    """These variables of the process, where set."""
    return {name: os.environ[name] for name in names if os.environ.get(name)}


class NoProject(ConfigError):
    """Neither the working directory nor a folder above it is a project, and the program is no checkout."""


def is_project(folder: Path) -> bool:
    """Whether a folder holds `run_modal.py` and `environments/`."""
    return (folder / "run_modal.py").is_file() and (folder / "environments").is_dir()


def find_project(start: Path) -> Path:
    """The nearest of a folder and those above it that is a project, else the checkout that runs this program.

    Raises `NoProject` where there is neither.
    """
    for folder in (start, *start.parents, PACKAGES):
        if is_project(folder):
            return folder
    raise NoProject(
        f"no project: neither {start} nor a folder above it holds run_modal.py and environments/",
        hint=Hint("make one with `vfm init DIR` and work in it, or name one in VFM_PROJECT"),
    )


def _project(given: Path | None, process: Mapping[str, str]) -> Path:
    named = process.get("VFM_PROJECT")
    if given is None and not named:
        return find_project(_working_directory())
    path = given or Path(named or "").expanduser()
    if not path.is_dir():
        origin = "the project directory" if given else "VFM_PROJECT"
        raise ConfigError(
            f"{origin} is {str(path)!r}, which is no folder",
            hint=Hint("name the folder that holds run_modal.py and environments/"),
        )
    return path.resolve()


def _working_directory() -> Path:
    """The working directory; the root where it has been removed."""
    try:
        return Path.cwd()
    except FileNotFoundError:
        return Path("/")


def _home(values: Mapping[str, str]) -> Path:
    named = values.get("VFM_HOME")
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_data_dir("vfm", appauthor=False))


def _folder(name: str, path: Path) -> Path:
    """The folder. Raises `ConfigError` where it cannot be created, since a file is in its place."""
    found = next((place for place in (path, *path.parents) if os.path.lexists(place)), path)
    if found.is_dir():
        return path
    what = "is a file" if found.is_file() else "is a broken link" if found.is_symlink() else "is not a folder"
    of_it = "which" if found == path else f"but {found}"
    raise ConfigError(
        f"{name} is {str(path)!r}, {of_it} {what}", hint=Hint(f"name a folder: {name}=/a/folder")
    )


def _config_dir(values: Mapping[str, str]) -> Path:
    named = values.get("VFM_CONFIG_DIR")
    if named:
        return Path(named).expanduser().absolute()
    import platformdirs

    return Path(platformdirs.user_config_dir("vfm", appauthor=False))


def _missing(path: Path) -> str:
    return f"there is no {path}: names and keys come from the process environment only (see .env.example)"


def _read_env(path: Path) -> tuple[dict[str, str | None], list[str]]:
    """The variables of a `.env`, and a notice for each invalid line, without its content."""
    from dotenv import dotenv_values
    from dotenv.parser import parse_stream

    good, notices = [], []
    for binding in parse_stream(StringIO(_text(path))):
        if binding.error:
            notices.append(f"{path}:{binding.original.line}: not KEY=VALUE, skipped")
        else:
            good.append(binding.original.string)
    return dict(dotenv_values(stream=StringIO("".join(good)))), notices


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise _unreadable(path, error.strerror or str(error)) from None
    except UnicodeDecodeError as error:
        raise _unreadable(path, f"it is not UTF-8 (byte {error.start})") from None
    if "\0" in text:
        raise _unreadable(path, "it contains a NUL byte")
    return text


def _unreadable(path: Path, reason: str) -> ConfigError:
    return ConfigError(
        f"cannot read {path}: {reason}",
        hint=Hint(f"fix or remove {path.name}; a line is EXPERIMENTER=alice (see .env.example)"),
    )

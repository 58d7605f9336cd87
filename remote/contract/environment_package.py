"""What an environment's folder says of itself before anything of it is built or run.

Both sides read it: the plan to name the environment and to refuse what cannot be one, the worker to install
it. Only text is read. What `[tool.vfm]` says is `tui/config/environments`'s.
"""

from __future__ import annotations

import ast
import configparser
import re
import sys
import tomllib
from pathlib import Path
from typing import Any

from remote.contract.errors import EnvironmentMissing, Hint

PROJECT, SETUP, SETUP_CONFIG = "pyproject.toml", "setup.py", "setup.cfg"
STACK_MODULES = frozenset(
    {
        *(
            "accelerate",
            "datasets",
            "gguf",
            "huggingface_hub",
            "numpy",
            "openai",
            "packaging",
            "peft",
            "psutil",
        ),
        *(
            "pydantic",
            "safetensors",
            "tokenizers",
            "torch",
            "transformers",
            "triton",
            "trl",
            "uv",
            "verifiers",
        ),
        *("vllm", "wandb", "remote", "tui"),
    }
)
"""Modules of the training stack and of this program that an environment may not be called as."""
PYTHONS = ("3.11", "3.12")
"""Minor versions of Python that the training stack's pins resolve and import on."""
MODAL_PYTHON = "3.12"
"""The image's on Modal, where nobody asks for another."""
_CLAUSE = re.compile(r"(>=|<=|==|!=|~=|>|<)\s*(\d+)(?:\.(\d+))?(?:\.(?:\d+|\*))*")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def is_package(folder: Path) -> bool:
    """Whether a folder can be installed: it has a pyproject.toml, or a setup.py as packages used to."""
    return (folder / PROJECT).is_file() or (folder / SETUP).is_file()


def packages_in(folder: Path) -> list[Path]:
    """The packages of a folder, by name."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and is_package(path))
    except OSError:
        return []


def project_of(folder: Path) -> dict[str, Any]:
    """A folder's pyproject.toml; empty where it has none. Raises `EnvironmentMissing` on one that is none."""
    file = folder / PROJECT
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error) or "nested too deeply"
        raise EnvironmentMissing(
            f"{file} cannot be used: {reason}",
            cause=f"{type(error).__name__}: {reason}",
            hint=Hint(f"mend {file}"),
        ) from error


def table(document: dict[str, Any], *path: str) -> dict[str, Any]:
    """A table within a pyproject.toml; empty where there is none."""
    found: Any = document
    for part in path:
        found = found.get(part) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}


def package_name(folder: Path) -> str:
    """The name that a folder's package is published under, as far as can be read without running it.

    Raises `EnvironmentMissing` where none is written down.
    """
    document = project_of(folder)
    for text in (
        table(document, "project").get("name"),
        table(document, "tool", "poetry").get("name"),
        table(document, "tool", "flit", "metadata").get("module"),
        _of_setup_config(folder),
        _of_setup(folder),
    ):
        if isinstance(text, str) and _NAME.fullmatch(text):
            return text
    file, what = (
        (folder / PROJECT, "project.name") if (folder / PROJECT).is_file() else (folder / SETUP, "name")
    )
    raise EnvironmentMissing(
        f"{file} cannot be used: it has no {what}",
        hint=Hint(f'write one in {folder / PROJECT}: [project] name = "{folder.name.lower()}"'),
    )


def module_name(distribution: str) -> str:
    """The module that a distribution is taken to bring: its name with underscores."""
    return re.sub(r"[-_.]+", "_", distribution).lower()


def wanted_python(folder: Path) -> str:
    """The Python that a folder's package wants (`requires-python`); empty where it says nothing."""
    given = table(project_of(folder), "project").get("requires-python", "")
    return given.strip() if isinstance(given, str) else ""


def suits_python(wanted: str, version: str) -> bool:
    """Whether a minor version of Python, such as `3.11`, is one that a `requires-python` allows.

    Patch releases are taken to suit; what cannot be read has no say.
    """
    have = tuple(map(int, version.split(".")))
    for clause in filter(None, map(str.strip, wanted.split(","))):
        match = _CLAUSE.fullmatch(clause)
        if match is None:
            continue
        limit = int(match[2]), int(match[3] or 0)
        exact = match[3] is None or have == limit
        holds = {
            ">=": have >= limit,
            ">": have >= limit if clause.count(".") > 1 else have > limit,
            "<=": have <= limit,
            "<": have <= limit if clause.count(".") > 1 and not clause.endswith(".0") else have < limit,
            "==": exact and have[0] == limit[0],
            "!=": (clause.count(".") > 1 and not clause.endswith("*")) or have != limit,
            "~=": have >= limit and have[0] == limit[0],
        }
        if not holds[match[1]]:
            return False
    return True


def check_module(module: str, place: str = "") -> None:
    """Refuse a module's name that Python or the training stack has already: that one would be loaded."""
    if module != module.lower():
        raise EnvironmentMissing(
            f"{place}the environment's module is called {module}, and verifiers looks for {module.lower()}",
            hint=Hint("call the package's folder and its module in small letters"),
        )
    if owner := owner_of(module):
        raise EnvironmentMissing(
            f"{place}the environment's module is called {module}, as a module of {owner} is, "
            "which would be loaded in its place",
            hint=Hint(f"call the package and its module otherwise, such as vf_{module}"),
        )


def owner_of(module: str) -> str:
    """What has a module of this name already, in words; empty where nothing has."""
    if module in sys.stdlib_module_names:
        return "Python itself"
    return "the training stack" if module in STACK_MODULES else ""


def _of_setup_config(folder: Path) -> str | None:
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(folder / SETUP_CONFIG, encoding="utf-8")
        return parser.get("metadata", "name", fallback=None)
    except (configparser.Error, UnicodeDecodeError):
        return None


def _of_setup(folder: Path) -> str | None:
    """The literal `name` of a call of `setup(…)`."""
    try:
        tree = ast.parse((folder / SETUP).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _called(node.func) == "setup":
            for word in node.keywords:
                if word.arg == "name" and isinstance(word.value, ast.Constant):
                    return str(word.value.value)
    return None


def _called(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""

"""Read an environment's package metadata (pyproject.toml, setup.cfg, setup.py) without building it.

The plan uses it to name the environment and to refuse an impossible one, the worker to install it. The table
`[tool.vfm]` is read by `tui/planning/environments.py`.
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
        *("accelerate", "datasets", "gguf", "huggingface_hub", "numpy", "openai", "packaging", "peft"),
        *("psutil", "pydantic", "safetensors", "tokenizers", "torch", "transformers", "triton", "trl", "uv"),
        *("verifiers", "vllm", "wandb", "remote", "tui"),
    }
)
"""Modules of the training stack and of this program: an environment's module may not have their names."""
_CLAUSE = re.compile(r"(>=|<=|==|!=|~=|>|<)\s*(\d+)(?:\.(\d+))?(?:\.(?:\d+|\*))*")
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")


def is_package(folder: Path) -> bool:
    """Whether a folder can be installed: it has a pyproject.toml or a setup.py."""
    return (folder / PROJECT).is_file() or (folder / SETUP).is_file()


def packages_in(folder: Path) -> list[Path]:
    """The folders of packages in a folder, sorted by name."""
    try:
        return sorted(path for path in folder.iterdir() if path.is_dir() and is_package(path))
    except OSError:
        return []


def project_of(folder: Path) -> dict[str, Any]:
    """A folder's pyproject.toml, empty where it has none. Raises `EnvironmentMissing`."""
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
    value: Any = document
    for part in path:
        value = value.get(part) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def package_name(folder: Path) -> str:
    """The distribution name of a folder's package, as far as it can be read without running code.

    Raises `EnvironmentMissing` where no name is written down.
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
    file, field = (
        (folder / PROJECT, "project.name") if (folder / PROJECT).is_file() else (folder / SETUP, "name")
    )
    raise EnvironmentMissing(
        f"{file} cannot be used: it has no {field}",
        hint=Hint(f'write one in {folder / PROJECT}: [project] name = "{folder.name.lower()}"'),
    )


def module_name(distribution: str) -> str:
    """The module that a distribution is assumed to contain: its name with underscores."""
    return re.sub(r"[-_.]+", "_", distribution).lower()


def required_python(folder: Path) -> str:
    """A package's `requires-python`, such as `>=3.12`; empty where it has none."""
    requires = table(project_of(folder), "project").get("requires-python", "")
    return requires.strip() if isinstance(requires, str) else ""


def allows_python(requires_python: str, version: str) -> bool:
    """Whether a `requires-python` allows some patch release of a minor version of Python, such as `3.11`.

    Clauses that cannot be parsed are ignored.
    """
    have = tuple(map(int, version.split(".")))
    for clause in filter(None, map(str.strip, requires_python.split(","))):
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
    """Raise `EnvironmentMissing` where a module of Python or of the training stack has this name: it would be
    imported instead. `place`, such as `path:line: `, begins the message."""
    if module != module.lower():
        raise EnvironmentMissing(
            f"{place}the environment's module is called {module}, and verifiers looks for {module.lower()}",
            hint=Hint("rename the package's folder and its module to lower case"),
        )
    if owner := owner_of(module):
        raise EnvironmentMissing(
            f"{place}the environment's module is called {module}, as a module of {owner} is, "
            "which would be imported instead",
            hint=Hint(f"rename the package and its module, for example to vf_{module}"),
        )


def owner_of(module: str) -> str:
    """`Python itself` or `the training stack`, where it has a module of this name; empty: neither has."""
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
    """The literal `name` in the call of `setup(…)`."""
    try:
        tree = ast.parse((folder / SETUP).read_bytes())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and _function_name(node.func) == "setup":
            for keyword in node.keywords:
                if keyword.arg == "name" and isinstance(keyword.value, ast.Constant):
                    return str(keyword.value.value)
    return None


def _function_name(node: ast.expr) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""

"""Find the training script of an environment: the config's, or the one in `run_modal.py`.

Owns reading TRAINING_SCRIPTS and checking a script, without running either: importing `run_modal.py` would
import Modal, which takes a second.
"""

from __future__ import annotations

import ast
import difflib
import tokenize
from dataclasses import dataclass
from pathlib import Path

from remote.contract.errors import ConfigError, Hint
from remote.contract.model_choice import find_spelling, same_environment
from tui.config.resolve import Resolved
from tui.planning.environments import SHIPPED, spoken_names

FILE, MAPPING = "run_modal.py", "TRAINING_SCRIPTS"
KEY = "training.script"
FOLDER = "examples/grpo"
BUILT_IN = "built in"
_LARGEST = 1_000_000  # characters; a request carries the text
_NEAR = 0.75  # similarity from which a name counts as a typo


@dataclass(frozen=True)
class Script:
    """A training script."""

    path: str = ""
    """Relative to the project, if inside; empty: the built-in training."""
    text: str = ""
    why: str = ""
    """Why this one: `TRAINING_SCRIPTS names it for vf-wordle (run_modal.py:44)`."""


@dataclass(frozen=True)
class _Entry:
    path: str
    line: int


def find_script(resolved: Resolved, environment: str, project_dir: Path) -> Script:
    """The script that trains an environment.

    Raises `ConfigError` where the mapping or the script is missing or invalid.
    """
    named, where = resolved.spec.training.script, resolved.provenance[KEY].where
    if named is not None:
        reason = f"{KEY} names it ({where})" if where else f"{KEY} names it"
        return _read(named, project_dir, reason, f"{where}: " if where else "")
    scripts = training_scripts(project_dir)
    key = find_spelling(scripts, environment)
    if key is None:
        _check_near_misses(scripts, environment, project_dir)
        return Script("", "", f"neither {KEY} nor {MAPPING} names one")
    place = f"{FILE}:{scripts[key].line}"
    return _read(scripts[key].path, project_dir, f"{MAPPING} names it for {key} ({place})", f"{place}: ")


def training_scripts(project_dir: Path) -> dict[str, _Entry]:
    """TRAINING_SCRIPTS of the project's run_modal.py; empty where there is none. Raises `ConfigError`."""
    file = project_dir / FILE
    if not file.is_file():
        return {}
    value = next(filter(None, map(_mapping, _parse(_text(file, f"{file}: "), str(file)).body)), None)
    if value is None:
        return {}
    if not isinstance(value, ast.Dict):
        raise _no_mapping(file, value.lineno)
    return dict(_entry(file, key, path) for key, path in zip(value.keys, value.values, strict=True))


def _mapping(statement: ast.stmt) -> ast.expr | None:
    """The value that a statement assigns to TRAINING_SCRIPTS."""
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    else:
        return None
    return statement.value if any(isinstance(t, ast.Name) and t.id == MAPPING for t in targets) else None


def _entry(file: Path, key: ast.expr | None, path: ast.expr) -> tuple[str, _Entry]:
    for node in (key, path):
        if not isinstance(node, ast.Constant) or not isinstance(node.value, str):
            raise _no_mapping(file, (node or path).lineno)
    assert isinstance(key, ast.Constant)
    assert isinstance(path, ast.Constant)
    return str(key.value), _Entry(str(path.value), key.lineno)


def _no_mapping(file: Path, line: int) -> ConfigError:
    return ConfigError(
        f"{file}:{line}: {MAPPING} must be a plain dict of strings, since the file is not run",
        hint=Hint(f'write each entry as "vf-wordle": "{FOLDER}/train_wordle.py"'),
    )


def _check_near_misses(scripts: dict[str, _Entry], environment: str, project_dir: Path) -> None:
    """Raise `ConfigError` for an entry that seems to misspell this environment."""
    known = [*spoken_names(project_dir), *SHIPPED]
    mine = _bare(environment)
    for key, entry in scripts.items():
        if any(same_environment(key, name) for name in known):
            continue
        if difflib.SequenceMatcher(None, _bare(key), mine).ratio() >= _NEAR:
            right = environment.replace("_", "-")
            raise ConfigError(
                f"{project_dir / FILE}:{entry.line}: {MAPPING} names {key!r}, which is not an environment",
                hint=Hint(f"did you mean {right!r}?"),
            )


def _bare(name: str) -> str:
    return name.lower().replace("_", "-").removeprefix("vf-")


def _read(named: str, project_dir: Path, why: str, place: str) -> Script:
    file = (project_dir / Path(named).expanduser()).absolute()
    path = str(file.relative_to(project_dir)) if file.is_relative_to(project_dir) else str(file)
    if not file.is_file():
        raise _missing(named, file, project_dir, place)
    text = _text(file, place)
    if len(text) > _LARGEST:
        raise ConfigError(f"{place}{path} has {len(text)} characters, too many for a training script")
    module = _parse(text, path)
    if (problem := _unusable(module)) is not None:
        raise ConfigError(f"{path}: {problem}", hint=Hint("write def train(run)"))
    if not _binds_train(module):
        raise ConfigError(
            f"{path} has no function train(run)",
            hint=Hint(f"define it, as {FOLDER}/train_wordle.py does"),
        )
    return Script(path, text, why)


def _missing(named: str, file: Path, project_dir: Path, place: str) -> ConfigError:
    state = "is a folder" if file.is_dir() else "is no file" if file.exists() else "does not exist"
    scripts = [f"{FOLDER}/{path.name}" for path in sorted((project_dir / FOLDER).glob("*.py"))]
    close = difflib.get_close_matches(named, scripts, 1, _NEAR)
    listing = f"there are: {', '.join(scripts)}" if scripts else f"put it into {project_dir / FOLDER}"
    advice = f"did you mean {close[0]}?" if close else listing
    return ConfigError(
        f"{place}the training script {named} {state} ({file})",
        hint=Hint(advice, key=KEY, old=named, new=close[0] if close else None),
    )


def _text(file: Path, place: str) -> str:
    try:
        with tokenize.open(file) as source:  # in the encoding that the file declares
            return source.read()
    except (OSError, SyntaxError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{place}{file} cannot be read: {reason}") from error


def _parse(text: str, shown: str) -> ast.Module:
    try:
        return ast.parse(text, shown)
    except (SyntaxError, ValueError) as error:
        line = f":{error.lineno}" if isinstance(error, SyntaxError) else ""
        message = error.msg if isinstance(error, SyntaxError) else str(error)
        raise ConfigError(
            f"{shown}{line}: {type(error).__name__}: {message}", hint=Hint(f"fix {shown}{line}")
        ) from error


def _unusable(module: ast.Module) -> str | None:
    """What is wrong with the last `train` that the top level defines; None where nothing is seen."""
    nodes = [n for n in _top_level(module) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)]
    train = next((node for node in reversed(nodes) if node.name == "train"), None)
    if isinstance(train, ast.AsyncFunctionDef):
        return "train(run) must not be asynchronous"
    if train is None or train.decorator_list:
        return None
    arguments = train.args
    given = [*arguments.posonlyargs, *arguments.args]
    takes_one = bool(given) or arguments.vararg is not None
    needed = len(given) - len(arguments.defaults)
    needed_by_name = sum(default is None for default in arguments.kw_defaults)
    return None if takes_one and needed <= 1 and not needed_by_name else "train must take one argument, run"


def _binds_train(module: ast.Module) -> bool:
    """Whether the top level binds `train`, also within `if` or `try`."""
    for node in _top_level(module):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == "train":
            return True
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == "train":
            return True
        if isinstance(node, ast.alias) and (node.asname or node.name) in ("train", "*"):
            return True
    return False


def _top_level(node: ast.AST) -> list[ast.AST]:
    """A module's nodes outside functions and classes."""
    found: list[ast.AST] = []
    for child in ast.iter_child_nodes(node):
        found.append(child)
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
            found += _top_level(child)
    return found

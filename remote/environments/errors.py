"""Turn exceptions of an environment's code into failures that name the user's own class and line.

Distinguishes errors in the code, refused options and network failures, and explains what verifiers reports of
a module.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import ValidationError

from remote.contract.errors import EnvironmentMissing, Hint
from remote.environments.overlays import source_of

_NETWORK = re.compile(
    r"Couldn't reach|Max retries exceeded|getaddrinfo|[Nn]ame or service not known|[Nn]ame resolution|"
    r"Network is unreachable|[Cc]onnection (refused|reset|error|attempts? failed)|[Cc]onnect(ion)?Error|"
    r"ConnectTimeout|ReadTimeout|ProxyError|LocalEntryNotFound|OfflineMode|offline mode|HTTPError: 5\d\d"
)
_NO_ALL = re.compile(r"defines no `__all__`")
_NONE = re.compile(r"exports no \w+ subclass via")
_SEVERAL = re.compile(r"exports \d+ (\w+) subclasses")
_NOT_FOUND = re.compile(r"taskset '[^']*' not found")


@contextmanager
def user_code(module: str, doing: str = "be loaded") -> Iterator[None]:
    """Raise exceptions of the block, which calls into an environment, as `EnvironmentMissing`.

    Their `cause` is `file:line: Error: text` of the innermost line of the environment's own code. Options
    that its config refuses are named as keys of `training.environment_args`. `doing` completes "the
    environment cannot …".
    """
    try:
        yield
    except EnvironmentMissing:
        raise
    except (Exception, SystemExit) as error:
        raise _explained(error, module, doing) from error


def where(error: BaseException, module: str) -> str:
    """`file:line: Error: text`, with the innermost line of `module` where it was running."""
    if own := _own_line(error, module):
        return own
    last = list(_chain(error))[-1]
    frames = traceback.extract_tb(last.__traceback__)
    place = f"{frames[-1].filename}:{frames[-1].lineno}: " if frames else ""
    return f"{place}{_text(last)}"


def _explained(error: BaseException, module: str, doing: str) -> EnvironmentMissing:
    refused = _refused_options(error)
    reason = "; ".join(refused) or _of_loader(error, module) or _text(error)
    own, home = _own_line(error, module), _file(module)
    if refused:
        hint = Hint("mend training.environment_args", key=refused[0].split(":")[0])
    elif _of_network(error):
        hint = Hint("it needs the network: check the connection, and HF_TOKEN in .env for private data")
    else:
        hint = Hint(f"mend the environment's code: {own or home or module}")
    return EnvironmentMissing(
        f"the environment {module} cannot {doing}: {reason}",
        cause=own or f"{home or module}: {_text(list(_chain(error))[-1])}",
        hint=hint,
    )


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An exception, those inside of groups, and its causes."""
    visited: set[int] = set()
    todo = [error]
    while todo:
        exception = todo.pop(0)
        if id(exception) in visited:
            continue
        visited.add(id(exception))
        yield exception
        if isinstance(exception, BaseExceptionGroup):
            todo += exception.exceptions
        todo += [inner for inner in (exception.__cause__ or exception.__context__,) if inner is not None]


def _own_line(error: BaseException, module: str) -> str:
    home = _home(module)
    for exception in _chain(error):
        if isinstance(exception, SyntaxError) and exception.filename:
            place = f"{source_of(exception.filename)}:{exception.lineno}"
            return f"{place}: {type(exception).__name__}: {exception.msg}"
        frames = traceback.extract_tb(exception.__traceback__)
        own = [f for f in frames if home is not None and Path(f.filename).is_relative_to(home)]
        if own:
            return f"{source_of(own[-1].filename)}:{own[-1].lineno}: {_text(exception)}"
    return ""


def _text(error: BaseException) -> str:
    if isinstance(error, BaseExceptionGroup):
        parts = [_text(part) for part in error.exceptions[:3]]
        return "; ".join(parts) or type(error).__name__
    return f"{type(error).__name__}: {error}"


def _of_network(error: BaseException) -> bool:
    return any(
        isinstance(exception, ConnectionError) or _NETWORK.search(_text(exception))
        for exception in _chain(error)
    )


def _of_loader(error: BaseException, module: str) -> str:
    """Explain an error of verifiers' loader with the names of classes; empty where it is another error."""
    chain = list(_chain(error))
    text = " ".join(str(exception) for exception in chain)
    if _NO_ALL.search(text):
        name, _ = next(_tasksets(module), ("...", ""))
        return f'its module names no taskset{_listed(module)}: add __all__ = ["{name}"] to {_file(module)}'
    if _NONE.search(text):
        return f"__all__ in {_file(module)} names no taskset{_listed(module)}"
    if _SEVERAL.search(text):
        return f"__all__ in {_file(module)} names several tasksets{_listed(module)}: leave one"
    if _NOT_FOUND.search(str(error)):
        absent = next(
            (exception.name for exception in chain[1:] if isinstance(exception, ModuleNotFoundError)), None
        )
        if absent and absent != module:
            return f"it imports {absent}, which is not installed: add it to the dependencies of its package"
    return ""


def _listed(module: str) -> str:
    """` (Mine in mine.py:12, Other in mine.py:30)`; empty where the module's source has no taskset."""
    tasksets = [f"{name} in {place}" for name, place in _tasksets(module)]
    return f" ({', '.join(tasksets)})" if tasksets else ""


def _tasksets(module: str) -> Iterator[tuple[str, str]]:
    """The taskset classes in a module's source: name, and `file:line`."""
    home = _home(module)
    files = sorted(home.rglob("*.py")) if home is not None and home.is_dir() else [home] if home else []
    for file in files:
        try:
            tree = ast.parse(file.read_text(encoding="utf-8"))
        except (OSError, ValueError, SyntaxError):
            continue
        subclasses = {"Taskset"}
        for node in (node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)):
            if subclasses & {part for base in node.bases for part in re.findall(r"\w+", ast.unparse(base))}:
                subclasses.add(node.name)
                yield node.name, f"{file.name}:{node.lineno}"


def _file(module: str) -> str:
    """The source file of a module, as its author knows it."""
    return source_of(_origin(module)) if _origin(module) else ""


def _origin(module: str) -> str:
    """The file of a module; empty where there is none."""
    try:
        spec = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return ""
    return (spec.origin if spec else None) or ""


def _home(module: str) -> Path | None:
    origin = Path(_origin(module)) if _origin(module) else None
    return origin.parent if origin is not None and origin.name == "__init__.py" else origin


def _refused_options(error: BaseException) -> list[str]:
    if not isinstance(error, ValidationError):
        return []
    problems = error.errors(include_url=False, include_context=False)
    if any(p["loc"][:1] != ("taskset",) for p in problems):
        return []  # not of the options, but of the environment's own data
    keys = [".".join(("training.environment_args", *map(str, p["loc"][1:]))) for p in problems]
    return [f"{key}: {p['msg']} (got {p['input']!r})" for key, p in zip(keys, problems, strict=True)]

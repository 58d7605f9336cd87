"""Recognise environments that were written for verifiers before 0.4, from their source.

Signs are `load_environment` and imports from verifiers other than `verifiers.v1`, which is all that 0.4 has.
Nothing is imported; files that cannot be parsed are ignored.
"""

from __future__ import annotations

import ast
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

from remote.contract.errors import EnvironmentMissing, Hint

PORTING = "docs/porting_environments.md"
_ASIDE = {
    *("tests", "test", "docs", "examples", "scripts", "outputs", "build", "dist", "node_modules", "venv"),
    "site-packages",
}
_MOST, _LARGEST = 400, 1_000_000  # files of a package, bytes of one
_MARKS = ("load_environment", "verifiers")


def check_age(source: Path, name: str, place: str = "") -> None:
    """Raise `EnvironmentMissing` for an environment of before 0.4, with the file and line that show it.

    `source` is a package's folder, its module, or a wheel; `place`, such as `path:line: `, begins the
    message.
    """
    sign = _sign(source)
    if sign:
        raise EnvironmentMissing(
            f"{place}the environment {name} {sign}, so it was written for verifiers before 0.4, "
            "and this program plays tasksets of verifiers 0.4",
            hint=Hint(f"port it: {PORTING} shows three environments before and after, side by side"),
        )


def _sign(source: Path) -> str:
    """Why it is old; empty where nothing shows it, or where it uses `verifiers.v1` anywhere."""
    signs: list[tuple[int, str]] = []
    for file, text in _texts(source):
        if not any(mark in text for mark in _MARKS):
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        for node in ast.walk(tree):
            if _is_new(node):
                return ""
            if sign := _old_use(node, tree):
                rank = 0 if "load_environment" in sign else 1
                signs.append((rank, f"{sign} ({file}:{getattr(node, 'lineno', 1)})"))
    return min(signs, key=lambda sign: sign[0])[1] if signs else ""


def _is_new(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        named = node.module == "verifiers" and any(alias.name == "v1" for alias in node.names)
        return named or f"{node.module}.".startswith("verifiers.v1.")
    return isinstance(node, ast.Import) and any(
        f"{alias.name}.".startswith("verifiers.v1.") for alias in node.names
    )


def _old_use(node: ast.AST, tree: ast.Module) -> str:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node in tree.body:
        return "has `load_environment`" if node.name == "load_environment" else ""
    if isinstance(node, ast.ImportFrom) and node.level == 0 and f"{node.module}.".startswith("verifiers."):
        return f"imports from {node.module}"
    if isinstance(node, ast.Import):
        for alias in node.names:
            if alias.name == "verifiers" or alias.name.startswith("verifiers."):
                return f"imports {alias.name}"
    return ""


def _texts(source: Path) -> Iterator[tuple[str, str]]:
    """The Python files of a folder, a module or a wheel: name for messages, and text."""
    if source.suffix == ".whl":
        yield from _of_wheel(source)
        return
    files = [source] if source.is_file() else list(_files(source))
    for file in files:
        try:
            if file.stat().st_size <= _LARGEST:
                yield str(file), file.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue


def _files(folder: Path) -> Iterator[Path]:
    count = 0
    for at, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in _ASIDE and not name.startswith("."))
        for name in sorted(names):
            if name.endswith(".py"):
                count += 1
                if count > _MOST:
                    return
                yield Path(at, name)


def _of_wheel(wheel: Path) -> Iterator[tuple[str, str]]:
    try:
        with zipfile.ZipFile(wheel) as archive:
            for info in archive.infolist()[:_MOST]:
                if info.filename.endswith(".py") and info.file_size <= _LARGEST:
                    text = archive.read(info).decode("utf-8", errors="replace")
                    yield f"{wheel}/{info.filename}", text
    except (OSError, ValueError, zipfile.BadZipFile):
        return

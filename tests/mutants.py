"""Tests of the tests: change the code a little, and see whether a test notices.

    python -m tests.mutants --minutes 10 --seed 1

Draws mutants at random from the pure parts of the code, one change each: a comparison, a condition, a
number, a statement that is left out. For each it runs, in a copy of the checkout, the unit, property and
backend tests that import the file, nearest first. Prints the mutants that survived with file, line and
change, and how many were killed. What a module names at its top are settings, which no test should repeat:
they are left alone.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FOLDERS = ("tui/config", "tui/planning", "tui/store", "tui/backends", "remote/contract")
LEFT_OUT = ("tui/backends/modal/",)
FILES = (
    *("rollouts/token_rows", "rollouts/seeds", "training/learning_signal", "training/gpu_placement"),
    *("training/checkpoints", "inference/command", "inference/failures", "inference/log_reader"),
    *("supervisor/verdict", "supervisor/attempt_log", "output/line_splitter", "processes/oom"),
    *("environments/siblings", "environments/overlays", "image/progress", "inference/gate"),
)
SUITES = ("tests/unit", "tests/property", "tests/backends")
LONGEST = 120.0
"""Seconds after which a test has noticed a mutant, because it hangs, and no further one is begun."""
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq},
    **{ast.NotEq: ast.Eq, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is},
    **{ast.And: ast.Or, ast.Or: ast.And, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div},
    **{ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Mult},
}


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    file: str
    start: int
    """The first byte that is replaced."""
    end: int
    line: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {_short(self.old)}  →  {_short(self.new)}"


def mutants_of(file: str, source: str) -> list[Mutant]:
    """Every mutant of a file's source."""
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    found = []
    for node in _changeable(ast.parse(source)):
        old = ast.get_source_segment(source, node) or ""
        start = starts[node.lineno - 1] + node.col_offset
        end = starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)
        found += [Mutant(file, start, end, node.lineno, old, new) for new in _changes(node) if new != old]
    return found


def _changeable(tree: ast.Module) -> Iterator[ast.expr | ast.stmt]:
    """The nodes that may change: no annotations, docstrings, f-strings, decorators and settings."""
    waiting: list[tuple[ast.AST, bool]] = [(tree, False)]  # with whether a function holds it
    while waiting:
        node, inside = waiting.pop()
        if inside and isinstance(node, ast.expr | ast.stmt):
            yield node
        inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for name, value in ast.iter_fields(node):
            if name not in ("annotation", "returns", "decorator_list", "args", "type_params"):
                values = value if isinstance(value, list) else [value]
                waiting += [(v, inside) for v in values if isinstance(v, ast.AST) and _is_code(v)]
            elif isinstance(node, ast.Call):
                waiting += [(argument, inside) for argument in node.args]


def _is_code(node: ast.AST) -> bool:
    text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return not text and not isinstance(node, ast.JoinedStr | ast.Import | ast.ImportFrom)


def _changes(node: ast.expr | ast.stmt) -> Iterator[str]:
    """What a node becomes, as source."""
    match node:
        case ast.Compare():
            for place, op in enumerate(node.ops):
                changed = copy.deepcopy(node)
                changed.ops[place] = SWAPS[type(op)]()  # type: ignore[call-overload]
                yield f"({ast.unparse(changed)})"
        case ast.BoolOp() | ast.BinOp() if type(node.op) in SWAPS:
            changed = copy.deepcopy(node)  # type: ignore[assignment]
            changed.op = SWAPS[type(node.op)]()  # type: ignore[attr-defined]
            yield f"({ast.unparse(changed)})"
        case ast.UnaryOp(op=ast.Not() | ast.USub()):
            yield f"({ast.unparse(node.operand)})"
        case ast.IfExp():
            yield f"({ast.unparse(node.body)})"
            yield f"({ast.unparse(node.orelse)})"
        case ast.Constant(value=bool()):
            yield str(not node.value)
        case ast.Constant(value=int() | float() as number):
            yield f"{number + 1}"
        case ast.Return(value=ast.expr()) if not isinstance(node.value, ast.Constant):
            yield "return None"
        case ast.Expr(value=ast.Call() | ast.Await()) | ast.AugAssign() | ast.Raise() | ast.Delete():
            yield "pass"
        case ast.Break():
            yield "continue"
        case ast.Continue():
            yield "break"


class Tests:
    """Which tests are run for a file, and whether they pass without a mutant."""

    def __init__(self, copied: Path) -> None:
        self._copied = copied
        self._passes: dict[str, bool] = {}
        paths = [path for top in ("tui", "remote", "tests") for path in Path(top).rglob("*.py")]
        self._modules = {_module(path): path for path in paths}
        self._imports = {path: self._imported(path) for path in paths}
        found = [path for suite in SUITES for path in sorted(Path(suite).rglob("test_*.py"))]
        self._reached = {test: self._reached_by(test) for test in found}

    def _imported(self, path: Path) -> set[Path]:
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom):
                found |= {node.module or "", *(f"{node.module}.{name.name}" for name in node.names)}
            elif isinstance(node, ast.Import):
                found |= {name.name for name in node.names}
        return {self._modules[name] for name in found if name in self._modules}

    def nearest(self, file: str) -> list[str]:
        """The test that is named after a file, those that import it, and those that import its importers."""
        distances = {
            str(test): reached[Path(file)] for test, reached in self._reached.items() if Path(file) in reached
        }
        namesake = "/".join(file.split("/")[1:-1]) + f"/test_{Path(file).name}"
        near = [t for t, distance in distances.items() if distance == 1 or "backends" not in t]
        return sorted(near, key=lambda test: (not test.endswith(namesake), distances[test]))

    def _reached_by(self, test: Path) -> dict[Path, int]:
        """How many imports away each module is; helpers of the tests are no distance."""
        reached: dict[Path, int] = {}
        fixtures = self._imports.get(test.parent / "conftest.py", set())
        edge = [(path, 1) for path in sorted(self._imports[test] | fixtures)]
        while edge:
            path, distance = edge.pop(0)
            if path not in reached and distance <= 2:
                reached[path] = distance
                ours = path.parts[0] == "tests" or path.name == "__init__.py"
                edge += [(further, distance if ours else distance + 1) for further in self._imports[path]]
        return reached

    def passes(self, test: str) -> bool:
        """Whether it passes without a mutant."""
        if test not in self._passes:
            self._passes[test] = self.run(test, LONGEST)
        return self._passes[test]

    def run(self, test: str, seconds: float) -> bool:
        """Whether a test file passes in the copy, in time."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", test]
        env = {**os.environ, "PYTHONPATH": str(self._copied), "PYTHONDONTWRITEBYTECODE": "1"}
        with tempfile.TemporaryDirectory() as scratch:
            try:
                done = subprocess.run(
                    [*command, f"--basetemp={scratch}/t"],
                    cwd=self._copied,
                    env=env,
                    capture_output=True,
                    timeout=seconds,
                    check=False,
                )
            except subprocess.TimeoutExpired:
                return False
        return done.returncode == 0


def survives(mutant: Mutant, tests: Tests, copied: Path) -> bool:
    """Whether no test notices the mutant. A test that fails without it too notices nothing."""
    path = copied / mutant.file
    source = path.read_bytes()
    mutated = source[: mutant.start] + mutant.new.encode() + source[mutant.end :]
    began = time.monotonic()
    for test in tests.nearest(mutant.file):
        path.write_bytes(mutated)
        passed = tests.run(test, LONGEST)
        path.write_bytes(source)
        if not passed and tests.passes(test):
            return False
        if time.monotonic() - began > LONGEST:
            break
    return True


def files() -> list[str]:
    """The files that are mutated."""
    found = [str(path) for folder in FOLDERS for path in sorted(Path(folder).rglob("*.py"))]
    found += [f"remote/{name}.py" for name in FILES if Path(f"remote/{name}.py").exists()]
    return [name for name in found if not name.startswith(LEFT_OUT)]


def main() -> None:
    """See the module's docstring."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--most", type=int, default=10_000, help="mutants at most")
    parser.add_argument("under", nargs="*", help="only files whose path begins with one of these")
    asked = parser.parse_args()
    os.chdir(ROOT)
    chosen = [name for name in files() if not asked.under or name.startswith(tuple(asked.under))]
    drawn = [mutant for name in chosen for mutant in mutants_of(name, Path(name).read_text(encoding="utf-8"))]
    print(f"seed {asked.seed}: {len(drawn)} mutants in {len(chosen)} files", flush=True)
    random.Random(asked.seed).shuffle(drawn)
    outcome: dict[str, Counter[bool]] = defaultdict(Counter)
    deadline = time.monotonic() + 60 * asked.minutes
    with tempfile.TemporaryDirectory(prefix="vfm-mutants-") as folder:
        copied = Path(folder, "checkout")
        listed = subprocess.run(["git", "ls-files"], capture_output=True, text=True, check=True)
        for name in filter(os.path.isfile, listed.stdout.splitlines()):
            (copied / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(name, copied / name)
        tests = Tests(copied)
        for mutant in drawn[: asked.most]:
            if time.monotonic() > deadline:
                break
            alive = survives(mutant, tests, copied)
            outcome["/".join(mutant.file.split("/")[:2])][alive] += 1
            if alive:
                print(f"survived  {mutant}", flush=True)
    for name, counts in sorted(outcome.items()):
        print(f"{name:24} {counts[False]:4} of {counts.total():4} killed")
    killed, total = (sum(c[False] for c in outcome.values()), sum(c.total() for c in outcome.values()))
    print(f"{'all':24} {killed:4} of {total:4} killed: {killed / max(total, 1):.0%}")


def _module(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 70 else f"{flat[:69]}…"


if __name__ == "__main__":
    main()

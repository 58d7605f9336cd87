"""What the project says of itself is true: its install, its configs, the papers' files and commands."""

from __future__ import annotations

import ast
import re
import shlex
import shutil
import subprocess
import sys
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import click
import pytest
import yaml

from tui.__main__ import vfm_tui
from tui.cli.commands import vfm

ROOT = Path(__file__).parents[2]
PAPERS = [
    ROOT / "README.md",
    ROOT / "ARCHITECTURE.md",
    ROOT / "CONTRIBUTING.md",
    ROOT / "SECURITY.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
CONFIGS = sorted((ROOT / "configs").glob("*.yaml"))


def _installed() -> bool:
    try:
        return distribution("vfm-tui") is not None
    except PackageNotFoundError:
        return False


@pytest.mark.skipif(not _installed(), reason="vfm-tui is not installed beside this Python (make install)")
def test_both_packages_resolve_inside_the_checkout(tmp_path: Path) -> None:
    program = "import tui, remote; print(tui.__file__); print(remote.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True
    )
    assert [Path(line).parent for line in done.stdout.split()] == [ROOT / "tui", ROOT / "remote"]


@pytest.mark.parametrize("name", ["", "_wordle", "_bfcl"])
def test_the_guides_configs_are_there(name: str) -> None:
    assert (ROOT / "configs" / f"modal_training_config{name}.yaml").is_file()


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_every_config_loads(path: Path) -> None:
    from tui.config.resolve import resolve

    assert resolve(path).spec.training.steps > 0


def _named_files(text: str) -> set[str]:
    """Paths in backticks that look like files or folders of ours."""
    ticked = re.findall(r"`([A-Za-z0-9_./-]+)(?::[A-Za-z0-9_.]+)?`", text)
    tops = (
        ".ci/",
        ".github/",
        "locks/",
        "tui/",
        "remote/",
        "tests/",
        "configs/",
        "environments/",
        "examples/",
        "benchmarks/",
    )
    return {name for name in ticked if name.startswith(tops)}


@pytest.mark.parametrize("paper", PAPERS, ids=lambda p: p.name)
def test_files_that_papers_name_exist(paper: Path) -> None:
    missing = [name for name in sorted(_named_files(paper.read_text())) if not (ROOT / name).exists()]
    assert not missing


def _defined(path: Path) -> set[str]:
    """Functions, classes and methods of a file, as `name` and `Class.name`."""
    functions = (ast.FunctionDef, ast.AsyncFunctionDef)
    found = set()
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, (*functions, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{inner.name}" for inner in node.body if isinstance(inner, functions)}
    return found


@pytest.mark.parametrize("paper", PAPERS, ids=lambda p: p.name)
def test_functions_that_papers_name_exist(paper: Path) -> None:
    """The three lives of ARCHITECTURE.md above all: `file.py:function`, `file.py:Class.method`."""
    named = re.findall(r"`([A-Za-z0-9_./-]+\.py):([A-Za-z_][A-Za-z0-9_.]*)`", paper.read_text())
    missing = [f"{file}:{name}" for file, name in named if name not in _defined(ROOT / file)]
    assert not missing
    assert len(named) >= 25 or paper.name != "ARCHITECTURE.md"


@pytest.mark.parametrize("paper", PAPERS, ids=lambda p: p.name)
def test_pictures_that_papers_show_exist(paper: Path) -> None:
    shown = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", paper.read_text())
    assert not [name for name in shown if not (paper.parent / name).is_file()]


def commands(text: str) -> list[str]:
    """Every `vfm …` and `vfm-tui …` line of a paper's shell blocks, without prompts and comments."""
    blocks = re.findall(r"```(?:bash|sh|shell|console)?\n(.*?)```", text, re.S)
    lines = [line.strip().removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [line for line in lines if re.match(r"(\.venv/bin/)?vfm(-tui)? ", line)]


def parse(line: str) -> None:
    """Parse a command line as `vfm` or `vfm-tui` would, and run nothing. Raises `click.UsageError`."""
    program, *words = shlex.split(re.split(r"\s[|>&]", line)[0], comments=True)
    command: click.Command = vfm_tui if program.endswith("-tui") else vfm
    context = click.Context(command, info_name=program)
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    with suppress(click.exceptions.Exit):  # --help and --version end the parsing
        command.make_context(context.info_name, list(words))


README_COMMANDS = [line for paper in PAPERS for line in commands(paper.read_text())]


@pytest.mark.parametrize("line", README_COMMANDS)
def test_commands_that_papers_show_parse(line: str) -> None:
    parse(line)


@pytest.mark.parametrize(
    "line",
    [
        "vfm-tui --wep",
        "vfm lunch x",
        "vfm launch",
        "vfm launch x --stepps 3",
        "vfm image build moon",
        "vfm config shows x",
    ],
)
def test_a_paper_with_a_wrong_command_would_be_caught(line: str) -> None:
    with pytest.raises(click.UsageError):
        parse(line)


def _make_targets() -> set[str]:
    return set(re.findall(r"^([a-z][a-z0-9-]*):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("paper", PAPERS, ids=lambda p: p.name)
def test_targets_of_make_that_papers_name_exist(paper: Path) -> None:
    named = set(re.findall(r"(?:^|`)make ([a-z][a-z0-9-]*)", paper.read_text(), re.MULTILINE))
    assert not named - _make_targets()


def test_the_hooks_are_the_parts_of_make_check_and_ci_runs_what_a_person_can() -> None:
    config = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
    hooks = [hook["entry"] for repo in config["repos"] for hook in repo["hooks"]]
    makefile = (ROOT / "Makefile").read_text()
    parts = re.search(r"^check: (.*)$", makefile, re.MULTILINE)
    assert parts is not None
    assert hooks == [f"make --silent {part}" for part in parts[1].split()]
    assert "- run: .ci/run\n" in (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    assert "make check && make test" in (ROOT / ".ci" / "run").read_text()


def test_every_command_has_help() -> None:
    def walk(command: click.Command, path: tuple[str, ...]) -> None:
        assert command.help, path
        if isinstance(command, click.Group):
            for name, child in command.commands.items():
                walk(child, (*path, name))

    walk(vfm, ("vfm",))


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_names_the_python_that_it_misses(tmp_path: Path) -> None:
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "locks", tmp_path / "locks")
    make = shutil.which("make") or "make"
    done = subprocess.run(
        [make, "install"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": str(tmp_path)},
        check=False,
    )
    assert done.returncode == 2
    assert "No Python 3.11 or 3.12" in done.stderr
    assert not (tmp_path / ".venv").exists()


def test_every_promise_of_the_security_page_names_tests_that_exist() -> None:
    rows = [line for line in (ROOT / "SECURITY.md").read_text().splitlines() if line.startswith("| ")]
    promises = [row for row in rows if not row.startswith("| promise")]
    assert len(promises) >= 8
    for promise in promises:
        named = re.findall(r"`(tests/[a-z0-9_/]+\.py)::(test_[a-z0-9_]+)`", promise)
        assert named, promise
        for file, test in named:
            assert re.search(rf"^(async )?def {test}\(", (ROOT / file).read_text(), re.MULTILINE), (
                file,
                test,
            )

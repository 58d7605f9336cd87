"""Who imports whom, as it happens: fresh processes tell what they loaded.

import-linter sees static imports and ruff sees names; this sees what is really loaded, through whatever
detour.
"""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = {"torch", "transformers", "trl", "peft", "verifiers", "vllm", "wandb"}
SCREENS = {"textual", "rich"}
CLIENT = {"pydantic", "yaml", "dotenv", "asyncio"}


def loaded(program: str, *args: str) -> set[str]:
    """Top-level modules that a program has loaded when it ends."""
    tail = "\nfinally:\n    import json\n    print('\\n' + json.dumps(sorted(sys.modules)))\n"
    body = "import sys\ntry:\n" + "".join(f"    {line}\n" for line in program.splitlines())
    done = subprocess.run(
        [sys.executable, "-c", body + tail, *args], capture_output=True, text=True, cwd=ROOT, check=False
    )
    assert done.returncode == 0, done.stderr
    return {name.partition(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_help_loads_click_alone() -> None:
    program = "sys.argv = ['vfm', '--help']\nfrom tui.cli import main\nmain()"
    modules = loaded(program)
    assert "click" in modules
    assert not modules & (HEAVY | SCREENS | CLIENT | {"modal"})


def test_the_first_frame_waits_for_nothing_heavy() -> None:
    modules = loaded("import tui.app")
    assert "textual" in modules
    assert not modules & (HEAVY | {"pydantic", "yaml", "dotenv", "modal"})


FIRST_FRAME = """
import json, sys
from tui.app import VfmApp

class Probe(VfmApp):
    def _display(self, screen, renderable):
        super()._display(screen, renderable)
        painted = [w for w in screen.query("VfmHeader, VfmFooter, RunTable") if w.region.area]
        if len(painted) == 3 and not self._exit:
            print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})), file=sys.__stdout__)
            self.exit()

Probe().run(headless=True, size=(120, 40))
"""


def test_nothing_heavy_is_loaded_when_the_first_frame_is_painted(tmp_path: Path) -> None:
    """With a `.env` and a `settings.toml` in place: the one waits, the other is read."""
    (tmp_path / ".env").write_text("EXPERIMENTER=ann\n")
    config = tmp_path / "config"
    config.mkdir()
    (config / "settings.toml").write_text('theme = "vfm-light"\n[keys]\n"app.quit" = "ctrl+x"\n')
    env = {"VFM_HOME": str(tmp_path / "home"), "VFM_CONFIG_DIR": str(config), "VFM_PROJECT": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", FIRST_FRAME],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**os.environ, **env},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    modules = set(json.loads(done.stdout.splitlines()[0]))
    assert "tomllib" in modules
    assert not modules & (HEAVY | {"pydantic", "yaml", "dotenv", "modal", "pyarrow", "click"})


@pytest.mark.parametrize(
    "module", ["tui.client", "tui.planning.plan", "tui.backends.local.backend", "tui.settings"]
)
def test_the_client_shows_nothing_and_loads_no_modal(module: str) -> None:
    assert not loaded(f"import {module}") & (HEAVY | SCREENS | {"modal", "click"})


def test_the_contract_needs_pydantic_and_nothing_of_ours() -> None:
    names = sorted(path.stem for path in (ROOT / "remote" / "contract").glob("[a-z]*.py"))
    modules = loaded("import " + ", ".join(f"remote.contract.{name}" for name in names))
    assert not modules & (HEAVY | SCREENS | {"tui", "yaml", "dotenv", "modal", "click"})


@pytest.mark.parametrize(
    "module", ["remote.supervisor.__main__", "remote.modal_app.container", "remote.image.pins"]
)
def test_what_a_run_begins_with_needs_no_training_stack_and_no_modal(module: str) -> None:
    assert not loaded(f"import {module}") & (HEAVY | SCREENS | {"tui", "modal", "yaml", "dotenv"})


@pytest.mark.parametrize(
    "path", sorted((ROOT / "remote").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_no_module_of_the_far_side_counts_the_folders_above_itself(path: Path) -> None:
    """A module that moves would count wrong: `remote.CODE` and `remote.PARENT` say where the code lies."""
    assert not re.search(r"__file__\S*\.parent(s\[|\.parent)", path.read_text(encoding="utf-8"))


def _imports(path: Path) -> set[str]:
    """Full names that a file imports, at any depth."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def _ours(path: Path) -> set[str]:
    return {name for name in _imports(path) if name.split(".")[0] in ("tui", "remote")}


@pytest.mark.parametrize("path", sorted((ROOT / "tui").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_near_side_knows_only_the_contract(path: Path) -> None:
    far = {name for name in _ours(path) if name.startswith("remote")} - {"remote"}
    assert not {name for name in far if not name.startswith("remote.contract")}


@pytest.mark.parametrize(
    "path", sorted((ROOT / "remote").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT))
)
def test_the_far_side_knows_nothing_of_the_near_side(path: Path) -> None:
    assert not {name for name in _ours(path) if name.startswith("tui")}
    if path.parent.name == "contract":
        assert not {name for name in _ours(path) if not name.startswith("remote.contract")}


ENVIRONMENT_FILES = [
    path for path in ROOT.glob("environments/*/**/*.py") if "/tests/" not in str(path.relative_to(ROOT))
]


@pytest.mark.parametrize("path", sorted(ENVIRONMENT_FILES), ids=lambda p: p.name)
def test_environments_know_nothing_of_us(path: Path) -> None:
    assert not _ours(path)


@pytest.mark.parametrize("path", sorted((ROOT / "tui").rglob("*.py")), ids=lambda p: str(p.relative_to(ROOT)))
def test_streams_and_long_tables_have_widgets_of_their_own(path: Path) -> None:
    """Textual's own take seconds at ten thousand rows and a thousand lines a second."""
    assert not _imports(path) & {f"textual.widgets.{name}" for name in ("DataTable", "RichLog", "Log")}

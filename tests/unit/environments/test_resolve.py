"""Environments by name, installed into an overlay by the real uv, without any network.

The packages made here bring their own small build backend, and what they depend on lies in a folder of
wheels, so nothing is downloaded.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict

from remote.contract.errors import EnvironmentMissing
from remote.environments import errors, resolve

ROOT = Path(__file__).parents[3]
BACKEND = """
import pathlib, tomllib, zipfile
def build_wheel(directory, config_settings=None, metadata_directory=None):
    project = tomllib.loads(pathlib.Path("pyproject.toml").read_text())["project"]
    stem = f"{project['name'].replace('-', '_')}-{project['version']}"
    info = f"{stem}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {project['name']}", f"Version: {project['version']}"]
    lines += [f"Requires-Dist: {need}" for need in project.get("dependencies", [])]
    with zipfile.ZipFile(pathlib.Path(directory) / f"{stem}-py3-none-any.whl", "w") as wheel:
        for path in pathlib.Path().glob("vf_*/*.py"):
            wheel.write(path)
        wheel.writestr(f"{info}/METADATA", chr(10).join(lines) + chr(10))
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(f"{info}/RECORD", "")
    return f"{stem}-py3-none-any.whl"
"""


def package(folder: Path, name: str, code: str = "VALUE = 1\n", needs: list[str] | None = None) -> Path:
    """An environment package `name` (as a module) in the folder."""
    source = folder / name
    (source / name).mkdir(parents=True, exist_ok=True)
    (source / name / "__init__.py").write_text(code)
    (source / "backend.py").write_text(BACKEND)
    (source / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
        f'[project]\nname = "{name.replace("_", "-")}"\nversion = "1.0"\ndependencies = {needs or []!r}\n'
    )
    return source


def wheel(folder: Path, name: str, version: str, needs: list[str] | None = None) -> None:
    """A wheel with one module that knows its version."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    lines += [f"Requires-Dist: {need}" for need in needs or []]
    with zipfile.ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as file:
        file.writestr(f"{name}.py", f"VERSION = {version!r}\n")
        file.writestr(f"{info}/METADATA", "\n".join(lines) + "\n")
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of wheels that stands for the package index, and no way to any other."""
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    monkeypatch.setenv("UV_DEFAULT_INDEX", (tmp_path / "no-index").as_uri())
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv-cache"))
    return wheels


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], str]:
    """What an expression gives in a new process that imports from the overlay."""

    def run(target: Path, code: str) -> str:
        program = (
            f"import sys; sys.path.insert(0, {str(ROOT)!r})\nfrom pathlib import Path\n"
            f"from remote.environments.resolve import activate\nactivate(Path({str(target)!r}))\n{code}"
        )
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
        return done.stdout.strip()

    return run


@pytest.mark.parametrize("name", ["wordle", "vf-wordle", "vf_wordle", "VF-Wordle", " wordle "])
def test_any_spelling_names_the_package(name: str) -> None:
    assert resolve.resolve(name, ROOT / "environments") == "vf_wordle"


def test_a_folder_without_the_prefix_is_found_too(tmp_path: Path) -> None:
    package(tmp_path, "gsm8k")
    assert resolve.resolve("gsm8k", tmp_path) == "gsm8k"


def test_an_unknown_name_is_told_the_nearest_and_what_there_is(tmp_path: Path) -> None:
    for name in ("vf_wordle", "vf_bfcl_single_turn"):
        package(tmp_path, name)
    with pytest.raises(EnvironmentMissing) as caught:
        resolve.resolve("wordel", tmp_path)
    hint = caught.value.hint
    assert "'wordel'" in str(caught.value)
    assert "did you mean 'vf-wordle'?" in str(caught.value)
    assert hint is not None
    assert hint.text == "there are: vf-bfcl-single-turn, vf-wordle"
    assert (hint.key, hint.old, hint.new) == ("training.environment", "wordel", "vf-wordle")


def test_a_folder_that_holds_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentMissing, match="holds none"):
        resolve.resolve("wordle-2", tmp_path)


@pytest.mark.parametrize("name", ["json", "random", "../vf_wordle", "a.b", "", "vf wordle"])
def test_what_can_be_no_environment_is_unknown(name: str, tmp_path: Path) -> None:
    package(tmp_path, "vf_wordle")
    with pytest.raises(EnvironmentMissing, match="there is no environment"):
        resolve.resolve(name, tmp_path)


def test_an_installed_module_is_taken_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vf_elsewhere.py").touch()
    monkeypatch.syspath_prepend(str(tmp_path))
    assert resolve.resolve("elsewhere", tmp_path / "environments") == "vf_elsewhere"
    said: list[str] = []
    where = resolve.Place("vf_elsewhere", "", tmp_path / "environments", tmp_path / "overlays")
    assert resolve.provide(where, said.append) == "vf_elsewhere"
    assert said == ["vf_elsewhere is an installed module"]
    assert not (tmp_path / "overlays").exists()


def test_a_package_is_installed_into_the_overlay_only(
    tmp_path: Path, offline: Path, run: Callable[[Path, str], str]
) -> None:
    package(tmp_path, "vf_one")
    target, said = tmp_path / "overlay", list[str]()
    resolve.install("vf_one", tmp_path, target, said.append)
    assert run(target, "import vf_one; print(vf_one.__file__)") == str(target / "vf_one" / "__init__.py")
    assert any("vf-one==1.0" in line for line in said)
    assert importlib.util.find_spec("vf_one") is None


def test_what_it_lacks_is_installed_too_but_nothing_that_is_there(
    tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[Path, str], str]
) -> None:
    # `vfm_there` 1.0 is installed; the index also has 2.0, which must not come in,
    # nor may anything that would need it: `vfm_lacking` 4.0.
    there = tmp_path / "installed"
    for version in ("1.0", "2.0"):
        wheel(offline, "vfm_there", version)
    with zipfile.ZipFile(offline / "vfm_there-1.0-py3-none-any.whl") as file:
        file.extractall(there)
    monkeypatch.syspath_prepend(str(there))
    wheel(offline, "vfm_lacking", "3.0", needs=["vfm_there>=1.0", "vfm_deep"])
    wheel(offline, "vfm_lacking", "4.0", needs=["vfm_there>=2.0"])
    wheel(offline, "vfm_deep", "0.1")
    needs = ["vfm_lacking>=2", "vfm_there", "vfm_never; sys_platform == 'nowhere'"]
    package(tmp_path, "vf_three", needs=needs)
    target = tmp_path / "overlay"
    resolve.install("vf_three", tmp_path, target, lambda line: None)
    assert run(target, "import vfm_lacking, vfm_deep; print(vfm_lacking.VERSION)") == "3.0"
    assert not (target / "vfm_there.py").exists()


def test_a_dependency_that_contradicts_the_training_stack_is_refused(
    tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel(offline, "vfm_old", "1.0")
    with zipfile.ZipFile(offline / "vfm_old-1.0-py3-none-any.whl") as file:
        file.extractall(tmp_path / "installed")
    monkeypatch.syspath_prepend(str(tmp_path / "installed"))
    package(tmp_path, "vf_four", needs=["vfm_old>=2"])
    with pytest.raises(
        EnvironmentMissing, match=r"needs vfm_old>=2, but the training stack has vfm_old 1\.0"
    ):
        resolve.install("vf_four", tmp_path, tmp_path / "overlay", lambda line: None)


def test_what_extras_of_an_installed_package_need_is_installed(
    tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch, run: Callable[[Path, str], str]
) -> None:
    """`verifiers[ta]`: the stack has verifiers, and not what its extra adds; extras ask for extras, too."""
    there = tmp_path / "installed"
    needs = ["vfm_sound; extra == 'audio'", "vfm_there[audio]; extra == 'all'", "vfm_words; extra == 'all'"]
    wheel(offline, "vfm_there", "1.0", needs=needs)
    with zipfile.ZipFile(offline / "vfm_there-1.0-py3-none-any.whl") as file:
        file.extractall(there)
    monkeypatch.syspath_prepend(str(there))
    wheel(offline, "vfm_sound", "1.0", needs=["vfm_deep"])
    wheel(offline, "vfm_words", "1.0")
    wheel(offline, "vfm_deep", "0.1")
    package(tmp_path, "vf_plain", needs=["vfm_there"])
    package(tmp_path, "vf_all", needs=["vfm_there[all]>=1"])
    resolve.install("vf_plain", tmp_path, tmp_path / "plain", lambda line: None)
    assert not (tmp_path / "plain" / "vfm_words.py").exists()
    resolve.install("vf_all", tmp_path, tmp_path / "all", lambda line: None)
    assert run(tmp_path / "all", "import vfm_sound, vfm_deep, vfm_words; print('there')") == "there"
    assert not (tmp_path / "all" / "vfm_there.py").exists()


def test_an_extra_that_contradicts_the_training_stack_is_refused_by_its_name(
    tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = tmp_path / "installed"
    wheel(offline, "vfm_there", "1.0", needs=["vfm_old>=2; extra == 'new'"])
    wheel(offline, "vfm_old", "1.0")
    for path in list(offline.glob("*.whl")):
        with zipfile.ZipFile(path) as file:
            file.extractall(there)
    monkeypatch.syspath_prepend(str(there))
    package(tmp_path, "vf_new", needs=["vfm_there[new]"])
    with pytest.raises(EnvironmentMissing, match=r"needs vfm_old>=2, by vfm_there\[new\], but the training"):
        resolve.install("vf_new", tmp_path, tmp_path / "overlay", lambda line: None)


def test_a_build_does_not_see_the_runs_secrets(
    tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_never_shown")
    source = package(tmp_path, "vf_nosy")
    look = "import os, sys\nsys.exit(f'token: {os.environ.get(\"HF_TOKEN\")}')\n"
    (source / "backend.py").write_text(look)
    said: list[str] = []
    with pytest.raises(EnvironmentMissing):
        resolve.install("vf_nosy", tmp_path, tmp_path / "overlay", said.append)
    assert any("token: None" in line for line in said)


def test_a_failed_install_quotes_the_installer_and_is_tried_again(tmp_path: Path, offline: Path) -> None:
    package(tmp_path, "vf_five", needs=["vfm_nowhere"])
    said: list[str] = []
    for _ in range(2):
        with pytest.raises(EnvironmentMissing) as caught:
            resolve.install("vf_five", tmp_path, tmp_path / "overlay", said.append)
        assert "vfm-nowhere" in caught.value.cause
        assert caught.value.boundary == "environment"
    assert any("vfm-nowhere" in line for line in said)


def test_a_package_that_is_broken_says_where(tmp_path: Path, offline: Path) -> None:
    source = package(tmp_path, "vf_six")
    (source / "pyproject.toml").write_text("[project\n")
    with pytest.raises(EnvironmentMissing) as caught:
        resolve.install("vf_six", tmp_path, tmp_path / "overlay", lambda line: None)
    assert str(source / "pyproject.toml") in str(caught.value)


def test_a_package_that_installs_another_module_is_refused(tmp_path: Path, offline: Path) -> None:
    source = package(tmp_path, "vf_seven")
    shutil.move(source / "vf_seven", source / "vf_other")
    with pytest.raises(EnvironmentMissing, match="installs no module vf_seven"):
        resolve.install("vf_seven", tmp_path, tmp_path / "overlay", lambda line: None)


def test_the_overlay_comes_last_on_the_path_and_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", list(sys.path))
    resolve.activate(tmp_path)
    sys.path.append("elsewhere")
    resolve.activate(tmp_path)
    assert sys.path[-1] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


@pytest.mark.parametrize(
    ("code", "cause"),
    [
        ("import json\n\njson.loads('{')\n", "__init__.py:3: JSONDecodeError: "),
        ("def f(:\n", "__init__.py:1: SyntaxError: invalid syntax"),
        ("import vfm_not_there\n", "__init__.py:1: ModuleNotFoundError: No module named 'vfm_not_there'"),
        ("\nimport sys; sys.exit(3)\n", "__init__.py:2: SystemExit: 3"),
        (
            "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise KeyError('k') from e\n",
            "__init__.py:4: KeyError: 'k'",
        ),
    ],
)
def test_an_environment_that_raises_is_named_with_its_line(
    code: str, cause: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vf_raises").mkdir()
    (tmp_path / "vf_raises" / "__init__.py").write_text(code)
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(EnvironmentMissing) as caught, errors.user_code("vf_raises"):
        importlib.import_module("vf_raises")
    assert caught.value.boundary == "environment"
    assert caught.value.cause.startswith(str(tmp_path / "vf_raises"))
    assert cause in caught.value.cause


def test_the_users_line_is_found_beneath_an_error_of_a_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "vf_beneath.py").write_text("def load():\n    return [][0]\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    module: Any = importlib.import_module("vf_beneath")

    def library() -> None:
        try:
            module.load()
        except IndexError as error:
            raise RuntimeError("wrapped") from error

    with (
        pytest.raises(EnvironmentMissing, match="wrapped") as caught,
        errors.user_code("vf_beneath"),
    ):
        library()
    assert caught.value.cause == f"{tmp_path / 'vf_beneath.py'}:2: IndexError: list index out of range"


TASKSETS = "(Mine in __init__.py:3, Other in __init__.py:6)"


@pytest.mark.parametrize(
    ("raised", "said", "advice"),
    [
        (
            "AttributeError(\"taskset module 'vf_x' defines no `__all__`; a taskset must\")",
            f'names no taskset {TASKSETS}: add __all__ = ["Mine"] to {{file}}',
            "mend the environment's code: {file}",
        ),
        (
            "ValueError(\"taskset module 'vf_x' exports 2 Taskset subclasses via `__all__` (['a'])\")",
            f"__all__ in {{file}} names several tasksets {TASKSETS}: leave one",
            "mend the environment's code: {file}",
        ),
        (
            "TypeError(\"taskset module 'vf_x' exports no Taskset subclass via `__all__` (found ['a'])\")",
            "__all__ in {file} names no taskset (Mine in",
            "mend the environment's code: {file}",
        ),
        (
            "ConnectionError(\"Couldn't reach 'openai/gsm8k' on the Hub\")",
            "Couldn't reach",
            "check the connection",
        ),
        ("OSError('[Errno -2] Name or service not known')", "Name or service", "check the connection"),
        (
            "ExceptionGroup('unhandled errors in a TaskGroup', [ValueError('the inner one')])",
            "cannot be loaded: ValueError: the inner one",
            "mend the environment's code: {file}",
        ),
        ("RuntimeError('odd')", "RuntimeError: odd", "mend the environment's code: {file}"),
    ],
)
def test_no_line_of_a_library_is_to_be_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raised: str, said: str, advice: str
) -> None:
    """A library raises, and what is said names the environment's own file and classes."""
    code = "import verifiers.v1 as vf\n\nclass Mine(vf.Taskset):\n    pass\n\nclass Other(Mine):\n    pass\n"
    file = tmp_path / "vf_mine" / "__init__.py"
    file.parent.mkdir()
    file.write_text(code)
    (tmp_path / "vfm_library.py").write_text(f"def load():\n    raise {raised}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "vfm_library", raising=False)
    library: Any = importlib.import_module("vfm_library")
    with pytest.raises(EnvironmentMissing) as caught, errors.user_code("vf_mine"):
        library.load()
    assert said.format(file=file) in caught.value.message
    assert caught.value.hint is not None
    assert advice.format(file=file) in caught.value.hint.text
    assert "vfm_library.py" not in f"{caught.value} {caught.value.cause}"


def test_a_line_is_named_where_its_author_has_it(
    tmp_path: Path, offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not in the copy that was installed, unless the source has changed since."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    source = package(tmp_path / "mine", "vf_at_fault", "def load():\n    return [][0]\n")
    where = resolve.Place("vf_at_fault", str(source), tmp_path, tmp_path / "cache")
    module: Any = importlib.import_module(resolve.provide(where, lambda line: None))
    for file in (source / "vf_at_fault" / "__init__.py", Path(module.__file__)):
        with pytest.raises(EnvironmentMissing) as caught, errors.user_code("vf_at_fault"):
            module.load()
        assert caught.value.cause.startswith(f"{file}:2: IndexError")
        (source / "vf_at_fault" / "__init__.py").write_text("# edited\n")


def test_refused_options_are_named_as_the_keys_that_the_user_wrote() -> None:
    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid")
        turns: int = 6

    class Config(BaseModel):
        taskset: Options

    with pytest.raises(EnvironmentMissing) as caught, errors.user_code("vf_wordle"):
        Config.model_validate({"taskset": {"turns": "many", "turn": 3}})
    assert "training.environment_args.turns: Input should be a valid integer" in str(caught.value)
    assert "training.environment_args.turn: Extra inputs are not permitted (got 3)" in str(caught.value)
    assert caught.value.hint is not None
    assert caught.value.hint.key == "training.environment_args.turns"


@pytest.mark.parametrize(
    ("module", "code", "said", "notice"),
    [
        (
            "vf_wordle",
            "words; print(len(words.answers()), len(words.guesses()))",
            "3568 6748",
            "SCOWL-COPYRIGHT",
        ),
        ("vf_bfcl_single_turn", "entries; print(len(entries.select()))", "3491", "NOTICE"),
    ],
    ids=["vf_wordle", "vf_bfcl_single_turn"],
)
def test_our_environments_are_whole_packages(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[[Path, str], str],
    module: str,
    code: str,
    said: str,
    notice: str,
) -> None:
    """Built by hatchling (from uv's cache or the package index); verifiers is made out to be installed."""
    info = tmp_path / "installed" / "verifiers-0.4.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: verifiers\nVersion: 0.4.0\n")
    # Tests of the environments' own code put their folders there.
    monkeypatch.setattr(
        sys, "path", [path for path in sys.path if ROOT / "environments" not in Path(path).parents]
    )
    monkeypatch.syspath_prepend(str(info.parent))
    target = tmp_path / "overlay"
    resolve.install(module, ROOT / "environments", target, lambda line: None)
    assert run(target, f"import {module}; print({module}.__file__)") == str(target / module / "__init__.py")
    assert run(target, f"from {module} import {code}") == said
    kept = Path(module, "data", notice)
    assert (target / kept).read_bytes() == (ROOT / "environments" / module / kept).read_bytes()

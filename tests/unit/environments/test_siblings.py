"""Packages of `environments/` that need each other, installed by the real uv without any network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from remote.contract.errors import EnvironmentMissing
from remote.environments import resolve
from remote.environments.siblings import siblings
from tests.unit.environments.test_resolve import offline, package, run, wheel

__all__ = ["offline", "run"]


def quiet(line: str) -> None:
    """Nobody listens."""


def test_a_package_that_lies_beside_it_is_taken_from_there(
    tmp_path: Path, offline: Path, run: Callable[[Path, str], str]
) -> None:
    folder, target, said = tmp_path / "environments", tmp_path / "overlay", list[str]()
    wheel(offline, "vf_base", "9.0")  # the index has one of that name too
    package(folder, "vf_base", needs=["vfm_deep"])
    wheel(offline, "vfm_deep", "0.1")
    package(folder, "vf_middle", needs=["vf-base>=1"])
    package(folder, "vf_top", needs=["VF.Middle"])
    resolve.install("vf_top", folder, target, said.append)
    assert run(target, "import vf_top, vf_middle, vf_base, vfm_deep; print(vf_base.VALUE)") == "1"
    assert f"vf_top needs vf_base: installing it from {folder / 'vf_base'}" in said
    assert not (target / "vf_base.py").exists()


def test_packages_that_need_each_other_end(tmp_path: Path) -> None:
    one = package(tmp_path, "vf_one", needs=["vf-two"])
    two = package(tmp_path, "vf_two", needs=["vf-one", "not a requirement !"])
    (tmp_path / "vf_broken").mkdir()
    (tmp_path / "vf_broken" / "pyproject.toml").write_text("[project\n")
    assert siblings(one) == [two]


def test_dependencies_that_a_package_excludes_are_not_installed(
    tmp_path: Path, offline: Path, run: Callable[[Path, str], str]
) -> None:
    folder, target = tmp_path / "environments", tmp_path / "overlay"
    wheel(offline, "vfm_large", "1.0", needs=["vfm_heavy", "vfm_light"])
    wheel(offline, "vfm_light", "1.0")
    source = package(folder, "vf_slim", needs=["vfm_large"])
    with pytest.raises(EnvironmentMissing, match="could not be installed"):  # nobody has vfm_heavy
        resolve.install("vf_slim", folder, tmp_path / "first", quiet)
    project = source / "pyproject.toml"
    project.write_text(project.read_text() + '[tool.uv]\nexclude-dependencies = ["vfm-heavy"]\n')
    resolve.install("vf_slim", folder, target, quiet)
    assert run(target, "import vf_slim, vfm_large, vfm_light; print('there')") == "there"

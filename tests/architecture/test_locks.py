"""The locks hold what pyproject.toml and the image's pins ask for, with hashes; they name no index."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from locks.__main__ import changes, merged, versions
from remote.contract.platforms import PYTHONS
from remote.image import pins
from remote.image.pins import Device

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
LOCKS = [
    ROOT / "locks" / "client.txt",
    ROOT / "locks" / "dev.txt",
    pins.lock_file("cuda"),
    pins.lock_file("cpu"),
]
DEVICES: list[tuple[Device, str]] = [("cuda", "train"), ("cpu", "train-cpu")]
STALE = "`make lock` writes the locks anew"


def group(name: str) -> Iterator[str]:
    """The requirements of a dependency group, with those of the groups that it includes."""
    for entry in PROJECT["dependency-groups"][name]:
        yield from group(entry["include-group"]) if isinstance(entry, dict) else [entry]


def locked(lock: Path, python: str) -> dict[str, str]:
    """Name → version on Linux on x86-64."""
    environment: Any = {**default_environment(), "sys_platform": "linux", "platform_machine": "x86_64"}
    environment |= {"python_version": python, "python_full_version": f"{python}.9"}
    lines = (line.rstrip("\\ ") for line in lock.read_text().splitlines() if re.match(r"[a-z0-9]", line))
    pins = [Requirement(line) for line in lines]
    here = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
    found = {pin.name: str(pin.specifier).removeprefix("==") for pin in here}
    assert len(found) == len(here), "a package is locked twice for one platform"
    return found


def unmet(requirements: Iterable[str], lock: Path, python: str) -> list[str]:
    have = locked(lock, python)
    return [
        text
        for text in requirements
        for wanted in [Requirement(text)]
        if not wanted.specifier.contains(have.get(canonicalize_name(wanted.name), "0.dev0"), prereleases=True)
    ]


@pytest.mark.parametrize("python", PYTHONS)
def test_the_client_and_its_tests_are_locked_as_pyproject_asks(python: str) -> None:
    wanted = [*PROJECT["project"]["dependencies"], *group("build")]
    assert not unmet(wanted, LOCKS[0], python), STALE
    assert not unmet([*wanted, *PROJECT["project"]["optional-dependencies"]["dev"]], LOCKS[1], python), STALE
    client, dev = locked(LOCKS[0], python), locked(LOCKS[1], python)
    assert client.items() <= dev.items(), STALE
    assert list(group("build")) == PROJECT["build-system"]["requires"]


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(("device", "name"), DEVICES)
def test_an_image_is_locked_as_its_pins_ask(device: Device, name: str, python: str) -> None:
    wanted = [*pins.requirements(device), *pins.WITHOUT_DEPENDENCIES]
    assert not unmet(wanted, pins.lock_file(device), python), STALE


@pytest.mark.parametrize(("device", "name"), DEVICES)
def test_pyproject_names_the_training_stack_as_the_image_has_it(device: Device, name: str) -> None:
    image = {Requirement(pin).name: Requirement(pin).specifier for pin in pins.requirements(device)}
    named = {Requirement(pin).name: Requirement(pin).specifier for pin in group(name)}
    assert named.keys() == image.keys()
    for package, specifier in named.items():
        assert str(specifier).startswith("==")
        assert str(specifier) in str(image[package]).split(",")


@pytest.mark.parametrize("lock", LOCKS, ids=lambda path: path.name)
def test_a_lock_has_hashes_and_no_index(lock: Path) -> None:
    text = lock.read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text
    bare = re.findall(r"^([a-z0-9._-]+)==[^\\\n]*$", text, re.MULTILINE)
    assert bare == (["torch"] if lock == pins.lock_file("cpu") else [])


def test_an_image_s_recipe_changes_with_its_lock() -> None:
    recipe = pins.recipe("cpu")
    assert recipe.constraints == tuple(pins.lock_file("cpu").read_text().splitlines())


def test_a_refresh_shows_what_came_went_and_moved() -> None:
    before = versions("a==1 \\\n    --hash=x\nb==1\nc==1\n")
    after = versions("a==2\nc==1\nd==1 ; python_version == '3.11'\nd==2 ; python_version == '3.12'\n")
    assert changes(before, after) == ["  a 1 → 2", "- b 1", "+ d 1, 2"]
    assert changes(after, after) == ["nothing changed"]


def test_what_differs_by_python_carries_a_marker() -> None:
    same, old, new = "a==1 \\\n    --hash=x", "b==1 \\\n    --hash=y", "b==2 \\\n    --hash=z"
    assert merged({"3.11": {"a": same, "b": old}, "3.12": {"a": same, "b": new}}) == (
        f"{same}\n"
        "b==1 ; python_version == '3.11' \\\n    --hash=y\n"
        "b==2 ; python_version == '3.12' \\\n    --hash=z\n"
    )
    assert merged({"3.11": {"b": old}, "3.12": {}}) == "b==1 ; python_version == '3.11' \\\n    --hash=y\n"

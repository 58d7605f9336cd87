"""Write the lock files anew and print what changed: `make lock`.

    python -m locks              keep every locked version that still satisfies pyproject.toml and pins.py
    python -m locks --upgrade    take the newest version of everything
    python -m locks NAME…        take the newest version of these packages

Each file holds the exact version and the hashes of every package, for Python 3.11 and 3.12: the client's on
every platform, an image's on Linux on x86-64. They name no package index: uv and pip ask the one that they
are set up with.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from remote.contract.platforms import PYTHONS
from remote.image import pins
from remote.image.pins import Device
from remote.processes import uv

ROOT = Path(__file__).parents[1]
IMAGE_PLATFORM = "x86_64-manylinux_2_28"
HEAD = "# Written by `make lock`: change pyproject.toml or remote/image/pins.py instead.\n"
ANY_TORCH = (
    "# torch has no hash: the CPU image takes any build of that version, and each index has one of its own.\n"
)
_PIN = re.compile(r"^([a-z0-9._-]+)==([^\s;]+)", re.MULTILINE)


def main(arguments: list[str]) -> int:
    """Refresh all four files; the exit code is uv's where it fails."""
    parser = argparse.ArgumentParser("python -m locks", description="Write the lock files anew.")
    parser.add_argument("packages", nargs="*", metavar="NAME", help="take the newest version of this one")
    parser.add_argument("--upgrade", action="store_true", help="take the newest version of everything")
    options = parser.parse_args(arguments)
    newer = ["--upgrade"] if options.upgrade else []
    newer += [word for name in options.packages for word in ("--upgrade-package", name)]
    client, dev = ROOT / "locks" / "client.txt", ROOT / "locks" / "dev.txt"
    project = [str(ROOT / "pyproject.toml"), "--group", f"{ROOT / 'pyproject.toml'}:build"]
    _compile(client, [*project, *newer])
    _compile(dev, [*project, "--extra", "dev", "--constraints", str(client), *newer])
    for device in ("cuda", "cpu"):
        _compile_image(device, newer)
    return 0


def _compile_image(device: Device, newer: list[str]) -> None:
    """The whole set of an image, on each Python that it may have."""
    lock = pins.lock_file(device)
    with tempfile.TemporaryDirectory(prefix="vfm-lock-") as scratch:
        overrides = _lines(scratch, "overrides.txt", pins.overrides(device))
        wanted = _lines(scratch, "wanted.in", pins.requirements(device))
        alone = _lines(scratch, "alone.in", pins.WITHOUT_DEPENDENCIES)
        sets = {}
        for python in PYTHONS:
            target = ["--python-version", python, "--python-platform", IMAGE_PLATFORM, *newer]
            dependent = _resolved(lock, [wanted, "--overrides", overrides, *target])
            sets[python] = _blocks(dependent + _resolved(lock, [alone, "--no-deps", *target]))
    text = merged(sets)
    if device == "cpu":
        text = ANY_TORCH + re.sub(r"^(torch==\S+)(?: \\\n +--hash=\S+)+", r"\1", text, flags=re.MULTILINE)
    _replace(lock, text)


def _lines(folder: str, name: str, lines: Iterable[str]) -> str:
    path = Path(folder, name)
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def _compile(lock: Path, arguments: list[str]) -> None:
    _replace(lock, _resolved(lock, ["--universal", "--python-version", PYTHONS[0], *arguments]))


def _resolved(lock: Path, arguments: list[str]) -> str:
    """The lines that uv resolves, starting from the versions of a lock. Exits where it finds no solution."""
    with tempfile.TemporaryDirectory(prefix="vfm-lock-") as scratch:
        output = Path(scratch, "lock.txt")
        if lock.exists():
            output.write_text(lock.read_text())
        command = [
            *uv.command(),
            "pip",
            "compile",
            "--quiet",
            "--generate-hashes",
            "--no-annotate",
            "--no-header",
        ]
        command += ["--no-python-downloads", "--output-file", str(output), *arguments]
        done = subprocess.run(command, cwd=ROOT, env=uv.environment(os.environ), check=False)
        if done.returncode:
            sys.exit(done.returncode)
        return output.read_text()


def _blocks(text: str) -> dict[str, str]:
    """Name → its line, with the lines of its hashes."""
    found = re.findall(r"^([a-z0-9._-]+)(==.*(?:\n .*)*)", text, re.MULTILINE)
    return {name: name + rest for name, rest in found}


def merged(sets: Mapping[str, Mapping[str, str]]) -> str:
    """Lines that hold on every Python as they are, the others with a marker. `sets`: Python → name → line."""
    lines = []
    for name in sorted({name for blocks in sets.values() for name in blocks}):
        blocks = {python: found[name] for python, found in sets.items() if name in found}
        if len(blocks) == len(sets) and len(set(blocks.values())) == 1:
            lines.append(next(iter(blocks.values())))
        else:
            lines += [_only_on(python, block) for python, block in blocks.items()]
    return "".join(f"{line}\n" for line in lines)


def _only_on(python: str, block: str) -> str:
    pin, *hashes = block.split(" ", 1)
    return " ".join([f"{pin} ; python_version == '{python}'", *hashes])


def _replace(lock: Path, text: str) -> None:
    """Write a lock and print how it differs from what was there."""
    before = versions(lock.read_text()) if lock.exists() else {}
    lock.parent.mkdir(exist_ok=True)
    lock.write_text(HEAD + text)
    after = versions(text)
    print(f"{lock.relative_to(ROOT)}: {len(after)} packages")
    for line in changes(before, after):
        print(f"    {line}")


def versions(text: str) -> dict[str, str]:
    """Name → version, or versions where it depends on the platform or the Python."""
    found: dict[str, str] = {}
    for name, version in _PIN.findall(text):
        found[name] = f"{found[name]}, {version}" if name in found else version
    return found


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    """One line for each package that came, went or has another version."""
    lines = []
    for name in sorted(before.keys() | after.keys()):
        if name not in before:
            lines.append(f"+ {name} {after[name]}")
        elif name not in after:
            lines.append(f"- {name} {before[name]}")
        elif before[name] != after[name]:
            lines.append(f"  {name} {before[name]} → {after[name]}")
    return lines or ["nothing changed"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

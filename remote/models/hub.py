"""Download models of the Hugging Face hub into the hub's own cache, or take them from it.

huggingface_hub itself reads the token (HF_TOKEN).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from remote.contract.errors import Hint, ModelError
from remote.contract.model_choice import BUILTIN
from remote.contract.model_folder import ADAPTER, CONFIG

Say = Callable[[str], None]
_EVERY = 5.0  # seconds between two lines while a model is downloaded
# Weights in other formats, and files for other programs.
_UNWANTED = ["*.gguf", "*.onnx", "onnx/*", "*.h5", "*.msgpack", "*.tflite", "original/*", "*.ot", "coreml/*"]
_PICKLED = ["*.bin", "*.pt", "*.pth", "*.ckpt"]


def hub_cache(cache_dir: Path) -> Path:
    """The hub's cache: under HF_HOME where that is set, otherwise under the cache volume."""
    home = os.environ.get("HF_HOME")
    return (Path(home) if home else cache_dir / "huggingface") / "hub"


def prepare(name: str, cache_dir: Path, say: Say) -> Path:
    """A complete snapshot of a hub model, downloaded or from the cache. Raises `ModelError`."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    cache = hub_cache(cache_dir)
    try:
        files = [sibling.rfilename for sibling in HfApi().model_info(name, timeout=10).siblings or []]
    except RepositoryNotFoundError as error:  # GatedRepoError is a subclass
        raise _refused(name, error) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        return _cached(name, cache, error, say)
    except Exception as error:
        if not _is_network(error):
            raise
        return _cached(name, cache, error, say)
    if ADAPTER in files and CONFIG not in files:
        raise ModelError(
            f"the hub's {name} is an adapter, not a model",
            hint=Hint("merge it into its base model, and name that folder", "model.base_model", name),
        )
    if CONFIG not in files:
        raise ModelError(f"the hub's {name} has no config.json, so it is not a model", hint=_correct(name))
    safe = any(file.endswith(".safetensors") for file in files)
    return _download(name, cache, [*_UNWANTED, *(_PICKLED if safe else [])], say)


def is_snapshot(path: Path) -> bool:
    """Whether a directory is a snapshot in the hub's cache: `models--owner--name/snapshots/REVISION`."""
    return path.parent.name == "snapshots" and path.parents[1].name.startswith("models--")


def _download(name: str, cache: Path, unwanted: list[str], say: Say) -> Path:
    from huggingface_hub import snapshot_download

    blobs = cache / f"models--{name.replace('/', '--')}" / "blobs"
    try:
        with _reporting_size(f"downloading {name} from the hub", blobs, say):
            return Path(snapshot_download(name, cache_dir=cache, ignore_patterns=unwanted))
    except Exception as error:  # gated files, a full disk, a lost connection
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _refused(name, error) from error


@contextmanager
def _reporting_size(doing: str, blobs: Path, say: Say) -> Iterator[None]:
    """While the block runs, log the size of the downloaded files every few seconds."""
    over = threading.Event()

    def report() -> None:
        while not over.wait(_EVERY):
            size = sum(file.stat().st_size for file in blobs.glob("*") if file.exists())
            say(f"{doing} · {size / 1e6:,.0f} MB on disk")

    thread = threading.Thread(target=report, daemon=True, name="hub-progress")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _cached(name: str, cache: Path, error: Exception, say: Say) -> Path:
    """The copy in the cache, where the hub cannot be reached. Raises `ModelError`."""
    path = _complete_copy(name, cache)
    if path is not None:
        say(f"the hub cannot be reached: using the copy of {name} in the cache")
        return path
    others = ", ".join(BUILTIN)
    raise ModelError(
        f"{name} is not in the cache, and the hub cannot be reached",
        cause=_summary(error),
        hint=Hint(
            f"check the network, give a directory, or take a model that needs no hub: {others}",
            "model.base_model",
            name,
            next(iter(BUILTIN)),
        ),
    ) from error


def _complete_copy(name: str, cache: Path) -> Path | None:
    """A complete snapshot in the cache, as far as huggingface_hub knows; None where there is none."""
    from huggingface_hub import snapshot_download

    for unwanted, weights in (([*_UNWANTED, *_PICKLED], "*.safetensors"), (_UNWANTED, "*.bin")):
        with suppress(OSError):  # no snapshot, or an incomplete one
            snapshot = snapshot_download(
                name, cache_dir=cache, local_files_only=True, ignore_patterns=unwanted
            )
            if (Path(snapshot) / "config.json").exists() and any(Path(snapshot).glob(weights)):
                return Path(snapshot)
    return None


def _is_network(error: Exception) -> bool:
    # huggingface_hub does not wrap its HTTP library's errors, whose module depends on its version.
    return type(error).__module__.partition(".")[0] in {
        "httpx",
        "httpcore",
        "httpx2",
        "httpcore2",
        "requests",
    }


def _refused(name: str, error: Exception) -> ModelError:
    from huggingface_hub.errors import GatedRepoError

    if isinstance(error, GatedRepoError):
        text = f"accept the conditions of {name} on its page, and set HF_TOKEN in .env"
        return ModelError(f"{name} is gated", cause=_summary(error), hint=Hint(text))
    from huggingface_hub.errors import RepositoryNotFoundError

    if isinstance(error, RepositoryNotFoundError):
        return ModelError(f"the hub has no model {name}", cause=_summary(error), hint=_correct(name))
    return ModelError(
        f"{name} could not be downloaded", cause=_summary(error), hint=Hint("start the run again")
    )


def _correct(name: str) -> Hint:
    return Hint(
        "correct model.base_model; for a private model set HF_TOKEN in .env", "model.base_model", name
    )


def _summary(error: Any) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"

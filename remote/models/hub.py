"""Models of the Hugging Face hub: downloaded into the hub's own cache, or taken from it.

Owns talking to the hub. The token (HF_TOKEN) is read by huggingface_hub itself, and never passes here.
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
_EVERY = 5.0  # seconds between two lines while a model comes in
# Weights in other formats than safetensors, and what other programs want.
_UNWANTED = ["*.gguf", "*.onnx", "onnx/*", "*.h5", "*.msgpack", "*.tflite", "original/*", "*.ot", "coreml/*"]
_PICKLED = ["*.bin", "*.pt", "*.pth", "*.ckpt"]


def hub_cache(cache_dir: Path) -> Path:
    """The hub's cache: under HF_HOME where that is set, else under the cache volume."""
    home = os.environ.get("HF_HOME")
    return (Path(home) if home else cache_dir / "huggingface") / "hub"


def prepare(name: str, cache_dir: Path, say: Say) -> Path:
    """A snapshot of a hub model, downloaded or from the cache; raises `ModelError`."""
    from huggingface_hub import HfApi
    from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

    cache = hub_cache(cache_dir)
    try:
        files = [sibling.rfilename for sibling in HfApi().model_info(name, timeout=10).siblings or []]
    except RepositoryNotFoundError as error:  # a gated model is one of these
        raise _refused(name, error) from error
    except (HfHubHTTPError, OSError, ValueError) as error:
        return _cached(name, cache, error, say)
    except Exception as error:
        if not _is_network(error):
            raise
        return _cached(name, cache, error, say)
    if ADAPTER in files and CONFIG not in files:
        raise ModelError(
            f"the hub's {name} is an adapter, no model",
            hint=Hint("merge it into its base model, and name the folder of that", "model.base_model", name),
        )
    if CONFIG not in files:
        raise ModelError(f"the hub's {name} holds no config.json, so it is no model", hint=_correct(name))
    safe = any(file.endswith(".safetensors") for file in files)
    return _download(name, cache, [*_UNWANTED, *(_PICKLED if safe else [])], say)


def is_snapshot(path: Path) -> bool:
    """Whether a directory lies in a cache of the hub's: `models--owner--name/snapshots/REVISION`."""
    return path.parent.name == "snapshots" and path.parents[1].name.startswith("models--")


def _download(name: str, cache: Path, unwanted: list[str], say: Say) -> Path:
    from huggingface_hub import snapshot_download

    held = cache / f"models--{name.replace('/', '--')}" / "blobs"
    try:
        with _telling(f"downloading {name} from the hub", held, say):
            return Path(snapshot_download(name, cache_dir=cache, ignore_patterns=unwanted))
    except Exception as error:  # gated files, a full disk, a connection that broke
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise _refused(name, error) from error


@contextmanager
def _telling(doing: str, held: Path, say: Say) -> Iterator[None]:
    """Say every few seconds how many bytes have come in."""
    over = threading.Event()

    def tell() -> None:
        while not over.wait(_EVERY):
            size = sum(file.stat().st_size for file in held.glob("*") if file.exists())
            say(f"{doing} · {size / 1e6:,.0f} MB on disk")

    thread = threading.Thread(target=tell, daemon=True, name="hub-progress")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _cached(name: str, cache: Path, error: Exception, say: Say) -> Path:
    """The copy in the cache, where the hub cannot be asked."""
    path = _complete_copy(name, cache)
    if path is not None:
        say(f"the hub cannot be reached: taking the copy of {name} in the cache")
        return path
    others = ", ".join(BUILTIN)
    raise ModelError(
        f"{name} is not in the cache, and the hub cannot be reached",
        cause=_words(error),
        hint=Hint(
            f"check the network, give a directory, or take a model that needs no hub: {others}",
            "model.base_model",
            name,
            next(iter(BUILTIN)),
        ),
    ) from error


def _complete_copy(name: str, cache: Path) -> Path | None:
    """A snapshot whose files are all there; the hub's library knows which ones there are."""
    from huggingface_hub import snapshot_download

    for unwanted, weights in (([*_UNWANTED, *_PICKLED], "*.safetensors"), (_UNWANTED, "*.bin")):
        with suppress(OSError):  # no snapshot, or an incomplete one
            found = snapshot_download(name, cache_dir=cache, local_files_only=True, ignore_patterns=unwanted)
            if (Path(found) / "config.json").exists() and any(Path(found).glob(weights)):
                return Path(found)
    return None


def _is_network(error: Exception) -> bool:
    # huggingface_hub lets its HTTP library's errors through, whose module depends on its version.
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
        return ModelError(f"{name} is gated", cause=_words(error), hint=Hint(text))
    from huggingface_hub.errors import RepositoryNotFoundError

    if isinstance(error, RepositoryNotFoundError):
        return ModelError(f"the hub has no model {name}", cause=_words(error), hint=_correct(name))
    return ModelError(
        f"{name} could not be downloaded", cause=_words(error), hint=Hint("start the run again")
    )


def _correct(name: str) -> Hint:
    return Hint(
        "correct model.base_model; for a private model set HF_TOKEN in .env", "model.base_model", name
    )


def _words(error: Any) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}"

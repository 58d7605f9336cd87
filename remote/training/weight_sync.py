"""Trained weights on their way into the running server.

Owns the three ways that weights travel, and the requests that tell the server to take them. What is
trained (an adapter or everything) is a separate choice, made by the spec. Whether the server really
answers with the new weights is checked by `logprob_guard`: stale ones answer HTTP 200.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import httpx
import torch
from safetensors.torch import save_file

from remote.contract.errors import Hint, ModelError, SyncError
from remote.contract.spec import ExperimentSpec
from remote.inference.stall_watch import RestartableServer
from remote.rollouts.player import ModelServer

CONNECT = 30.0
"""Seconds that the server may take to accept a connection. For an answer there is no limit here: one that
hangs is noticed by `server_watch`, and its end is the answer."""


class WeightSync:
    """Publishes the trainer's weights, one version a call.

    `model` is the name to play episodes with after the last call. Subclasses say how a version is
    written and how the server takes it.
    """

    def __init__(self, model: Any, server: ModelServer, base: Path) -> None:
        self._model = model
        self._base = base
        self._server = server
        self._http = httpx.Client(
            timeout=httpx.Timeout(None, connect=CONNECT),
            headers={"Authorization": f"Bearer {server.key}"},
            trust_env=False,  # no proxy stands between this machine and itself
        )
        self.model = server.served_name
        self.version = 0
        self.scratch: Path | None = None
        """Where versions are written; None: among the other temporary files."""

    @cached_property
    def _folder(self) -> Path:
        """Where versions are written: made with the first, since of several trainers only one writes any."""
        return Path(tempfile.mkdtemp(prefix="weights-", dir=self.scratch))

    def sync_weights(self) -> None:
        """Bring the server to the trainer's weights; one that dies or hangs meanwhile is started again.

        Raises `SyncError` where it refuses, `ServerError` where no start is left.
        """
        self.version += 1
        while True:
            try:
                with torch.no_grad():
                    return self._publish()
            except SyncError:
                server = self._server
                if not isinstance(server, RestartableServer) or not server.lost():
                    raise
                server.renew()
                self._server_is_new()

    def repeat(self) -> None:
        """Bring a server that was started again to the weights that the one before had."""
        self._server_is_new()
        if self.version:
            self.sync_weights()

    def _server_is_new(self) -> None:
        """It has nothing of what was published."""

    def close(self) -> None:
        """Remove what was written for the server."""
        self._http.close()
        if self.version:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _publish(self) -> None:
        raise NotImplementedError

    def _post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            reply = self._http.post(self._server.base_url + path, json=body)
        except httpx.HTTPError as error:
            said = str(error) or type(error).__name__
            message = f"the server did not take the weights: {path}: {said}"
            raise SyncError(message, cause=repr(error)) from error
        if reply.is_error or b'"success":false' in reply.content.replace(b" ", b""):
            raise SyncError(
                f"the server refused the weights: {path} answered {reply.status_code}",
                cause=reply.text[:2000],
                hint=Hint("try another vllm.weight_sync", key="vllm.weight_sync"),
            )
        return reply


class AdapterSync(WeightSync):
    """A LoRA adapter as a directory of its own for each version.

    vLLM caches prefixes under the adapter's name and path: new weights under an old name would be
    answered from the old cache, so no name is used twice.
    """

    _loaded = ""
    """The version that the server has."""

    def _publish(self) -> None:
        name = f"{self._server.served_name}-step-{self.version:06d}"
        path = self._folder / name
        self._model.save_pretrained(path)
        self._post("/v1/load_lora_adapter", {"lora_name": name, "lora_path": str(path)})
        before, self._loaded = self._loaded, name
        if before:
            self._post("/v1/unload_lora_adapter", {"lora_name": before})
            shutil.rmtree(self._folder / before, ignore_errors=True)
        self.model = name

    def _server_is_new(self) -> None:
        if self._loaded:
            shutil.rmtree(self._folder / self._loaded, ignore_errors=True)
        self._loaded, self.model = "", self._server.served_name


class ReloadSync(WeightSync):
    """Whole weights as safetensors, which the server reads again in place."""

    def _publish(self) -> None:
        save_file(self._weights(), self._folder / "model.safetensors", metadata={"format": "pt"})
        if self.version == 1:
            for extra in ("config.json", "generation_config.json"):
                if (self._base / extra).exists():
                    shutil.copy(self._base / extra, self._folder)
        with self._paused():
            reload = {"method": "reload_weights", "kwargs": {"weights_path": str(self._folder)}}
            self._post("/collective_rpc", reload)
            self._post("/reset_prefix_cache")

    @contextmanager
    def _paused(self) -> Iterator[None]:
        # A prefix cache that is reset while requests run is not reset: `{"success": false}`.
        self._post("/pause?mode=keep")
        try:
            yield
        finally:
            self._post("/resume")

    def _weights(self) -> dict[str, torch.Tensor]:
        raise NotImplementedError


class FullSync(ReloadSync):
    """Every weight of the model in training."""

    def _weights(self) -> dict[str, torch.Tensor]:
        return _distinct(self._model.state_dict(), self._model)


class MergedSync(ReloadSync):
    """The base weights with the adapter added in: W + (alpha / rank) · B A, in a copy.

    The model in training stays as it is: merging in place and subtracting again would let rounding
    errors pile up. LoRA: Hu et al. 2021, https://arxiv.org/abs/2106.09685, section 4.1.
    """

    def _weights(self) -> dict[str, torch.Tensor]:
        base = self._model.get_base_model()
        merged = {}
        for name, tensor in base.state_dict().items():
            if ".lora_" in name:
                continue
            if name.endswith(".base_layer.weight"):
                layer = base.get_submodule(name.removesuffix(".base_layer.weight"))
                delta = sum(layer.get_delta_weight(a) for a in layer.active_adapters)
                tensor = tensor + delta.to(tensor.dtype)
            merged[name.replace(".base_layer", "")] = tensor
        return _distinct(merged, base)


def _distinct(weights: dict[str, torch.Tensor], model: Any) -> dict[str, torch.Tensor]:
    tied = getattr(model.config, "tie_word_embeddings", False)
    return {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in weights.items()
        if not (tied and name == "lm_head.weight")
    }


def make_sync(
    way: str, model: Any, server: ModelServer, base: Path, spec: ExperimentSpec, device: str
) -> WeightSync:
    """The sync of a way (`adapter`, `merged` or `full`); `base` is the base model's directory.

    Raises `ModelError` where weights would arrive in part: vLLM on a CPU keeps the old output layer
    when a model that ties it to the embeddings is reloaded.
    """
    if way == "full" and device == "cpu" and model.config.tie_word_embeddings:
        raise ModelError(
            f"{spec.model.base_model}: full fine-tuning on a CPU needs a model whose output layer is its "
            "own; this one ties it to the embeddings, and vLLM on a CPU does not reload it then",
            hint=Hint("train an adapter instead", key="model.lora.enabled", old=False, new=True),
        )
    ways = {"adapter": AdapterSync, "merged": MergedSync, "full": FullSync}
    return ways[way](model, server, base)

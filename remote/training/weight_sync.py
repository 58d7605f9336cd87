"""Send trained weights to the running server, in one of three ways.

Whether an adapter or all weights are trained is a separate choice. That the server really uses the new
weights is checked by `logprob_guard`, since a server with stale ones answers HTTP 200 too.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import torch
from safetensors.torch import save_file

from remote.contract.errors import Hint, ModelError, SyncError
from remote.contract.spec import ExperimentSpec
from remote.inference.command import Device, Sync
from remote.inference.protocols import ModelServer, RestartableServer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

CONNECT = 30.0
"""Seconds that the server may take to accept a connection. Its answer has no limit here: `stall_watch` ends a
server that hangs, which ends the request."""


class WeightSync:
    """Publishes the trainer's weights, a new version with each call.

    `model` is the served name for episodes after the last call. Subclasses write a version and have the
    server load it.
    """

    def __init__(self, model: PreTrainedModel, server: ModelServer, base: Path) -> None:
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
        """Folder for the versions; None: a temporary one."""

    @cached_property
    def _folder(self) -> Path:
        """Created with the first version, since only the first of several trainers writes any."""
        return Path(tempfile.mkdtemp(prefix="weights-", dir=self.scratch))

    def sync_weights(self) -> None:
        """Send the trainer's weights to the server, which is restarted where it dies or hangs meanwhile.

        Raises `SyncError` where it refuses them, `ServerError` where no restart is left.
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
        """Send the last version to a server that was restarted."""
        self._server_is_new()
        if self.version:
            self.sync_weights()

    def _server_is_new(self) -> None:
        """Forget what the previous server had loaded."""

    def close(self) -> None:
        """Remove the files written for the server."""
        self._http.close()
        if self.version:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _publish(self) -> None:
        raise NotImplementedError

    def _post(self, path: str, body: dict[str, Any] | None = None) -> httpx.Response:
        try:
            reply = self._http.post(self._server.base_url + path, json=body)
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            message = f"the server did not take the weights: {path}: {reason}"
            raise SyncError(message, cause=repr(error)) from error
        if reply.is_error or b'"success":false' in reply.content.replace(b" ", b""):
            raise SyncError(
                f"the server refused the weights: {path} answered {reply.status_code}",
                cause=reply.text[:2000],
                hint=Hint("try another vllm.weight_sync", key="vllm.weight_sync"),
            )
        return reply


class AdapterSync(WeightSync):
    """A LoRA adapter, each version in a directory and under a name of its own.

    vLLM caches prefixes by the adapter's name and path: new weights under an old name would use the old
    cache.
    """

    _loaded = ""
    """The version that the server has loaded."""

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
    """Whole weights as safetensors, which the server reloads in place."""

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
        # While requests run, the prefix cache cannot be reset: `{"success": false}`.
        self._post("/pause?mode=keep")
        try:
            yield
        finally:
            self._post("/resume")

    def _weights(self) -> dict[str, torch.Tensor]:
        raise NotImplementedError


class FullSync(ReloadSync):
    """All weights of the model in training."""

    def _weights(self) -> dict[str, torch.Tensor]:
        return _distinct(self._model.state_dict(), self._model)


class MergedSync(ReloadSync):
    """The base weights with the adapter merged in, W + (alpha / rank) · B A, in a copy.

    Merging in place and subtracting again would accumulate rounding errors. LoRA: Hu et al. 2021,
    https://arxiv.org/abs/2106.09685, section 4.1.
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


def _distinct(weights: dict[str, torch.Tensor], model: PreTrainedModel) -> dict[str, torch.Tensor]:
    tied = getattr(model.config, "tie_word_embeddings", False)
    return {
        name: tensor.detach().cpu().contiguous()
        for name, tensor in weights.items()
        if not (tied and name == "lm_head.weight")
    }


def make_sync(
    method: Sync,
    model: PreTrainedModel,
    server: ModelServer,
    base: Path,
    spec: ExperimentSpec,
    device: Device,
) -> WeightSync:
    """The sync of a `method` (`adapter`, `merged` or `full`). `base`: directory of the base model.

    Raises `ModelError` where weights would be lost: vLLM on a CPU keeps the old output layer when it reloads
    a model that ties it to the embeddings.
    """
    if method == "full" and device == "cpu" and model.config.tie_word_embeddings:
        raise ModelError(
            f"{spec.model.base_model}: full fine-tuning on a CPU needs a model with a separate output layer; "
            "this one ties it to the embeddings, and vLLM on a CPU does not reload it then",
            hint=Hint("train an adapter instead", key="model.lora.enabled", old=False, new=True),
        )
    classes = {"adapter": AdapterSync, "merged": MergedSync, "full": FullSync}
    return classes[method](model, server, base)

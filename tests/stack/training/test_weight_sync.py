"""Each way that weights travel: the server's log-probabilities are the trainer's, before and after."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from remote.inference.command import Sync
from tests.stack.conftest import tiny_spec

pytestmark = [pytest.mark.stack, pytest.mark.vllm]

EXACT = 1e-4  # nats a token in float32; stale weights are off by tenths


def learner(model: Path, lora: bool) -> Any:
    from remote.models.load import load_for_training

    return load_for_training(tiny_spec(model={"lora": {"enabled": lora}}), model)


def move(model: Any, seed: int) -> None:
    """Move every trainable weight, as a large optimiser step would."""
    import torch

    torch.manual_seed(seed)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn_like(weight)


def asked(server: Any, name: str) -> tuple[list[int], list[int], list[float]]:
    """A reply of the server: prompt ids, token ids, log-probabilities."""
    body = {
        "model": name,
        "messages": [{"role": "user", "content": "Guess a word."}],
        "max_tokens": 12,
        "temperature": 1.0,
        "seed": 7,
        "logprobs": True,
        "return_token_ids": True,
        "ignore_eos": True,
    }
    headers = {"Authorization": f"Bearer {server.key}"}
    url = f"{server.base_url}/v1/chat/completions"
    reply = httpx.post(url, json=body, headers=headers, timeout=120).json()
    choice = reply["choices"][0]
    return (
        reply["prompt_token_ids"],
        choice["token_ids"],
        [t["logprob"] for t in choice["logprobs"]["content"]],
    )


def difference(server: Any, name: str, model: Any) -> float:
    """Largest difference in nats between what the server says of its tokens and the model computes."""
    import torch

    prompt, said, theirs = asked(server, name)
    model.eval()
    with torch.no_grad():
        logits = model(torch.tensor([prompt + said])).logits[0, len(prompt) - 1 : -1].float()
    ours = logits.log_softmax(-1)[range(len(said)), said]
    return float((ours - torch.tensor(theirs)).abs().max())


@pytest.fixture
def synced(request: pytest.FixtureRequest, tiny_model: Path) -> Iterator[tuple[Any, Any, Any]]:
    from remote.training.weight_sync import make_sync

    way: Sync = request.param
    server = request.getfixturevalue("adapter_server" if way == "adapter" else "reload_server")
    model, _ = learner(tiny_model, lora=way != "full")
    sync = make_sync(way, model, server, tiny_model, tiny_spec(), "cpu")
    yield server, model, sync
    sync.close()


@pytest.mark.parametrize("synced", ["adapter", "merged", "full"], indirect=True)
def test_the_server_answers_with_the_trainers_weights(synced: tuple[Any, Any, Any]) -> None:
    server, model, sync = synced
    sync.sync_weights()
    assert difference(server, sync.model, model) < EXACT
    for seed in (1, 2):
        move(model, seed)
        stale = difference(server, sync.model, model)
        sync.sync_weights()
        assert stale > 100 * EXACT, "the weights did not move far enough for this test to mean anything"
        assert difference(server, sync.model, model) < EXACT


@pytest.mark.parametrize("synced", ["merged"], indirect=True)
def test_merging_leaves_the_model_in_training_untouched(synced: tuple[Any, Any, Any]) -> None:
    import torch

    _, model, sync = synced
    move(model, 3)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    sync.sync_weights()
    after = model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


def test_tied_embeddings_are_refused_where_a_reload_would_keep_the_old_output_layer(tiny_model: Path) -> None:
    from remote.contract.errors import ModelError
    from remote.training.weight_sync import make_sync

    model, _ = learner(tiny_model, lora=False)
    model.config.tie_word_embeddings = True

    class Nowhere:
        base_url = "http://127.0.0.1:9"
        served_name = "policy"
        key = "k"

    with pytest.raises(ModelError, match="ties it to the embeddings"):
        make_sync("full", model, Nowhere(), tiny_model, tiny_spec(), "cpu")


def test_a_server_that_refuses_is_told_apart_from_one_that_is_gone(tiny_model: Path) -> None:
    from remote.contract.errors import SyncError
    from remote.training.weight_sync import make_sync

    model, _ = learner(tiny_model, lora=True)

    class Gone:
        base_url = "http://127.0.0.1:9"
        served_name = "policy"
        key = "k"

    sync = make_sync("merged", model, Gone(), tiny_model, tiny_spec(), "cpu")
    with pytest.raises(SyncError, match="did not take the weights"):
        sync.sync_weights()
    sync.close()

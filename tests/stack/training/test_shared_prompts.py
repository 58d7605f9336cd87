"""Prompts computed once a group give the numbers and the gradients of the plain computation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.stack.conftest import tiny_spec

pytestmark = pytest.mark.stack


@pytest.fixture
def model(tiny_model: Path) -> Any:
    import torch
    from trl.trainer.utils import add_fused_lm_head

    from remote.models.load import load_for_training

    model, _ = load_for_training(tiny_spec(), tiny_model)
    torch.manual_seed(0)
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight += 0.05 * torch.randn_like(weight)
    add_fused_lm_head(model.get_base_model(), temperature=0.7, outputs=("log_probs", "entropy"))
    return model


def batch() -> tuple[Any, Any, int]:
    """Seven rows: three prompts of unequal length, completions of 1 to 5 tokens, interleaved."""
    import torch

    prompts = [[11, 12, 13, 14], [21, 22], [31, 32, 33, 34, 35, 36]]
    said = [[5, 6], [7], [8, 9, 10, 11, 12], [5, 6], [13, 14, 15], [16], [17, 18, 19, 20]]
    ids, mask = torch.zeros(7, 11, dtype=torch.long), torch.zeros(7, 11, dtype=torch.long)
    for row, completion in enumerate(said):
        prompt = prompts[row % 3]
        whole = prompt + completion
        start = 6 - len(prompt)
        ids[row, start : start + len(whole)] = torch.tensor(whole)
        mask[row, start : start + len(whole)] = 1
    return ids, mask, 5


def plain(model: Any, ids: Any, mask: Any, completion: int) -> Any:
    """As TRL computes it: each row on its own."""
    labels = ids.masked_fill(mask == 0, -100)
    labels[:, :-completion] = -100
    outputs = model(input_ids=ids, attention_mask=mask, labels=labels, fused_lm_head=True)
    return outputs.log_probs[:, -completion:], outputs.entropy[:, -completion:]


def gradients(model: Any, logps: Any) -> Any:
    import torch

    model.zero_grad()
    (logps * torch.arange(1, logps.numel() + 1).reshape(logps.shape)).sum().backward()
    return torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])


def test_numbers_and_gradients_are_those_of_the_plain_computation(model: Any) -> None:
    import torch

    from remote.training.shared_prompts import shared_logps

    ids, mask, completion = batch()
    theirs, their_entropy = plain(model, ids, mask, completion)
    ours, our_entropy = shared_logps(model, ids, mask, completion)
    scored = mask[:, -completion:].bool()
    assert ours is not None
    assert our_entropy is not None
    assert ours.shape == theirs.shape
    assert torch.allclose(ours[scored], theirs[scored], atol=1e-5)
    assert torch.allclose(our_entropy[scored], their_entropy[scored], atol=1e-5)
    assert float(ours[~scored].abs().sum().detach()) == 0
    assert torch.allclose(gradients(model, ours), gradients(model, theirs), atol=1e-4)


def test_a_prompt_is_computed_once_for_its_group() -> None:
    import torch

    from remote.training.shared_prompts import pack

    ids, mask, completion = batch()
    packed = pack(ids, mask, completion, torch.float32)
    assert packed.input_ids.shape[0] == 3
    assert packed.input_ids.numel() < mask.sum()

"""Stop a run whose server does not have the trainer's weights.

A server with stale weights answers HTTP 200 like any other: only the log-probabilities of its sampled tokens
show it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from remote.contract.errors import Hint, SyncError
from remote.contract.spec import ExperimentSpec

if TYPE_CHECKING:
    from torch import Tensor


def allowed_difference(spec: ExperimentSpec) -> float:
    """The limit in nats: the config's, or one for the number format.

    In float32 both sides agree to about 1e-5; half precision rounds logits to some 0.1 nats. The server's
    probabilities are among the tokens that `top_p` leaves, the trainer's among all, which differ by at most
    -log(top_p).
    """
    configured = spec.training.max_logp_difference
    if configured is not None:
        return configured
    return (0.01 if spec.model.dtype == "float32" else 0.5) - math.log(spec.training.top_p)


class LogprobGuard:
    """Compares the server's log-probabilities of its tokens with the trainer's."""

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self.last = 0.0
        """Mean absolute difference of the last comparison, in nats per token."""

    def check(self, trainer: Tensor, server: Tensor, mask: Tensor, step: int) -> None:
        """Compare (batch, tokens) log-probabilities where `mask` is 1; raises `SyncError`."""
        counted = mask.bool() & ~server.isnan()
        if not counted.any():
            return
        self.last = float((trainer - server)[counted].abs().mean())
        if self.last > self.limit:
            raise SyncError(
                f"step {step}: server and trainer disagree by {self.last:.3g} nats a token "
                f"(allowed: {self.limit:g}), so the server's weights are not the trainer's",
                cause=f"mean |log p(trainer) - log p(server)| = {self.last:.6g}",
                hint=Hint(
                    "the weight sync has no effect: try another vllm.weight_sync, or raise "
                    "training.max_logp_difference if the number format explains the difference",
                    key="training.max_logp_difference",
                    old=self.limit,
                    new=round(2 * self.last, 4),
                ),
            )

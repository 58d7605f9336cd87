"""The paired test: how much two sets of scores of the same tasks differ, and how surely. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

EXACT = 16
"""With at most so many differing pairs, all flips of signs are counted: 2^15 sums take milliseconds."""
_SAME = 1e-12  # relative: sums of the same numbers in another order


@dataclass(frozen=True)
class Paired:
    """The comparison of one score over the tasks that both sides have. Differences are `after - before`."""

    tasks: int
    before: float
    """Mean over the tasks."""
    after: float
    difference: float
    standard_error: float | None
    """Of the difference, over tasks; None for a single one."""
    p: float
    """The p-value, two-sided."""
    test: str
    """`sign-flip` or `t`: how `p` was computed."""
    wins: int
    """Tasks that `after` scores higher on."""
    ties: int
    losses: int

    @property
    def is_clear(self) -> bool:
        """Whether p is below 0.05."""
        return self.p < 0.05


def paired(before: Mapping[str, float], after: Mapping[str, float]) -> Paired | None:
    """Compare two sides' scores by task; None where they share no task with finite scores.

    Pairing removes the variance between tasks, so that far smaller differences show than by two standard
    errors (Miller 2024, "Adding Error Bars to Evals", https://arxiv.org/abs/2411.00640, section 4.2). The
    standard error is s/√n of the n differences.
    """
    tasks = [t for t in before if t in after and math.isfinite(before[t]) and math.isfinite(after[t])]
    if not tasks:
        return None
    differences = [after[task] - before[task] for task in tasks]
    moved = [d for d in differences if abs(d) > _SAME]
    exact = len(moved) <= EXACT
    error = _standard_error(differences)
    return Paired(
        tasks=len(tasks),
        before=fmean(before[task] for task in tasks),
        after=fmean(after[task] for task in tasks),
        difference=fmean(differences),
        standard_error=error,
        p=sign_flip(moved) if exact else t_test(differences, error),
        test="sign-flip" if exact else "t",
        wins=sum(d > 0 for d in moved),
        ties=len(differences) - len(moved),
        losses=sum(d < 0 for d in moved),
    )


def sign_flip(differences: Sequence[float]) -> float:
    """Fisher's exact paired permutation test, two-sided: the share of all 2^n flips of signs whose sum is at
    least as far from 0 (Fisher 1935, The Design of Experiments, section 21). Zeros change nothing."""
    if not differences:
        return 1.0
    sizes = [abs(d) for d in differences]
    reached = abs(math.fsum(differences)) - _SAME * math.fsum(sizes)
    # Half the flips mirror the other half: the first sign stays. A Gray code flips one sign at a time.
    total, signs, count = math.fsum(sizes), [1.0] * len(sizes), 0
    flips = 1 << (len(sizes) - 1)
    for number in range(1, flips + 1):
        count += abs(total) >= reached
        at = (number & -number).bit_length()
        if number < flips:
            total -= 2 * signs[at] * sizes[at]
            signs[at] = -signs[at]
    return count / flips


def t_test(differences: Sequence[float], error: float | None) -> float:
    """Student's paired t-test, two-sided: P(|T| ≥ |d̄|/SE) with n-1 degrees of freedom."""
    if not error:
        return 2.0 ** (1 - len(differences))  # all alike: what flipping signs would say
    freedom = len(differences) - 1
    t = fmean(differences) / error
    return beta_share(freedom / (freedom + t * t), freedom / 2, 0.5)


def beta_share(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function I_x(a, b), by its continued fraction (DLMF 8.17.22)."""
    if x <= 0 or x >= 1:
        return min(max(x, 0.0), 1.0)
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast below the mean
        return 1 - beta_share(1 - x, b, a)
    front = math.exp(
        a * math.log(x) + b * math.log1p(-x) + math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b)
    )
    return front / a * _fraction(x, a, b)


def _fraction(x: float, a: float, b: float) -> float:
    """Lentz's evaluation of the fraction 1/(1+ d1/(1+ d2/(1+ …)))."""
    tiny = 1e-300
    value, upper, lower = 1.0, 1.0, 0.0
    for step in range(10_000):
        m = step // 2
        if step == 0:
            d = 1.0
        elif step % 2 == 0:
            d = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
        else:
            d = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))
        lower = 1 / (1 + d * lower or tiny)
        upper = 1 + d / upper or tiny
        value *= upper * lower
        if step and abs(1 - upper * lower) < 1e-15:
            break
    return value - 1


def _standard_error(values: Sequence[float]) -> float | None:
    if len(values) < 2:
        return None
    mean = fmean(values)
    return math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (len(values) - 1) / len(values))

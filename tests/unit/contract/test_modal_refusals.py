"""What is advised where Modal refuses, by its words."""

from __future__ import annotations

import pytest

from remote.contract.modal_refusals import advice


@pytest.mark.parametrize(
    ("said", "advised"),
    [
        ("Please add a payment method to use H100 GPUs", "add a payment method"),
        ("Billing details are missing", "add a payment method"),
        ("Workspace has reached its SPEND LIMIT for this billing cycle", "raise its limit"),
        ("You are out of credit", "raise its limit"),
        ("credits exhausted", "raise its limit"),
        ("GPU quota exceeded: 10 of 10 in use", "fewer GPUs"),
        ("Too many concurrent functions", "wait for other runs"),
    ],
)
def test_each_refusal_has_its_advice(said: str, advised: str) -> None:
    assert advised in advice(said)


def test_what_is_none_of_them_has_no_advice() -> None:
    assert advice("Function call was lost") == ""

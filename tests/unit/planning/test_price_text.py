"""Prices in the words of both faces."""

from __future__ import annotations

from dataclasses import replace

from remote.contract.spec import ExperimentSpec
from tui.planning import price_text
from tui.planning.prices import Price

PRICE = Price(hour=2.728, gpu=2.5, timeout=14400, date="2026-01-01", source="here", attempts=4)


def test_the_hour_names_a_region_that_costs_more() -> None:
    assert price_text.hourly(PRICE) == "$2.73 an hour"
    assert price_text.hourly(replace(PRICE, times=1.25)) == (
        "$2.73 an hour (1.25 times the base price, for its region)"
    )


def test_the_most_is_that_of_all_attempts() -> None:
    assert price_text.at_most(PRICE) == "at most $43.65, in 4 attempts of 4 h 00 min"
    assert price_text.at_most(replace(PRICE, attempts=1)) == "at most $10.91, in 4 h 00 min"


def test_a_budget_bounds_it_where_it_is_lower() -> None:
    low, high = replace(PRICE, budget=5.0), replace(PRICE, budget=1234.5)
    assert price_text.at_most(low) == "at most $5.00, by its budget"
    assert price_text.budget(low) == "$5.00; without it $43.65, in 4 attempts of 4 h 00 min"
    assert price_text.at_most(high) == price_text.at_most(PRICE)
    assert price_text.budget(high) == "$1,234.50, which it cannot reach"
    assert price_text.budget(PRICE) == "none (budget.max_usd)"


def test_a_machine_is_told_with_its_place() -> None:
    modal = {"gpu": {"type": "H100", "count": 2}, "cpus": 8, "memory": 32768}
    plain = ExperimentSpec.model_validate({"modal": modal})
    placed = ExperimentSpec.model_validate({"modal": {**modal, "region": "eu", "cloud": "aws"}})
    assert price_text.machine(plain) == "2 × H100, 8 cores, 32 GiB"
    assert price_text.machine(placed) == "2 × H100, 8 cores, 32 GiB, in eu, on aws"

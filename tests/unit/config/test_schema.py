"""The schema's rows: every key, with its type and bounds in words."""

from __future__ import annotations

import json

import pytest

from remote.contract.spec import ExperimentSpec
from tui.config import layers, schema


def test_there_is_a_row_for_each_key_and_no_other() -> None:
    dumped = ExperimentSpec().model_dump()
    assert {row.path: row.default for row in schema.rows()} == dict(layers.leaves(dumped))


def test_every_row_and_section_has_its_help_on_one_line() -> None:
    for key, text in [*((r.key, r.help) for r in schema.rows()), *schema.sections().items()]:
        assert text, key
        assert "\n" not in text


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("training.steps", "a whole number of at least 1"),
        ("modal.gpu.count", "a whole number from 1 to 8"),
        ("modal.cpus", "a number above 0 and at most 64"),
        ("model.lora.dropout", "a number of at least 0 and below 1"),
        ("model.dtype", "one of float32, bfloat16, float16"),
        ("model.base_model", "text, or null"),
        ("wandb.enabled", "true or false"),
        ("wandb.project", "text that is not empty"),
        ("training.max_turns", "a whole number of at least 1, or null"),
        ("training.max_logp_difference", "a number above 0, or null"),
        ("training.environment_args", "a mapping"),
    ],
)
def test_types_and_bounds_are_told_in_words(key: str, expected: str) -> None:
    assert schema.by_key()[key].expected == expected


def test_rows_are_json() -> None:
    rows = json.loads(json.dumps([row.as_dict() for row in schema.rows()]))
    row = next(r for r in rows if r["key"] == "vllm.block_size")
    assert row["choices"] == [8, 16, 32, 64, 128]
    assert row["default"] == 16

"""Every form that a config may have takes every change, and keeps what stands around it."""

from __future__ import annotations

from typing import Any

import pytest

from remote.contract.errors import ConfigError
from tui.config import yaml_edit, yaml_files

FORMS = {
    "block": "training:\n  steps: 5   # five\n  batch_size: 8\n",
    "flow": "training: {steps: 5, batch_size: 8}\n",
    "flow, trailing comma": "training: {\n  steps: 5,\n  batch_size: 8,\n}\n",
    "flow, spaces before the comma": "training: {steps: 5, batch_size: 8 , }\n",
    "flow, comment before the end": "training: {\n  steps: 5,\n  batch_size: 8  # eight\n  # no more\n}\n",
    "all flow": "{training: {steps: 5, batch_size: 8}}\n",
    "all flow, trailing commas": "{\n  training: {steps: 5, batch_size: 8,},\n}\n",
    "end marker": "%YAML 1.2\n---\ntraining:\n  steps: 5   # five\n  batch_size: 8\n...\n",
    "end marker, Windows": "training:\r\n  steps: 5\r\n  batch_size: 8\r\n...\r\n",
    "no newline": "training:\n  steps: 5\n  batch_size: 8",
    "dots in text": 'training:\n  steps: 5\n  batch_size: 8\nmodel:\n  base_model: "..."\n',
}
REFUSED = {
    "flow, comment": "training: {\n  steps: 5,   # five\n  batch_size: 8,\n}\n",
    "end marker and a comment": "---\ntraining:\n  steps: 5\n  batch_size: 8\n... # over\n# really\n",
    "two documents": "training:\n  steps: 5\n---\ntraining:\n  steps: 6\n",
}
CHANGES: list[tuple[tuple[str, ...], Any]] = [
    (("training", "steps"), 7),
    (("training", "batch_size"), 16),
    (("training", "beta"), 0.5),
    (("training", "environment_args"), {"turns": 2}),
    (("wandb", "enabled"), False),
]


def _data(text: str) -> Any:
    return yaml_files.read_block(text, "it")


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize(
    ("key", "value"), CHANGES, ids=lambda part: ".".join(part) if isinstance(part, tuple) else ""
)
def test_a_key_is_put_into_any_form(form: str, key: tuple[str, ...], value: Any) -> None:
    expected = _data(form)
    inner = expected
    for part in key[:-1]:
        inner = inner.setdefault(part, {})
    inner[key[-1]] = value
    text = yaml_edit.edit(form, [(key, value)])
    assert _data(text) == expected
    assert text.count("#") == form.count("#")
    again = yaml_edit.edit(text, [(("training", "seed"), 3)])
    assert _data(again)["training"]["seed"] == 3


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("names", [("steps",), ("batch_size",), ("steps", "batch_size")])
def test_keys_are_taken_out_of_any_form(form: str, names: tuple[str, ...]) -> None:
    text, expected = form, _data(form)
    for name in names:
        text = yaml_edit.edit(text, gone=[("training", name)])
        del expected["training"][name]
    assert (_data(text).get("training") or {}) == expected["training"]


@pytest.mark.parametrize("form", REFUSED.values(), ids=REFUSED)
def test_no_comment_and_no_document_is_lost(form: str) -> None:
    """Such forms are refused."""
    with pytest.raises(ConfigError):
        yaml_edit.edit(form, [(("training", "steps"), 7)])


LAYOUT = """\
training:
      steps:   5      # five

      # the batch
      seed: 1
# the model's
model: {dtype:  float32}
"""


def test_lines_that_nobody_changed_keep_their_layout() -> None:
    """Odd indents, spaces and comments between: a new key goes below the last, a new section to the end."""
    values = [(("training", "seed"), 22), (("training", "beta"), 0.5), (("wandb", "enabled"), False)]
    assert yaml_edit.edit(LAYOUT, values) == (
        LAYOUT.replace("seed: 1\n", "seed: 22\n      beta: 0.5\n") + "\nwandb:\n      enabled: false\n"
    )
    assert yaml_edit.edit(LAYOUT, gone=[("training", "seed")]) == LAYOUT.replace("      seed: 1\n", "")

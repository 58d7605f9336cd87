"""The form's fields, whatever is typed into them: a value or a message beside the field, never an error."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tui.config import schema
from tui.config.overrides import parse
from tui.config.resolve import resolve_layers
from tui.config.yaml_files import load
from tui.planning.draft import Draft

CONFIG = """\
model:
  base_model: builtin/tiny-random
  overrides: {wordle: builtin/smollm2-135m}
training:
  environment: other
  environment_args: {turns: 2, reply: plain}
"""

calm = settings(deadline=None)  # a busy machine is no failure
rows = st.sampled_from(schema.rows())
yamlish = st.text("0123456789.-+eE_ {}[]:,\"'#&*!|>%@`~?\n\ttruefalsnu", max_size=24)
texts = st.text(max_size=24) | yamlish | st.sampled_from([s for row in schema.rows() for s in row.choices])
typings = st.lists(st.tuples(rows, texts.map(str)), min_size=1, max_size=4)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config with a model for one environment, and with mappings."""
    path = tmp_path_factory.mktemp("configs") / "x.yaml"
    path.write_text(CONFIG)
    return path


def draft_of(config: Path | None) -> Draft:
    """A draft without anything typed."""
    return Draft(None if config is None else str(config), None if config is None else load(config))


@calm
@given(typings, st.booleans())
def test_any_text_becomes_a_value_or_is_told_of(
    config: Path, typed: list[tuple[schema.Row, str]], bare: bool
) -> None:
    draft = draft_of(None if bare else config)
    for row, text in typed:
        draft.put(row.key, text)
        fields = {field.key: field for field in draft.fields()}
        assert len(fields) == len(schema.rows())
        told = {key: field.problem for key, field in fields.items() if field.problem}
        assert draft.is_sound or told or draft.general
        assert all(message.strip() for message in (*told.values(), *draft.general))
        if draft.is_sound:
            assert draft.resolved is not None
            assert not any(one.problem for one in draft.typed.values())
        if row.key in draft.typed:
            assert fields[row.key].text == text
            assert fields[row.key].is_typed
    draft.reset_all()
    assert draft.is_sound
    assert not any(field.is_typed or field.differs for field in draft.fields())


@calm
@given(rows, texts.map(str))
def test_text_that_is_no_value_is_told_beside_its_own_field(row: schema.Row, text: str) -> None:
    draft = draft_of(None)
    draft.put(row.key, text)
    if not draft.is_sound:
        assert row.key in draft.problems
        assert draft.general == []


@calm
@given(typings, st.booleans())
@example([(schema.by_key()["training.environment"], "\0")], False)
def test_what_the_form_holds_is_what_its_command_says(
    config: Path, typed: list[tuple[schema.Row, str]], bare: bool
) -> None:
    draft = draft_of(None if bare else config)
    for row, text in typed:
        draft.put(row.key, text)
        if not draft.is_sound:
            draft.reset(row.key)
    assert draft.resolved is not None
    again = resolve_layers(draft.tree, parse([override.argument for override in draft.resolved.typed]))
    assert again.spec == draft.resolved.spec


@calm
@given(rows, st.data())
def test_a_fields_own_text_typed_again_changes_nothing(row: schema.Row, data: st.DataObject) -> None:
    draft = draft_of(None)
    draft.put(row.key, data.draw(texts.map(str)))
    if draft.is_sound:
        shown = next(field.text for field in draft.fields() if field.key == row.key)
        before = draft.resolved
        draft.put(row.key, shown)
        assert before is not None
        assert draft.resolved is not None
        assert draft.resolved.spec == before.spec

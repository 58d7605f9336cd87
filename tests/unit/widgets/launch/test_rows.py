"""The form's lines: sections as in the YAML, what a search leaves, problems below their fields."""

from __future__ import annotations

from pathlib import Path

import pytest

from tui.config import schema
from tui.planning.draft import Draft
from tui.planning.preview import fields_of, look
from tui.settings import Settings
from tui.widgets.launch.field_lines import wrapped
from tui.widgets.launch.rows import FormLine, lay_out, source_text

ROOT = Path(__file__).parents[4]


@pytest.fixture
def draft() -> Draft:
    """A draft over a shipped config."""
    return Draft.load("configs/modal_training_config.yaml", ROOT)


def lines(draft: Draft, query: str = "", *, changed_only: bool = False) -> list[FormLine]:
    """The form's lines for a draft."""
    return lay_out(
        draft.fields(), schema.sections(), query=query, changed_only=changed_only, general=draft.general
    )


def text(line: FormLine) -> str:
    """A line as YAML would indent it."""
    name = line.field.row.path[-1] if line.kind == "field" and line.field else line.text
    return "  " * line.depth + name


def test_sections_stand_as_in_the_yaml(draft: Draft) -> None:
    first = [text(line) for line in lines(draft)[:16]]
    assert first == [
        "modal",
        "  cpus",
        "  memory",
        "  gpu",
        "    count",
        "    type",
        "  timeout",
        "  retries",
        "  region",
        "  cloud",
        "",
        "budget",
        "  max_usd",
        "",
        "model",
        "  base_model",
    ]


def test_every_key_has_its_line(draft: Draft) -> None:
    assert [line.key for line in lines(draft) if line.kind == "field"] == [row.key for row in schema.rows()]


def test_a_search_keeps_the_headings_of_what_it_finds(draft: Draft) -> None:
    assert [text(line) for line in lines(draft, "RANK alpha")] == ["model", "  lora", "    alpha"]
    assert lines(draft, "nothing of that kind") == []


def test_a_problem_stands_below_its_field_and_those_of_none_above_all(draft: Draft) -> None:
    draft.put("training.steps", "many")
    draft.general.append("the file is odd")
    found = lines(draft)
    assert (found[0].kind, found[0].text) == ("problem", "the file is odd")
    at = next(n for n, line in enumerate(found) if line.kind == "problem" and line.field)
    assert (found[at - 1].key, found[at].key) == ("training.steps", "training.steps")


def test_changed_only_shows_what_was_typed_and_what_that_changes(draft: Draft) -> None:
    draft.put("training.environment", "bfcl-single-turn")
    keys = [line.key for line in lines(draft, changed_only=True) if line.kind == "field"]
    assert keys == ["model.base_model", "training.environment"]


def test_a_source_is_said_in_words(draft: Draft) -> None:
    draft.put("training.steps", "7")
    draft.put("training.environment", "bfcl-single-turn")
    by_key = {field.key: source_text(field) for field in draft.fields()}
    assert by_key["training.steps"] == "you · otherwise 200"
    assert by_key["training.batch_size"] == "configs/modal_training_config.yaml:28"
    assert by_key["training.seed"] == "the default"
    assert by_key["model.base_model"].startswith("model.overrides for this environment · configs/")


def test_what_is_set_by_itself_stands_in_its_field(tmp_path: Path) -> None:
    (tmp_path / "environments").symlink_to(ROOT / "environments")
    draft = Draft()
    draft.put("training.environment", "vf-bfcl-single-turn")
    assert draft.resolved is not None
    outlook = look(draft.resolved, Settings.load(tmp_path, {}), kind="train", backend="local", config=None)
    fields = {field.key: field for field in fields_of(draft, outlook)}
    parser = fields["vllm.tool_call_parser"]
    assert (parser.text, parser.source, parser.differs) == ("xlam", "derived", False)
    assert source_text(parser) == "set for vf-bfcl-single-turn"
    assert fields["vllm.enable_auto_tool_choice"].text == "true"
    draft.put("vllm.tool_call_parser", "herms")
    outlook = look(draft.resolved, Settings.load(tmp_path, {}), kind="train", backend="local", config=None)
    wrong = {field.key: field for field in fields_of(draft, outlook)}["vllm.tool_call_parser"]
    assert (wrong.source, "did you mean hermes?" in wrong.problem) == ("you", True)


def test_what_is_wrong_is_wrapped_and_never_obeyed() -> None:
    line = FormLine("problem", "one two \x1b[2J three", 1)
    pieces = [piece.text for piece in wrapped(line, 20)]
    assert pieces[0].startswith("✗ ")
    assert " ".join(piece[2:] for piece in pieces) == r"one two \x1b[2J three"
    evil = FormLine("problem", "title \x1b]0;evil\x07", 1)
    assert wrapped(evil, 60)[0].text == "✗ title \\x1b]0;evil\\x07"

"""Saving a draft as a new config: the source's comments, order and layout stay."""

from __future__ import annotations

import difflib
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remote.contract.errors import ConfigError
from tui.config import schema
from tui.config.resolve import resolve
from tui.config.yaml_edit import edit
from tui.config.yaml_files import list_configs, load
from tui.planning.draft import Draft
from tui.planning.save_draft import config_path, save

ROOT = Path(__file__).parents[3]
CONFIGS = [*list_configs(ROOT / "configs"), ROOT / "tests" / "data" / "guide_config.yaml"]

CHANGES = {
    "training.steps": "77",
    "training.learning_rate": "2e-5",
    "training.max_turns": "3",
    "training.environment_args": "turns: 4, reply: plain, 'a: b': '#x'",
    "model.base_model": "builtin/tiny-random",
    "model.lora.rank": "8",
    "model.overrides": "vf-x: a/b",
    "modal.cpus": "2",
    "modal.gpu.type": "H100",
    "evaluation.num_examples": "9",
    "vllm.enforce_eager": "false",
    "vllm.port": "8100",
    "vllm.tool_call_parser": "a: b #c",
    "wandb.project": "a b",
}


def saved(source: Path, tmp_path: Path, **typed: str) -> tuple[str, str]:
    """The source's text, and that of a copy in which these keys were changed."""
    draft = Draft.load(str(source), ROOT)
    for key, text in typed.items():
        draft.put(key, text)
    assert draft.is_sound, (draft.problems, draft.general)
    save(draft, tmp_path / "new.yaml", ROOT)
    assert draft.resolved is not None
    assert resolve(tmp_path / "new.yaml").values == draft.resolved.values
    return source.read_text(), (tmp_path / "new.yaml").read_text()


def changed(before: str, after: str) -> tuple[list[str], list[str]]:
    """The lines that went, and those that came."""
    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    return [x[2:] for x in lines if x[:2] == "- "], [x[2:] for x in lines if x[:2] == "+ "]


@pytest.mark.parametrize("source", CONFIGS, ids=lambda path: path.stem)
def test_nothing_typed_is_the_same_bytes(source: Path, tmp_path: Path) -> None:
    before, after = saved(source, tmp_path)
    assert after == before


@pytest.mark.parametrize("source", CONFIGS, ids=lambda path: path.stem)
@pytest.mark.parametrize("key", CHANGES)
def test_one_change_touches_one_line(source: Path, key: str, tmp_path: Path) -> None:
    before, after = saved(source, tmp_path, **{key: CHANGES[key]})
    went, came = changed(before, after)
    assert all(line in before for line in went)
    if schema.by_key()[key].type != "mapping":
        assert len(went) <= 1
        assert len([line for line in came if line.strip()]) <= 3  # a section that lacks is two or three lines
    comments = [line.partition("#")[2] for line in before.splitlines() if "#" in line]
    gone = {line.partition("#")[2] for line in went}
    assert all(comment in after or comment in gone for comment in comments)


@pytest.mark.parametrize("source", CONFIGS, ids=lambda path: path.stem)
def test_all_changes_at_once(source: Path, tmp_path: Path) -> None:
    before, after = saved(source, tmp_path, **CHANGES)
    went, _ = changed(before, after)
    assert len(went) < len(CHANGES) + 6
    assert [x for x in before.splitlines() if x.startswith("#")] == [
        x for x in after.splitlines() if x.startswith("#") and x in before
    ]


def test_a_changed_value_keeps_its_quotes_and_its_comment_in_its_column(tmp_path: Path) -> None:
    source = tmp_path / "x.yaml"
    source.write_text('model:\n  base_model: "builtin/tiny-random"\ntraining:\n  steps: 32        # few\n')
    _, after = saved(
        source, tmp_path, **{"model.base_model": "builtin/smollm2-135m", "training.steps": "10000"}
    )
    assert after == 'model:\n  base_model: "builtin/smollm2-135m"\ntraining:\n  steps: 10000     # few\n'


TEXTS = {
    "wide indents": "training:\n      steps:   5\n      seed: 1   # c\n",
    "braces": "training: {steps: 5, seed: 1}\nmodel: {}\n",
    "Windows": "training:\r\n  steps: 5  # c\r\n  seed: 1\r\n",
    "an empty section": "training:\n  # steps: 5\n\nmodel:\n  dtype: float32\n",
    "no newline at the end": "training:\n  steps: 5",
    "a document's marks": "---\ntraining:\n  steps: 5\n",
    "comments at the end": "training:\n  steps: 5\n# the end\n",
    "folded text": "training:\n  steps: 5\nwandb:\n  project: >-\n    a\n    b\n",
    "an empty value": "training:\n  max_turns:\n  steps: 5\n",
    "nested mappings": "training:\n  environment_args:\n    turns: 2\n    # c\n  steps: 5\n",
}


@pytest.mark.parametrize("text", TEXTS.values(), ids=TEXTS.keys())
def test_any_layout_takes_any_change(text: str, tmp_path: Path) -> None:
    source = tmp_path / "x.yaml"
    source.write_bytes(text.encode())
    for number, (key, value) in enumerate([*CHANGES.items(), ("training.seed", "5")]):
        draft = Draft.load(str(source), ROOT)
        draft.put(key, value)
        path = tmp_path / f"{number}.yaml"
        save(draft, path, ROOT)
        went, _ = changed(text, path.read_bytes().decode())
        assert len(went) <= 3, (key, went)
        assert ("\r\n" in text) == ("\r\n" in path.read_bytes().decode())


def test_what_typing_took_away_goes(tmp_path: Path) -> None:
    source = tmp_path / "x.yaml"
    source.write_text(
        "model:\n  # which\n  overrides:\n    wordle: a/b  # gives way\n    gsm8k: c/d\n"
        "training:\n  environment: wordle\n  environment_args: {turns: 2, reply: plain}\n"
    )
    _, after = saved(
        source, tmp_path, **{"model.base_model": "e/f", "training.environment_args": "reply: plain"}
    )
    assert "wordle: a/b" not in after
    assert "  # which\n  overrides:\n    gsm8k: c/d\n" in after
    assert "environment_args: {reply: plain}" in after


def test_a_value_with_an_alias_changes_alone(tmp_path: Path) -> None:
    source = tmp_path / "x.yaml"
    source.write_text("evaluation:\n  temperature: &t 0.5\ntraining:\n  temperature: *t\n  steps: 5\n")
    for name, key in enumerate(("training.steps", "training.temperature", "evaluation.temperature")):
        draft = Draft.load(str(source), ROOT)
        draft.put(key, "1")
        assert draft.resolved is not None
        save(draft, tmp_path / f"{name}.yaml", ROOT)
        assert resolve(tmp_path / f"{name}.yaml").values == draft.resolved.values
    assert "temperature: *t\n  steps: 1\n" in (tmp_path / "0.yaml").read_text()


def test_a_mapping_with_an_alias_is_not_changed(tmp_path: Path) -> None:
    """Who changes the one would change the other."""
    source = tmp_path / "x.yaml"
    source.write_text("model:\n  overrides: &o {a: b/c}\ntraining:\n  environment_args: *o\n")
    draft = Draft.load(str(source), ROOT)
    draft.put_value("training.environment_args", {"a": "b/d"})
    with pytest.raises(ConfigError, match="alias"):
        save(draft, tmp_path / "new.yaml", ROOT)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.yaml"]


def test_nothing_is_overwritten_in_silence(tmp_path: Path) -> None:
    there = tmp_path / "there.yaml"
    there.write_text("training:\n  steps: 5\n")
    draft = Draft.load(str(there), ROOT)
    draft.put("training.steps", "6")
    with pytest.raises(ConfigError, match=r"there\.yaml exists already"):
        save(draft, there, ROOT)
    assert there.read_text() == "training:\n  steps: 5\n"
    save(draft, there, ROOT, overwrite=True)
    assert there.read_text() == "training:\n  steps: 6\n"
    assert [p.name for p in tmp_path.iterdir()] == ["there.yaml"]


def test_a_config_that_is_a_link_stays_one_and_what_it_leads_to_is_written(tmp_path: Path) -> None:
    real, link, theirs = tmp_path / "real.yaml", tmp_path / "link.yaml", tmp_path / ".real.yaml.part"
    real.write_text("training:\n  steps: 5\n")
    theirs.write_text("another program's")
    link.symlink_to("real.yaml")
    draft = Draft.load(str(link), ROOT)
    draft.put("training.steps", "6")
    save(draft, link, ROOT, overwrite=True)
    assert link.is_symlink()
    assert real.read_text() == "training:\n  steps: 6\n"
    assert theirs.read_text() == "another program's"


def test_a_draft_with_problems_is_not_saved(tmp_path: Path) -> None:
    draft = Draft.load(None, ROOT)
    draft.put("training.steps", "many")
    with pytest.raises(ConfigError, match="problems"):
        save(draft, tmp_path / "x.yaml", ROOT)
    assert list(tmp_path.iterdir()) == []


def test_defaults_become_a_file_of_what_was_typed(tmp_path: Path) -> None:
    draft = Draft.load(None, ROOT)
    draft.put("training.steps", "6")
    draft.put("modal.gpu.type", "T4")
    save(draft, tmp_path / "deep" / "x.yaml", ROOT)
    text = (tmp_path / "deep" / "x.yaml").read_text()
    assert text.startswith("# ")
    assert text.endswith("training:\n  steps: 6\n\nmodal:\n  gpu:\n    type: T4\n")


def test_a_name_means_a_config() -> None:
    assert config_path("mine", ROOT) == ROOT / "configs" / "mine.yaml"
    assert config_path("mine.yml", ROOT) == ROOT / "configs" / "mine.yml"
    assert config_path("sub/mine", ROOT) == ROOT / "sub" / "mine.yaml"
    assert config_path("/tmp/mine", ROOT) == Path("/tmp/mine.yaml")
    for nothing in ("", "  ", "configs/"):
        with pytest.raises(ConfigError, match="needs a name"):
            config_path(nothing, ROOT)


plain = st.text(st.characters(codec="utf-8", exclude_characters="\0\ud800"), max_size=12)
values: st.SearchStrategy[Any] = st.recursive(
    st.one_of(plain, st.integers(-(10**6), 10**6), st.booleans(), st.none(), st.floats(0, 1)),
    lambda inner: st.lists(inner, max_size=3),
    max_leaves=4,
)


@given(
    source=st.sampled_from(CONFIGS),
    args=st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), values, max_size=3),
)
def test_whatever_an_environment_takes_is_read_again(source: Path, args: dict[str, Any]) -> None:
    draft = Draft.load(str(source), ROOT)
    draft.put_value("training.environment_args", args)
    if not draft.is_sound:
        return  # text that no file may carry
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        save(draft, path, ROOT)
        assert resolve(path).spec.training.environment_args == args
        before, after = (text.splitlines() for text in (source.read_text(), path.read_text()))
    assert [x for x in after if x.startswith("#")] == [x for x in before if x.startswith("#")]


@given(key=st.sampled_from([row.path for row in schema.rows()]), source=st.sampled_from(CONFIGS))
def test_a_key_that_the_file_lacks_can_be_put_and_dropped(key: tuple[str, ...], source: Path) -> None:
    text = source.read_text()
    if key in load(source).lines:
        assert key not in _lines(edit(text, gone=[key]))
    else:
        with_it = edit(text, [(key, 5)])
        assert key in _lines(with_it)
        again = [x for x in edit(with_it, gone=[key]).splitlines() if x and x in text]
        assert again == [x for x in text.splitlines() if x]


def _lines(text: str) -> set[tuple[str, ...]]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_text(text)
        return set(load(path).lines)


def test_a_name_that_no_disk_takes_is_a_mistake_of_the_name(tmp_path: Path) -> None:
    draft = Draft.load(str(CONFIGS[0]), ROOT)
    with pytest.raises(ConfigError, match=r"cannot write .*name too long"):
        save(draft, config_path("n" * 300, tmp_path), tmp_path)

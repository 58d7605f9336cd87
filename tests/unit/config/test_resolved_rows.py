"""A run's config as rows, from the file that it was launched with."""

from __future__ import annotations

from pathlib import Path

from remote.contract.spec import ExperimentSpec
from tui.config.resolve import resolve
from tui.config.resolved_rows import ConfigValue, run_config

ROOT = Path(__file__).parents[3]


def document(*sets: str) -> dict[str, object]:
    """What the run directory keeps of a demo with these overrides."""
    resolved = resolve("configs/local_demo.yaml", sets, project_dir=ROOT)
    return {
        "spec": resolved.spec.model_dump(mode="json"),
        "provenance": {key: source.model_dump() for key, source in resolved.provenance.items()},
    }


def by_key(found: list[ConfigValue]) -> dict[str, ConfigValue]:
    return {value.key: value for value in found}


def test_each_value_says_where_it_comes_from() -> None:
    found = by_key(run_config(document("training.learning_rate=1e-5")))
    typed, filed, default = (found[f"training.{name}"] for name in ("learning_rate", "steps", "top_p"))
    assert (typed.layer, typed.value, typed.default, typed.differs) == ("set", "1e-05", "3e-06", True)
    assert typed.source == "you: training.learning_rate=1e-5" or "learning_rate" in typed.source
    assert (filed.layer, filed.differs) == ("file", True)
    assert filed.source.startswith("configs/local_demo.yaml:")
    assert (default.source, default.differs) == ("default", False)
    assert default.help


def test_rows_stand_in_the_specs_order_by_section() -> None:
    sections = [value.section for value in run_config(document())]
    assert sections == sorted(sections, key=list(dict.fromkeys(sections)).index)  # no section comes twice
    assert list(dict.fromkeys(sections)) == list(ExperimentSpec.model_fields)


def test_options_of_the_environment_are_rows_of_their_own() -> None:
    found = by_key(run_config(document("training.environment_args.turns=3")))
    turns = found["training.environment_args.turns"]
    assert (turns.name, turns.value, turns.layer, turns.differs) == (
        "environment_args.turns",
        "3",
        "set",
        True,
    )


def test_what_the_file_says_as_the_default_does_not_differ() -> None:
    assert not by_key(run_config(document()))["model.lora.rank"].differs


def test_a_file_of_another_version_is_shown_all_the_same() -> None:
    spec = {**ExperimentSpec().model_dump(mode="json"), "quantum": {"qubits": 3}, "training": {"steps": 9}}
    found = by_key(run_config({"spec": spec}))
    assert found["quantum.qubits"].value == "3"
    assert "does not know" in found["quantum.qubits"].help
    assert (found["training.steps"].layer, found["training.steps"].differs) == ("", True)
    assert list(found)[-1] == "quantum.qubits"


def test_a_damaged_file_has_no_rows() -> None:
    assert run_config({}) == run_config({"spec": 3, "provenance": "x"}) == []

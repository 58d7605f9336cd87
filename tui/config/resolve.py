"""Resolve a config and overrides into a spec, with the source of each value.

The layers: defaults < file < `model.overrides[environment]` < `--set`. All problems are collected before
one error raises them. `yaml_files.py` reads, `layers.py` flattens; `tui/planning/plan.py` checks what a
launch needs beyond the spec.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from operator import getitem
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from remote.contract.errors import Hint
from remote.contract.model_choice import find_spelling, same_environment
from remote.contract.record import Provenance
from remote.contract.spec import ExperimentSpec
from tui.config import layers, overrides, schema, yaml_files
from tui.config.layers import Layers
from tui.config.overrides import Override
from tui.config.problems import ConfigProblems, Problem
from tui.config.yaml_files import Key, SourceTree

OVERRIDES: Key = ("model", "overrides")
BASE_MODEL: Key = ("model", "base_model")
ENVIRONMENT: Key = ("training", "environment")
ARGUMENTS: Key = ("training", "environment_args")


@dataclass(frozen=True)
class Resolved:
    """A validated spec, the source of each of its values, and notices for the user."""

    spec: ExperimentSpec
    provenance: dict[str, Provenance]
    """Dotted key → its source, for every value, also inside `environment_args` and `model.overrides`."""
    notices: list[str]
    values: dict[str, Any] = field(default_factory=dict)
    """Dotted key → value, as the spec has it."""
    configured: dict[str, Any] = field(default_factory=dict)
    """Dotted key → value, as defaults and the file alone have it."""
    typed: tuple[Override, ...] = ()
    """The overrides that apply: the last of each key."""

    def derived(self, values: dict[str, Any], why: str) -> Resolved:
        """A copy with values that follow from others. `why`: `set for vf-bfcl-single-turn`."""
        data = self.spec.model_dump()
        for key, value in values.items():
            *sections, name = key.split(".")
            reduce(getitem, sections, data)[name] = value
        return replace(
            self,
            spec=ExperimentSpec.model_validate(data),
            provenance={**self.provenance, **dict.fromkeys(values, Provenance(layer="derived", where=why))},
            values={**self.values, **values},
        )


def resolve(
    config: Path | str | None, sets: Sequence[str] = (), *, project_dir: Path | None = None
) -> Resolved:
    """Read a config (None: the defaults) and apply `KEY=VALUE` overrides.

    A relative path is looked for in the working directory, then in the project. Raises `ConfigProblems`.
    """
    errors: list[ConfigProblems] = []
    tree, typed = None, []
    try:
        tree = None if config is None else yaml_files.load(locate(config, project_dir))
    except ConfigProblems as error:
        errors.append(error)
    try:
        typed = overrides.parse(sets)
    except ConfigProblems as error:
        errors.append(error)
    if errors:
        hint = next((e.hint for e in errors if e.hint), None)
        raise ConfigProblems([p for e in errors for p in e.problems], hint)
    return resolve_layers(tree, typed)


def resolve_layers(tree: SourceTree | None, typed: Sequence[Override] = ()) -> Resolved:
    """Resolve a config that was read already, and overrides. Raises `ConfigProblems`."""
    return _Resolver(tree, typed).run()


def locate(config: Path | str, project_dir: Path | None) -> Path | str:
    """The path itself where it exists, else the one inside the project where that exists."""
    path = Path(config).expanduser()
    if project_dir is not None and not path.is_absolute() and not path.exists():
        inside = project_dir / path
        return inside if inside.exists() else config
    return config


class _Resolver:
    """One resolution: layers to a spec, with all problems collected."""

    def __init__(self, tree: SourceTree | None, typed: Sequence[Override]) -> None:
        self.tree = tree
        self.typed = tuple(_last_of_each(typed))
        self.layers: Layers = layers.defaults()
        self.problems: list[Problem] = list(tree.problems) if tree else []
        self.notices: list[str] = []

    def run(self) -> Resolved:
        self._lay_file()
        configured = dict(self.layers.values)
        for override in self.typed:
            self._lay_typed(override)
        self._drop_arguments(configured.get(ENVIRONMENT))
        self._lay_model()
        self._check_values()
        spec = self._validate()
        if spec is None or self.problems:
            raise ConfigProblems(self.problems, _hint(self.problems))
        values = {".".join(k): v for k, v in layers.leaves(spec.model_dump())}
        provenance = {".".join(k): source for k, source in self.layers.provenance.items()}
        return Resolved(
            spec=spec,
            provenance={key: provenance[key] for key in values},
            notices=[*self.notices, *_idle(spec, provenance)],
            values=values,
            configured={".".join(k): v for k, v in configured.items()},
            typed=self.typed,
        )

    def _lay_file(self) -> None:
        if self.tree is None:
            return
        for key, value in layers.leaves(self.tree.data):
            self._put(key, value, Provenance(layer="file", where=self.tree.where(key)))
        self._refuse_twins()

    def _lay_typed(self, override: Override) -> None:
        key, source = override.key, Provenance(layer="set", where=override.where)
        if layers.is_section(key) and not isinstance(override.value, dict):
            self.problems.append(layers.field_problem(key, override.value, source.where))
            return
        for twin in self._twins(key):
            self.layers.drop(twin)
        if layers.is_open(key) and isinstance(override.value, dict | None):
            # A mapping of the user's own is replaced whole; a section is merged key by key.
            self.layers.put(key, {}, source)
        for leaf, value in layers.leaves(override.value, key):
            self._put(leaf, value, source)

    def _put(self, key: Key, value: Any, source: Provenance) -> None:
        problem = layers.unknown(key, source.where)
        if layers.is_section(key):
            # Laid over the section, it would take all keys below along; a key typed later, it in turn.
            problem = layers.field_problem(key, value, source.where)
        if problem is None:
            self.layers.put(key, value, source)
        else:
            self.problems.append(problem)

    def _twins(self, key: Key) -> list[Key]:
        """Other entries of `model.overrides` for the same environment, spelled differently."""
        if key[:2] != OVERRIDES or len(key) != 3:
            return []
        others = (k for k in self.layers.under(OVERRIDES) if k != key)
        return [k for k in others if same_environment(k[2], key[2])]

    def _refuse_twins(self) -> None:
        seen: list[Key] = []
        for key in self.layers.under(OVERRIDES):
            twin = next((k for k in self._twins(key) if k in seen), None)
            if twin is not None:
                message = f"model.overrides names one environment twice: {twin[2]} and {key[2]}"
                self.problems.append(Problem(message, self._where(key), ".".join(key)))
            seen.append(key)

    def _drop_arguments(self, configured: Any) -> None:
        """Drop the file's `environment_args` where another environment is set: they are not its own."""
        name, source = self.layers.values.get(ENVIRONMENT), self.layers.provenance.get(ENVIRONMENT)
        if source is None or source.layer != "set":
            return
        if not (isinstance(name, str) and isinstance(configured, str)) or same_environment(name, configured):
            return
        written = [k for k in self.layers.under(ARGUMENTS) if self.layers.provenance[k].layer == "file"]
        for key in written:
            self.layers.drop(key)
        if written:
            first = self.tree.where(written[0]) if self.tree else ""
            self.notices.append(
                f"{first}: training.environment_args are {configured}'s and do not count for {name}"
            )
        if not any(k[: len(ARGUMENTS)] == ARGUMENTS for k in self.layers.values):
            self.layers.put(ARGUMENTS, {}, source)

    def _lay_model(self) -> None:
        """Replace `base_model` by `model.overrides[environment]`, unless the user has set it."""
        environment = self.layers.values.get(ENVIRONMENT)
        names = [k[2] for k in self.layers.under(OVERRIDES) if len(k) == 3]
        spelling = find_spelling(names, environment) if isinstance(environment, str) else None
        if spelling is None:
            return
        entry = (*OVERRIDES, spelling)
        source, typed = self.layers.provenance[entry], self.layers.provenance[BASE_MODEL]
        if typed.layer == "set" and source.layer != "set":
            self.layers.drop(entry)
            if not self.layers.under(OVERRIDES):
                self.layers.put(OVERRIDES, {}, typed)
            self.notices.append(f"{source.where}: model.overrides.{spelling} gives way to {typed.where}")
            return
        model = self.layers.values[entry]
        self.layers.put(BASE_MODEL, model, Provenance(layer="override", where=source.where))

    def _check_values(self) -> None:
        """Refuse values that pydantic would convert, and remove them before it validates."""
        for key, value in list(self.layers.values.items()):
            if layers.wrong_kind(key, value):
                self.problems.append(layers.field_problem(key, value, self._where(key)))
                self.layers.drop(key)

    def _validate(self) -> ExperimentSpec | None:
        try:
            return ExperimentSpec.model_validate(self.layers.nested())
        except ValidationError as error:
            known = len(self.problems)
            for item in error.errors(include_url=False):
                key, value = tuple(map(str, item["loc"])), item["input"]
                if key[:-1] in self.layers.values:  # an item of a list, which is one value of one key
                    key, value = key[:-1], self.layers.values[key[:-1]]
                self._translate(key, item["type"], item["msg"], value, known)
            return None

    def _translate(self, key: Key, kind: str, text: str, value: Any, known: int) -> None:
        """Add one of pydantic's errors as a problem."""
        if kind == "value_error":
            self._translate_misfit(key, text.removeprefix("Value error, "), known)
        elif key != BASE_MODEL or self.layers.provenance[BASE_MODEL].layer != "override":
            # A base_model of model.overrides has a problem already, at its own line.
            self.problems.append(layers.field_problem(key, value, self._where(key)))

    def _translate_misfit(self, section: Key, text: str, known: int) -> None:
        """Add a problem of values that do not fit together, at the lines of those that the user set."""
        keys = list(_mentioned(text, section))
        wrong = {key for p in self.problems[:known] for key in (p.key, p.proposal)}
        if wrong & {".".join(k) for k in keys}:
            return  # a value that has a problem already may be the cause
        written = [k for k in keys if (p := self.layers.provenance.get(k)) and p.layer != "default"]
        where = ", ".join(dict.fromkeys(self._where(k) for k in written)) or self._where(section)
        key = ".".join(written[0] if written else section)
        self.problems.append(Problem(text, where, key, keys=tuple(map(".".join, keys))))

    def _where(self, key: Key) -> str:
        for at in (key, *self.layers.under(key)):
            source = self.layers.provenance.get(at)
            if source is not None and source.where:
                return source.where
        return self.tree.where(key) if self.tree else "defaults"


def _last_of_each(typed: Sequence[Override]) -> Iterator[Override]:
    """Drop overrides that a later one of the same key, or of a key above it, replaces."""
    for n, override in enumerate(typed):
        later = (o for o in typed[n + 1 :] if override.key[: len(o.key)] == o.key)
        if not any(o.key == override.key or layers.is_open(o.key) for o in later):
            yield override


def _mentioned(text: str, section: Key) -> Iterator[Key]:
    """The keys that a message names, in full or relative to its section."""
    for word in re.findall(r"[a-z_]+(?:\.[a-z_]+)*", text):
        for key in (tuple(word.split(".")), (*section, word)):
            if key in schema.by_path():
                yield key


def _hint(problems: Sequence[Problem]) -> Hint | None:
    if any(p.message.startswith("unknown key") for p in problems):
        return Hint("`vfm config schema` lists every key with its type and default")
    return None


def _idle(spec: ExperimentSpec, provenance: dict[str, Provenance]) -> Iterator[str]:
    """Notices of values that the user has set and that have no effect beside the others."""
    idle = {
        "vllm.tool_call_parser": (
            spec.vllm.tool_call_parser is not None and spec.vllm.enable_auto_tool_choice is False,
            "vllm.enable_auto_tool_choice is false",
        ),
        "training.warmup_steps": (
            spec.training.warmup_steps > 0 and spec.training.lr_scheduler == "constant",
            "training.lr_scheduler is constant",
        ),
        "training.eval_steps": (
            spec.training.eval_steps > 0 and spec.training.eval_examples == 0,
            "training.eval_examples is 0",
        ),
    }
    for key, (does_nothing, why) in idle.items():
        if does_nothing and provenance[key].layer != "default":
            yield f"{provenance[key].where}: {key} has no effect while {why}"

"""A draft of a launch: a config and the overrides typed in a form.

Owns the overrides, the problem of each field, and where each value comes from. `config/resolve.py` layers and
validates; `plan.py` plans.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remote.contract.errors import VfmError
from remote.contract.record import Kind
from remote.contract.spec import ExperimentSpec
from tui.config import layers, schema, yaml_files
from tui.config.field_text import read, spoken
from tui.config.overrides import Override, spell
from tui.config.problems import ConfigProblems, Problem
from tui.config.resolve import Resolved, locate, resolve_layers
from tui.config.schema import Row
from tui.config.yaml_files import Key, SourceTree
from tui.planning.plan import Plan, make_plan
from tui.settings import Settings

YOU, HINT, RUN = "you", "hint", "run"
"""Where an override comes from: the user, the hint of a failure, or the run to launch again."""


@dataclass(frozen=True)
class Typed:
    """One override."""

    text: str
    """The text of the field."""
    by: str = YOU
    value: Any = None
    problem: str = ""
    """Why the text is no value."""


@dataclass(frozen=True)
class Field:
    """One key of the spec as a form shows it."""

    row: Row
    text: str
    """The text in the field."""
    value: Any
    source: str
    """default, file, override, you, hint or run."""
    where: str
    """`configs/x.yaml:12`, where a file sets it."""
    base: str
    """The field's text without the override."""
    problem: str = ""
    """What is wrong with it, without the key."""

    @property
    def key(self) -> str:
        """The dotted key."""
        return self.row.key

    @property
    def is_typed(self) -> bool:
        """Whether it is an override."""
        return self.source in (YOU, HINT, RUN)

    @property
    def differs(self) -> bool:
        """Whether the value differs from the config's."""
        return self.text != self.base


@dataclass
class Draft:
    """A config (or the defaults) and overrides, resolved again after every change."""

    config: str | None = None
    """Its path, as in a command."""
    tree: SourceTree | None = None
    kind: Kind = "train"
    backend: str = "local"
    typed: dict[str, Typed] = field(default_factory=dict)
    """By dotted key."""
    resolved: Resolved | None = field(default=None, init=False)
    """None while something is wrong."""
    problems: dict[str, str] = field(default_factory=dict, init=False)
    """By dotted key of a row."""
    general: list[str] = field(default_factory=list, init=False)
    """Problems of no single row."""

    def __post_init__(self) -> None:
        self._written = _written(self.tree)
        self._alone = self._without_typing()
        self._resolve()

    @classmethod
    def load(cls, config: str | None, project_dir: Path, **options: Any) -> Draft:
        """Read a config. Raises `ConfigProblems`."""
        tree = None if config is None else yaml_files.load(locate(config, project_dir))
        if tree is not None:
            tree.path = str(config)
        return cls(config, tree, **options)

    def put(self, key: str, text: str, by: str = YOU) -> None:
        """Set the text of a field; the config's own value removes the override."""
        row = schema.by_key().get(key)
        if row is None:
            self.put_value(key, yaml_files.read_value(text, key), by)
            return
        self.reset(key)
        try:
            value = read(row, text)
        except ConfigProblems as error:
            self.typed[key] = Typed(text, by, problem=error.problems[0].message)
        else:
            if value == self._value(row)[0]:
                return
            self.typed[key] = Typed(text, by, value)
        self._resolve()

    def put_value(self, key: str, value: Any, by: str = YOU) -> None:
        """Override a key; keys inside `environment_args` and `model.overrides` are allowed."""
        row = schema.by_key().get(key)
        text = spoken(row, value) if row else spell(value)
        if row is not None and row.type == "mapping":
            self._forget(key)
        self.typed[key] = Typed(text, by, value)
        self._resolve()

    def reset(self, key: str) -> None:
        """Remove the overrides of a field."""
        self._forget(key)
        self._resolve()

    def reset_all(self) -> None:
        """Remove all overrides."""
        self.typed.clear()
        self._resolve()

    def type_again(self, typed: Mapping[str, Typed]) -> None:
        """Add overrides back."""
        self.typed = {**self.typed, **typed}
        self._resolve()

    def fields(self) -> list[Field]:
        """All fields, in the order of the schema."""
        return [self._field(row) for row in schema.rows()]

    def value(self, row: Row) -> Any:
        """The current value of a row, as far as known while there are problems."""
        return self._value(row)[0]

    @property
    def is_sound(self) -> bool:
        """Whether the spec has no problems."""
        return self.resolved is not None and not self.wrong

    @property
    def wrong(self) -> int:
        """The number of problems."""
        return len(self.problems) + len(self.general)

    def overrides(self) -> list[Override]:
        """The overrides, for the resolver."""
        good = ((key, typed) for key, typed in self.typed.items() if not typed.problem)
        return [Override(tuple(key.split(".")), typed.value, typed.text) for key, typed in good]

    def plan(self, settings: Settings) -> Plan:
        """Plan the launch. Blocks. Raises `ConfigProblems` and what `make_plan` raises."""
        resolved = self.resolved
        if resolved is None or not self.is_sound:
            raise ConfigProblems([Problem(text, key=key) for key, text in self._all_problems()])
        return make_plan(resolved, settings, kind=self.kind, backend=self.backend, config_path=self.config)

    def _all_problems(self) -> Iterator[tuple[str, str]]:
        yield from self.problems.items()
        yield from (("", text) for text in self.general)

    def _resolve(self) -> None:
        self.resolved, self.general = None, []
        self.problems = {key: typed.problem for key, typed in self.typed.items() if typed.problem}
        try:
            self.resolved = resolve_layers(self.tree, self.overrides())
        except ConfigProblems as error:
            for problem in error.problems:
                self._blame(problem)

    def _blame(self, problem: Problem) -> None:
        """Put a problem beside a field: of several values that do not fit together, the one typed last."""
        key = row_of(problem.key)
        typed = [k for k in self.typed if k in problem.keys]
        if typed and key not in self.typed:
            key = row_of(typed[-1])
        if key is None:
            self.general.append(str(problem))
        else:
            self.problems.setdefault(key, beside(problem))

    def _forget(self, key: str) -> None:
        for other in [k for k in self.typed if _within(k, key)]:
            del self.typed[other]

    def _without_typing(self) -> ExperimentSpec | None:
        try:
            return resolve_layers(self.tree).spec
        except ConfigProblems:
            return None

    def _field(self, row: Row) -> Field:
        typed = next((t for k, t in self.typed.items() if _within(k, row.key)), None)
        value, source, where = self._value(row)
        base = spoken(row, self._base_value(row))
        text = spoken(row, value)
        if typed is not None:
            source, where = typed.by, ""
            text = self.typed[row.key].text if row.key in self.typed else text
        return Field(row, text, value, source, where, base, self.problems.get(row.key, ""))

    def _value(self, row: Row) -> tuple[Any, str, str]:
        """A row's value, the layer it comes from, and the place that sets it."""
        if self.resolved is None:
            return self._unresolved(row)
        sources = [p for k, p in self.resolved.provenance.items() if _within(k, row.key)]
        source = next((p for p in sources if p.layer != "default"), None)
        layer = source.layer if source else "default"
        value = value_at(self.resolved.spec, row)
        return value, (YOU if layer == "set" else layer), source.where if source else ""

    def _unresolved(self, row: Row) -> tuple[Any, str, str]:
        if row.key in self.typed:
            return self.typed[row.key].value, self.typed[row.key].by, ""
        if self.tree and any(key[: len(row.path)] == row.path for key in self._written):
            return self._base_value(row), "file", self.tree.where(row.path)
        return self._base_value(row), "default", ""

    def _base_value(self, row: Row) -> Any:
        """A row's value without overrides."""
        if self._alone is not None:
            return value_at(self._alone, row)
        if row.path in self._written:
            return self._written[row.path]
        inside = {k[len(row.path) :]: v for k, v in self._written.items() if k[: len(row.path)] == row.path}
        return _nested(inside) if inside else row.default


def row_of(key: str) -> str | None:
    """The row of a key or of the mapping that holds it; None for sections and unknown keys."""
    parts = key.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((name for name in names if name in schema.by_key()), None)


def beside(problem: Problem) -> str:
    """The text of a problem beside its field, without the key."""
    if not problem.expected:
        return problem.message
    _, _, rest = problem.message.partition(", but ")
    return rest.partition(" (default")[0] if rest else f"should be {problem.expected}"


def blamed(error: VfmError) -> tuple[str | None, str]:
    """The row that a planning error is about, and its text."""
    key = row_of(error.hint.key) if error.hint and error.hint.key else None
    advice = f": {error.hint.text}" if error.hint else ""
    return key, f"{error.message}{advice}"


def _written(tree: SourceTree | None) -> dict[Key, Any]:
    """The file's values of known keys."""
    if tree is None:
        return {}
    return {key: value for key, value in layers.leaves(tree.data) if layers.unknown(key, "") is None}


def _nested(inside: Mapping[Key, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for key, value in inside.items():
        branch = tree
        for part in key[:-1]:
            branch = branch.setdefault(part, {})
        branch[key[-1]] = value
    return tree


def _within(key: str, row: str) -> bool:
    return key == row or key.startswith(f"{row}.")


def value_at(spec: ExperimentSpec, row: Row) -> Any:
    """A row's value in a spec."""
    value: Any = spec
    for part in row.path:
        value = getattr(value, part)
    return value

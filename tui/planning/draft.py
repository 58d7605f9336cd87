"""A launch in the making: a config, and what somebody typed over it in a form.

Owns what was typed and by whom, what is wrong with which field, and where each value comes from, in
words. Layering and judging are resolve's; what a launch needs beyond the spec is plan's.
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
"""Who typed a value: the user, the hint of a failure, or the run that is to be run again."""


@dataclass(frozen=True)
class Typed:
    """One value that stands over the config."""

    text: str
    """The field's text, as it was typed."""
    by: str = YOU
    value: Any = None
    problem: str = ""
    """Why the text is no value at all."""


@dataclass(frozen=True)
class Field:
    """One key of the spec as a form shows it."""

    row: Row
    text: str
    """What stands in the field."""
    value: Any
    source: str
    """default, file, override, you, hint or run."""
    where: str
    """`configs/x.yaml:12`, where a file says it."""
    base: str
    """The field's text without what was typed."""
    problem: str = ""
    """What is wrong with it, in a sentence that begins after the key."""

    @property
    def key(self) -> str:
        """The dotted key."""
        return self.row.key

    @property
    def is_typed(self) -> bool:
        """Whether somebody typed it."""
        return self.source in (YOU, HINT, RUN)

    @property
    def differs(self) -> bool:
        """Whether it is another value than the config's."""
        return self.text != self.base


@dataclass
class Draft:
    """A config (none: the defaults) and what was typed over it, resolved anew at every change."""

    config: str | None = None
    """As a command would name it."""
    tree: SourceTree | None = None
    kind: Kind = "train"
    backend: str = "local"
    typed: dict[str, Typed] = field(default_factory=dict)
    """Dotted key → what was typed."""
    resolved: Resolved | None = field(default=None, init=False)
    """None while something is wrong."""
    problems: dict[str, str] = field(default_factory=dict, init=False)
    """Dotted key of a row → what is wrong with it."""
    general: list[str] = field(default_factory=list, init=False)
    """Problems that belong to no single row."""

    def __post_init__(self) -> None:
        self._written = _written(self.tree)
        self._alone = self._without_typing()
        self._resolve()

    @classmethod
    def load(cls, config: str | None, project_dir: Path, **options: Any) -> Draft:
        """Read the config. Raises `ConfigProblems` where it is none."""
        tree = None if config is None else yaml_files.load(locate(config, project_dir))
        if tree is not None:
            tree.path = str(config)
        return cls(config, tree, **options)

    def put(self, key: str, text: str, by: str = YOU) -> None:
        """Type into a field. Text that is the config's own value takes back what was typed before."""
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
        """Lay a value over a key, one inside `environment_args` or `model.overrides` too."""
        row = schema.by_key().get(key)
        text = spoken(row, value) if row else spell(value)
        if row is not None and row.type == "mapping":
            self._forget(key)
        self.typed[key] = Typed(text, by, value)
        self._resolve()

    def reset(self, key: str) -> None:
        """Take back what was typed into a field."""
        self._forget(key)
        self._resolve()

    def reset_all(self) -> None:
        """Take back everything that was typed."""
        self.typed.clear()
        self._resolve()

    def type_again(self, typed: Mapping[str, Typed]) -> None:
        """Lay what had been typed over the config once more."""
        self.typed = {**self.typed, **typed}
        self._resolve()

    def fields(self) -> list[Field]:
        """Every key of the spec, in the order of the schema."""
        return [self._field(row) for row in schema.rows()]

    def value(self, row: Row) -> Any:
        """What a row holds now, as far as that is known while something is wrong."""
        return self._value(row)[0]

    @property
    def is_sound(self) -> bool:
        """Whether nothing is wrong, as far as the spec can tell."""
        return self.resolved is not None and not self.wrong

    @property
    def wrong(self) -> int:
        """How many things are wrong."""
        return len(self.problems) + len(self.general)

    def overrides(self) -> list[Override]:
        """What was typed, as the resolver takes it."""
        good = ((key, typed) for key, typed in self.typed.items() if not typed.problem)
        return [Override(tuple(key.split(".")), typed.value, typed.text) for key, typed in good]

    def plan(self, settings: Settings) -> Plan:
        """Plan the launch: asks the disk and git. Raises `ConfigProblems` and what `make_plan` raises."""
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
        """A row's value, which layer it comes from, and the place that says it."""
        if self.resolved is None:
            return self._unresolved(row)
        sources = [p for k, p in self.resolved.provenance.items() if _within(k, row.key)]
        said = next((p for p in sources if p.layer != "default"), None)
        layer = said.layer if said else "default"
        value = value_at(self.resolved.spec, row)
        return value, (YOU if layer == "set" else layer), said.where if said else ""

    def _unresolved(self, row: Row) -> tuple[Any, str, str]:
        if row.key in self.typed:
            return self.typed[row.key].value, self.typed[row.key].by, ""
        if self.tree and any(key[: len(row.path)] == row.path for key in self._written):
            return self._base_value(row), "file", self.tree.where(row.path)
        return self._base_value(row), "default", ""

    def _base_value(self, row: Row) -> Any:
        """What the config, or else the default, makes of a row when nothing is typed."""
        if self._alone is not None:
            return value_at(self._alone, row)
        if row.path in self._written:
            return self._written[row.path]
        inside = {k[len(row.path) :]: v for k, v in self._written.items() if k[: len(row.path)] == row.path}
        return _nested(inside) if inside else row.default


def row_of(key: str) -> str | None:
    """The row that a key is, or lies in; None for sections and strangers."""
    parts = key.split(".")
    names = (".".join(parts[:n]) for n in range(len(parts), 0, -1))
    return next((name for name in names if name in schema.by_key()), None)


def beside(problem: Problem) -> str:
    """A problem as it reads beside its field, where the key need not be said again."""
    if not problem.expected:
        return problem.message
    _, _, rest = problem.message.partition(", but ")
    return rest.partition(" (default")[0] if rest else f"should be {problem.expected}"


def blamed(error: VfmError) -> tuple[str | None, str]:
    """The row that a refused plan speaks of, and what it says."""
    key = row_of(error.hint.key) if error.hint and error.hint.key else None
    advice = f": {error.hint.text}" if error.hint else ""
    return key, f"{error.message}{advice}"


def _written(tree: SourceTree | None) -> dict[Key, Any]:
    """The file's own values by key, those of keys that the spec knows."""
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

"""What `evaluation.checkpoint` means: a training's checkpoint as `RUN:NAME`, or a folder, and where it lies.

Owns finding it, what it brings along (the model and the environment that it was trained with), and the words
where there is none. It reads a few small files and asks nobody: of a run on Modal it knows what this machine
has seen of it. Whether the folder holds what it should is the worker's to say.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import getitem
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from remote.contract import layout
from remote.contract.checkpoint_names import SavedCheckpoint, by_step, checkpoints_from, choose
from remote.contract.errors import ConfigError, Hint
from remote.contract.events import CheckpointEvent, decode_line
from remote.contract.json_text import from_json
from remote.contract.plain_files import open_plain, read_plain
from remote.contract.record import Kind, RunRecord
from remote.contract.spec import ExperimentSpec
from tui.config.resolve import Resolved
from tui.settings import Settings

KEY = "evaluation.checkpoint"
LAST = "last"
_MODEL, _ENVIRONMENT, _ARGUMENTS = "model.base_model", "training.environment", "training.environment_args"
_LENGTHS = ("training.max_completion_length", "vllm.max_model_len")
_ANSWERS = ("model.dtype", "training.max_turns", "training.top_p", *_LENGTHS)
"""What decides how a model answers: as in the training, unless the config says."""
_WEIGHTS = ("adapter_config.json", "config.json")
_SHOWN = 6  # runs that an error names
_OUTPUTS = "verifiers-outputs-*"


@dataclass(frozen=True)
class Checkpoint:
    """What is evaluated in place of a model; the empty one where that is the model itself."""

    resolved: Resolved
    """The config, with what the checkpoint brings along."""
    path: str = ""
    """Absolute, where the worker runs."""
    text: str = ""
    """`k3f9x-wordle: checkpoint-40 (★ best, 0.47)`, or the folder."""
    model: str = ""
    """The model that it was trained from, where that is known."""
    why: str = ""
    """Why it is this model."""


def find_checkpoint(resolved: Resolved, settings: Settings, kind: Kind, backend: str) -> Checkpoint:
    """What the spec's `evaluation.checkpoint` means where the run will be. Raises `ConfigError`."""
    text = resolved.spec.evaluation.checkpoint
    if kind != "evaluate" or text is None:
        return Checkpoint(resolved)
    outputs = layout.outputs_volume(settings.experimenter, settings.experiment)
    where = resolved.provenance[KEY].where
    finding = _Finding(text, settings.home, backend, outputs, f"{where}: " if ":" in where else "")
    if "/" in text or text.startswith(("~", ".")):
        path = finding.folder()
        return Checkpoint(resolved, path, path)
    found = finding.of_run()
    model, run_id = found.record.model, found.record.run_id
    laid = _laid_over(resolved, found)
    return Checkpoint(
        laid, found.path, f"{run_id}: {found.saved.label}", model, f"{run_id} was trained on it"
    )


@dataclass(frozen=True)
class _Found:
    """A training's checkpoint."""

    path: str
    saved: SavedCheckpoint
    record: RunRecord
    trained: dict[str, Any]
    """Dotted key → value: the environment that it was trained in, its options, and how it answered."""


def _laid_over(resolved: Resolved, found: _Found) -> Resolved:
    """A config that names no environment takes the training's; the model is the training's in any case."""
    values: dict[str, Any] = {}
    sources = resolved.provenance
    configured = {key for key, source in sources.items() if source.layer != "default"}
    if _ENVIRONMENT not in configured:
        if any(map(_is_argument, configured)):
            configured.add(_ARGUMENTS)
        if configured.intersection(_LENGTHS):  # one must leave room for the other
            configured.update(_LENGTHS)
        values |= {
            key: value
            for key, value in found.trained.items()
            if key not in configured and resolved.values.get(key) != value
        }
    typed, model = resolved.spec.model.base_model, found.record.model
    if typed != model:
        if sources[_MODEL].layer == "set":
            raise ConfigError(
                f"{_MODEL} = {typed}, but {found.record.run_id} was trained on {model}",
                hint=Hint("leave it out: a checkpoint brings its model along", _MODEL, typed, model),
            )
        values[_MODEL] = model
    return resolved.derived(values, f"as {found.record.run_id} was trained") if values else resolved


class _Finding:
    """One look for a checkpoint."""

    def __init__(self, text: str, home: Path, backend: str, outputs: str, place: str) -> None:
        self.text, self.home, self.backend, self.outputs, self.place = text, home, backend, outputs, place
        self.run, _, self.name = text.partition(":")

    def folder(self) -> str:
        """The path of a folder of the user's own."""
        if self.backend != "local":
            if self.text.startswith("/"):
                return self.text  # a path in the container: only the worker can look
            raise self._error(
                f"the checkpoint {self.text!r} is a path on this machine, which {self.backend} cannot see",
                f"upload it (vfm put {self.text} VOLUME:) and name its path under /outputs or /cache",
            )
        path = Path(self.text).expanduser().absolute()
        if not path.is_dir():
            raise self._error(f"there is no folder {path}", "correct the path, or name a run: RUN:final")
        if not _holds_weights(path):
            inside = path / layout.CHECKPOINTS if (path / layout.CHECKPOINTS).is_dir() else path
            names = [folder.name for folder in sorted(inside.iterdir()) if _holds_weights(folder)]
            advice = (
                f"name one of its folders, of {', '.join(names)}"
                if names
                else ("name a folder with an adapter_config.json, or with a model's config.json")
            )
            fix = str(inside / names[-1]) if names else None
            raise self._error(f"{path} holds no adapter and no weights", advice, fix)
        return str(path)

    def of_run(self) -> _Found:
        """A training's checkpoint by its name."""
        run_dir, record = self._find_run()
        if record.kind != "train":
            raise self._error(f"{record.run_id} is an evaluation: it has no checkpoints", "name a training")
        chosen = self._chosen(run_dir, record)
        inside = f"{layout.run_path(record.run_id)}/{layout.CHECKPOINTS}/{chosen.name}"
        self._check_reach(record, inside)
        root = Path(layout.MODAL_OUTPUTS) if record.backend != "local" else self._volumes / record.outputs
        return _Found(str(root / inside), chosen, record, _trained(run_dir, record))

    @property
    def _volumes(self) -> Path:
        return (self.home / "volumes").absolute()

    def _find_run(self) -> tuple[Path, RunRecord]:
        """The run's directory on this machine, and its record."""
        found = [*self._runs("" if self.run == LAST else self.run)]
        if self.run == LAST:
            found = sorted((one for one in found if one[1].kind == "train"), key=lambda one: one[1].created)[
                -1:
            ]
        exact = [one for one in found if one[1].run_id == self.run]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            names = ", ".join(record.run_id for _, record in found[:_SHOWN])
            raise self._error(f"{self.run!r} may be any of {len(found)} runs", f"type more of it: {names}")
        known = sorted({record.run_id for _, record in self._runs("") if record.kind == "train"})
        near = difflib.get_close_matches(self.run, known, _SHOWN, 0.4) or known[:_SHOWN]
        advice = f"the nearest trainings: {', '.join(near)}" if near else "train one first, or name a folder"
        raise self._error(f"no run {self.run!r} is known on this machine", advice, near[0] if near else None)

    def _runs(self, prefix: str) -> Iterator[tuple[Path, RunRecord]]:
        """Runs whose id begins like this, those of the run's own backend first."""
        roots = {"local": self._volumes, "modal": (self.home / "modal").absolute()}
        for name in sorted(roots, key=lambda name: name != self.backend):
            for path in sorted(roots[name].glob(f"{_OUTPUTS}/runs/*/{layout.RECORD}")):
                if path.parent.name.startswith(prefix) and (record := _record(path)) is not None:
                    yield path.parent, record

    def _chosen(self, run_dir: Path, record: RunRecord) -> SavedCheckpoint:
        local = record.backend == "local"
        found = _on_disk(run_dir) if local else _told(run_dir, done=record.status == "done")
        chosen = choose(found, self.name)
        if chosen is not None:
            return chosen
        if not local and not found and self.name:
            return SavedCheckpoint(self.name)  # nothing of it has come to this machine: the worker looks
        what = f"no checkpoint {self.name!r}" if self.name else "no checkpoint"
        if not found:
            advice = (
                "it saves one every training.save_steps steps, and one at its end"
                if local
                else f"vfm show {record.run_id} asks Modal for them; or say which: {record.run_id}:final"
            )
            raise self._error(f"{record.run_id} has {what} that is known here", advice)
        if self.name == "best":
            what = "no best checkpoint: no held-out score was taken (training.eval_examples)"
        names = [saved.name for saved in by_step(found)]
        also = ["best"] if choose(found, "best") else []
        near = difflib.get_close_matches(self.name, [*names, *also], 1, 0.4)
        there = ", ".join(saved.label for saved in by_step(found))
        fix = f"{record.run_id}:{near[0] if near else names[-1]}"
        raise self._error(f"{record.run_id} has {what}", f"it has: {there}", fix)

    def _check_reach(self, record: RunRecord, inside: str) -> None:
        """Only the volume of the same names is there where the run will be."""
        if record.backend == self.backend and self.backend == "local":
            return
        here = f"{record.outputs}:{inside}"
        if record.backend != self.backend:
            to_here = (
                f"vfm get {here} . brings it here; then name that folder, or launch with --backend modal"
            )
            to_there = (
                f"launch with --backend local, or: vfm put PATH {self.outputs}: and name it under /outputs"
            )
            raise self._error(
                f"{record.run_id} ran on {record.backend}, and this evaluation is to run on {self.backend}",
                to_here if self.backend == "local" else to_there,
            )
        if record.outputs != self.outputs:
            names = f"EXPERIMENTER={record.experimenter} EXPERIMENT_NAME={record.experiment}"
            raise self._error(
                f"{record.run_id} lies in the volume {record.outputs}, and this run gets {self.outputs}",
                f"launch it under that experiment's names: {names} vfm launch …",
            )

    def _error(self, message: str, advice: str, new: str | None = None) -> ConfigError:
        return ConfigError(f"{self.place}{message}", hint=Hint(advice, KEY, self.text, new))


def _record(path: Path) -> RunRecord | None:
    try:
        return RunRecord.model_validate_json(read_plain(path))
    except (OSError, ValidationError):
        return None  # a damaged record is told of where runs are listed


def _trained(run_dir: Path, record: RunRecord) -> dict[str, Any]:
    """What it was trained with; of a run whose config never came to this machine, the environment alone."""
    try:
        spec = ExperimentSpec.model_validate(from_json(read_plain(run_dir / layout.SPEC))["spec"])
    except (OSError, ValueError, KeyError, TypeError):
        return {_ENVIRONMENT: record.environment}
    values = spec.model_dump()
    return {key: reduce(getitem, key.split("."), values) for key in (_ENVIRONMENT, _ARGUMENTS, *_ANSWERS)}


def _is_argument(key: str) -> bool:
    return key == _ARGUMENTS or key.startswith(f"{_ARGUMENTS}.")


def _holds_weights(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _WEIGHTS)


def _on_disk(run_dir: Path) -> list[SavedCheckpoint]:
    """The folders that a local run has."""
    try:
        best = from_json(read_plain(run_dir / layout.BEST))
        best_name, score = Path(str(best["path"])).name, float(best["score"])
    except (OSError, ValueError, KeyError, TypeError):
        best_name, score = "", None
    folders = [path for path in (run_dir / layout.CHECKPOINTS).glob("*/") if not path.name.startswith(".")]
    names = [path.name for path in folders if _holds_weights(path)]
    return [SavedCheckpoint(name, score if name == best_name else None, name == best_name) for name in names]


def _told(run_dir: Path, *, done: bool) -> list[SavedCheckpoint]:
    """The checkpoints that a run elsewhere told of, as far as its output was brought here."""
    stream = run_dir / layout.STREAM
    try:
        stat = stream.stat()
    except OSError:
        return []
    return checkpoints_from(_checkpoints(stream, stat.st_size, stat.st_mtime_ns), done=done)


@lru_cache(maxsize=8)
def _checkpoints(stream: Path, _size: int, _mtime: int) -> Sequence[CheckpointEvent]:
    """The checkpoints of a stream; each path's latest. A form asks at every pause of the typing."""
    found: dict[str, CheckpointEvent] = {}
    with open(stream, encoding="utf-8", errors="replace", opener=open_plain) as lines:
        for line in lines:
            if line.startswith("\x1e") and '"type":"checkpoint"' in line[:200]:
                event = decode_line(line)
                if isinstance(event, CheckpointEvent):
                    found.pop(event.path, None)
                    found[event.path] = event
    return tuple(found.values())

"""Find the checkpoint that `evaluation.checkpoint` names: `RUN:NAME` of a training, or a folder.

Owns finding it, taking the training's model and environment from it, and the errors where there is none. Only
files of this machine are read: of a run on Modal, what was fetched so far. The worker checks the folder's
content.
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
"""Keys that decide how a model answers: as in the training, unless the config sets them."""
_WEIGHTS = ("adapter_config.json", "config.json")
_SHOWN = 6  # runs that an error names
_OUTPUTS = "verifiers-outputs-*"


@dataclass(frozen=True)
class Checkpoint:
    """The checkpoint to evaluate; an empty one where the model itself is evaluated."""

    resolved: Resolved
    """The config, with the model and environment of the training."""
    path: str = ""
    """Absolute, where the worker runs."""
    text: str = ""
    """`k3f9x-wordle: checkpoint-40 (★ best, 0.47)`, or the folder."""
    model: str = ""
    """The model that it was trained from, where known."""
    why: str = ""
    """Why this model is taken."""


def find_checkpoint(resolved: Resolved, settings: Settings, kind: Kind, backend: str) -> Checkpoint:
    """Find the spec's `evaluation.checkpoint`, for the machine of the run. Raises `ConfigError`."""
    text = resolved.spec.evaluation.checkpoint
    if kind != "evaluate" or text is None:
        return Checkpoint(resolved)
    outputs = layout.outputs_volume(settings.experimenter, settings.experiment)
    where = resolved.provenance[KEY].where
    search = _Search(text, settings.home, backend, outputs, f"{where}: " if ":" in where else "")
    if "/" in text or text.startswith(("~", ".")):
        path = search.folder()
        return Checkpoint(resolved, path, path)
    found = search.training()
    model, run_id = found.record.model, found.record.run_id
    derived = _with_training(resolved, found)
    return Checkpoint(
        derived, found.path, f"{run_id}: {found.saved.label}", model, f"{run_id} was trained on it"
    )


@dataclass(frozen=True)
class _Found:
    """A training's checkpoint."""

    path: str
    saved: SavedCheckpoint
    record: RunRecord
    trained: dict[str, Any]
    """Dotted key → value: the environment that it was trained in, its options, and how it answered."""


def _with_training(resolved: Resolved, found: _Found) -> Resolved:
    """The config with the training's model, and its environment where the config names none."""
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
                hint=Hint("leave it out: a checkpoint has its model", _MODEL, typed, model),
            )
        values[_MODEL] = model
    return resolved.derived(values, f"as {found.record.run_id} was trained") if values else resolved


class _Search:
    """A search for one checkpoint."""

    def __init__(self, text: str, home: Path, backend: str, outputs: str, place: str) -> None:
        self.text, self.home, self.backend, self.outputs, self.place = text, home, backend, outputs, place
        self.run, _, self.name = text.partition(":")

    def folder(self) -> str:
        """The path of the folder that is named."""
        if self.backend != "local":
            if self.text.startswith("/"):
                return self.text  # a path in the container, which only the worker can check
            raise self._error(
                f"the checkpoint {self.text!r} is a path on this machine, which {self.backend} cannot read",
                f"upload it (vfm put {self.text} VOLUME:) and name its path under /outputs or /cache",
            )
        path = Path(self.text).expanduser().absolute()
        if not path.is_dir():
            raise self._error(f"there is no folder {path}", "correct the path, or name a run: RUN:final")
        if not _holds_weights(path):
            inside = path / layout.CHECKPOINTS if (path / layout.CHECKPOINTS).is_dir() else path
            names = [folder.name for folder in sorted(inside.iterdir()) if _holds_weights(folder)]
            advice = (
                f"name one of its folders: {', '.join(names)}"
                if names
                else ("name a folder with an adapter_config.json, or with a model's config.json")
            )
            fix = str(inside / names[-1]) if names else None
            raise self._error(f"{path} has no adapter and no weights", advice, fix)
        return str(path)

    def training(self) -> _Found:
        """The training's checkpoint of that name."""
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
        if self.run == LAST:
            trainings = [run for run in self._runs("") if run[1].kind == "train"]
            found = sorted(trainings, key=lambda run: run[1].created)[-1:]
        else:
            found = [*self._runs(self.run)]
        exact = [run for run in found if run[1].run_id == self.run]
        if len(exact or found) == 1:
            return (exact or found)[0]
        if found:
            names = ", ".join(record.run_id for _, record in found[:_SHOWN])
            raise self._error(f"{self.run!r} matches {len(found)} runs", f"type more of the id: {names}")
        known = sorted({record.run_id for _, record in self._runs("") if record.kind == "train"})
        near = difflib.get_close_matches(self.run, known, _SHOWN, 0.4) or known[:_SHOWN]
        advice = f"the nearest trainings: {', '.join(near)}" if near else "train one first, or name a folder"
        raise self._error(f"no run {self.run!r} is known on this machine", advice, near[0] if near else None)

    def _runs(self, prefix: str) -> Iterator[tuple[Path, RunRecord]]:
        """Runs whose ids begin like this, those on the backend of this run first."""
        roots = {"local": self._volumes, "modal": (self.home / "modal").absolute()}
        for name in sorted(roots, key=lambda name: name != self.backend):
            for path in sorted(roots[name].glob(f"{_OUTPUTS}/runs/*/{layout.RECORD}")):
                if path.parent.name.startswith(prefix) and (record := _record(path)) is not None:
                    yield path.parent, record

    def _chosen(self, run_dir: Path, record: RunRecord) -> SavedCheckpoint:
        local = record.backend == "local"
        found = _on_disk(run_dir) if local else _streamed(run_dir, done=record.status == "done")
        chosen = choose(found, self.name)
        if chosen is not None:
            return chosen
        if not local and not found and self.name:
            return SavedCheckpoint(self.name)  # nothing of it was fetched yet: the worker checks
        what = f"no checkpoint {self.name!r}" if self.name else "no checkpoint"
        if not found:
            advice = (
                "it saves one every training.save_steps steps, and one at its end"
                if local
                else f"vfm show {record.run_id} fetches them from Modal; or name one: {record.run_id}:final"
            )
            raise self._error(f"{record.run_id} has {what} that is known here", advice)
        if self.name == "best":
            what = "no best checkpoint: it has no held-out scores (training.eval_examples)"
        names = [saved.name for saved in by_step(found)]
        also = ["best"] if choose(found, "best") else []
        near = difflib.get_close_matches(self.name, [*names, *also], 1, 0.4)
        labels = ", ".join(saved.label for saved in by_step(found))
        fix = f"{record.run_id}:{near[0] if near else names[-1]}"
        raise self._error(f"{record.run_id} has {what}", f"it has: {labels}", fix)

    def _check_reach(self, record: RunRecord, inside: str) -> None:
        """Raise `ConfigError` unless the run will have the training's volume."""
        if record.backend == self.backend and self.backend == "local":
            return
        if record.backend != self.backend:
            download = (
                f"vfm get {record.outputs}:{inside} . downloads it; then name that folder, or launch with "
                "--backend modal"
            )
            upload = (
                f"launch with --backend local, or vfm put PATH {self.outputs}: and name it under /outputs"
            )
            raise self._error(
                f"{record.run_id} ran on {record.backend}, but this evaluation runs on {self.backend}",
                download if self.backend == "local" else upload,
            )
        if record.outputs != self.outputs:
            names = f"EXPERIMENTER={record.experimenter} EXPERIMENT_NAME={record.experiment}"
            raise self._error(
                f"{record.run_id} is in the volume {record.outputs}, but this run gets {self.outputs}",
                f"launch it with that experiment's names: {names} vfm launch …",
            )

    def _error(self, message: str, advice: str, new: str | None = None) -> ConfigError:
        return ConfigError(f"{self.place}{message}", hint=Hint(advice, KEY, self.text, new))


def _record(path: Path) -> RunRecord | None:
    try:
        return RunRecord.model_validate_json(read_plain(path))
    except (OSError, ValidationError):
        return None  # listings report damaged records


def _trained(run_dir: Path, record: RunRecord) -> dict[str, Any]:
    """Values of the training's spec; only the environment where the spec was never fetched."""
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
    """The checkpoints in a local run's directory."""
    try:
        best = from_json(read_plain(run_dir / layout.BEST))
        best_name, score = Path(str(best["path"])).name, float(best["score"])
    except (OSError, ValueError, KeyError, TypeError):
        best_name, score = "", None
    folders = [path for path in (run_dir / layout.CHECKPOINTS).glob("*/") if not path.name.startswith(".")]
    names = [path.name for path in folders if _holds_weights(path)]
    return [SavedCheckpoint(name, score if name == best_name else None, name == best_name) for name in names]


def _streamed(run_dir: Path, *, done: bool) -> list[SavedCheckpoint]:
    """The checkpoints in the stream of a run elsewhere, as far as it was fetched."""
    stream = run_dir / layout.STREAM
    try:
        stat = stream.stat()
    except OSError:
        return []
    return checkpoints_from(_checkpoints(stream, stat.st_size, stat.st_mtime_ns), done=done)


@lru_cache(maxsize=8)
def _checkpoints(stream: Path, _size: int, _mtime: int) -> Sequence[CheckpointEvent]:
    """The latest checkpoint event of each path. Cached, since a form asks while the user types."""
    found: dict[str, CheckpointEvent] = {}
    with open(stream, encoding="utf-8", errors="replace", opener=open_plain) as lines:
        for line in lines:
            if line.startswith("\x1e") and '"type":"checkpoint"' in line[:200]:
                event = decode_line(line)
                if isinstance(event, CheckpointEvent):
                    found.pop(event.path, None)
                    found[event.path] = event
    return tuple(found.values())

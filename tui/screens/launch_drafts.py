"""The drafts of the launch screen, one for each config, so that choosing another config loses no edits.

Files are read, and launches planned, off the event loop. Edits are saved from one visit to the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tui.screens.app_base import AppBase
from tui.screens.requests import DEMO, LaunchRequested

if TYPE_CHECKING:
    from remote.contract.record import Kind
    from tui.config.resolve import Resolved
    from tui.planning.draft import Draft, Typed
    from tui.planning.preview import Outlook

_RECENT = "launch.recent"
_LEFT = "launch.left"
_MOST_RECENT = 20


class LaunchDrafts:
    """Every config with the edits made to it."""

    def __init__(self, app: AppBase) -> None:
        self._app = app
        self._drafts: dict[str | None, Draft] = {}
        self.configs: list[str | None] = []
        """Paths of configs, the last used first; None: the defaults, without a config."""
        self.chosen: str | None = None
        self._dropped: Mapping[str, Typed] = {}
        """The edits that `reset_all` removed last, so that it can be undone."""

    async def open(self, request: LaunchRequested) -> Draft:
        """The requested draft. Raises `VfmError`; `configs` is set even then."""
        self.configs = await asyncio.to_thread(self._list)
        if request.run_id is not None:
            draft = await self._of_run(request.run_id, with_output="evaluation.checkpoint" in request.values)
        elif request.config is not None:
            draft = await self.choose(request.config, restore=not request.values)
        else:
            draft = await self.choose(self._first(), restore=not request.values)
            draft.kind = "evaluate" if self._left().get("kind") == "evaluate" else "train"
            draft.backend = str(self._left().get("backend") or draft.backend)
        for key, value in request.values.items():
            await asyncio.to_thread(draft.put_value, key, value, request.by)
        if request.kind == "evaluate":
            draft.kind = "evaluate"
        draft.backend = request.backend or draft.backend
        return draft

    async def choose(self, config: str | None, *, restore: bool = True) -> Draft:
        """The draft of a config, read at the first call. Raises `ConfigProblems`."""
        self.chosen = config
        if config not in self._drafts:
            self._drafts[config] = await asyncio.to_thread(self._load, config, restore)
        self._add(config)
        return self._drafts[config]

    async def text(self, config: str | None) -> str:
        """The text of a config file."""
        if config is None:
            return "# nothing: every key by its default"
        return await asyncio.to_thread(self._read, config)

    async def choices(self) -> Mapping[str, Sequence[str]]:
        """Dotted key → values that are offered for a field that takes any text."""
        return await asyncio.to_thread(self._choices)

    async def look(self, draft: Draft) -> Outlook:
        """Preview the launch of a draft without problems."""
        resolved, kind, backend, config = draft.resolved, draft.kind, draft.backend, draft.config
        assert resolved is not None
        return await asyncio.to_thread(self._look, resolved, kind, backend, config)

    async def save(self, draft: Draft, name: str) -> Draft:
        """Save a draft as a new config, and return the draft of that. Raises `ConfigError`."""
        from tui.planning.save_draft import config_path, save

        project = self._app.settings.project_dir
        path = config_path(name, project)
        await asyncio.to_thread(save, draft, path, project)
        config = str(path.relative_to(project) if path.is_relative_to(project) else path)
        draft.reset_all()
        return await self.choose(config)

    def reset_all(self, draft: Draft) -> bool:
        """Remove all edits, or restore the removed ones; returns whether some were removed."""
        took = dict(draft.typed)
        if took:
            self._dropped = took
            draft.reset_all()
        else:
            draft.type_again(self._dropped)
        return bool(took)

    def typed(self) -> dict[str | None, int]:
        """Config → number of edited values."""
        return {config: len(draft.typed) for config, draft in self._drafts.items()}

    def free_name(self, config: str | None) -> str:
        """An unused name for a new config."""
        stem = Path(config).stem if config else "experiment"
        taken = {Path(c).stem for c in self.configs if c}
        names = (f"{stem}_{number}" for number in range(2, len(taken) + 3))
        return stem if stem not in taken else next(name for name in names if name not in taken)

    def used(self, draft: Draft) -> None:
        """Note a launch: its config is the first one next time, without edits."""
        recent = [draft.config, *(c for c in self._recent() if c != draft.config)]
        self._app.ui_state.put(_RECENT, recent[:_MOST_RECENT])
        self._drafts.pop(draft.config, None)
        self.leave(draft)

    def leave(self, draft: Draft) -> None:
        """Save the edits of all configs for the next visit."""
        left = self._left_typed()
        for config, one in self._drafts.items():
            left[config or ""] = {key: _remembered(typed) for key, typed in one.typed.items()}
        if draft.config not in self._drafts:
            left.pop(draft.config or "", None)
        typed = {config: values for config, values in left.items() if values}
        remembered = {"config": draft.config, "kind": draft.kind, "backend": draft.backend, "typed": typed}
        self._app.ui_state.put(_LEFT, remembered)

    def _first(self) -> str | None:
        left = self._left().get("config", ...)
        if left is not ... and left in self.configs:
            return str(left) if left is not None else None
        return self.configs[0]

    def _load(self, config: str | None, restore: bool) -> Draft:
        from tui.planning.draft import Draft

        draft = Draft.load(config, self._app.settings.project_dir)
        if restore:
            self._restore(draft)
        return draft

    def _restore(self, draft: Draft) -> None:
        """Restore the saved edits of a config."""
        for key, (text, by, value, is_wrong) in self._left_typed().get(draft.config or "", {}).items():
            draft.put(key, text, by) if is_wrong else draft.put_value(key, value, by)

    async def _of_run(self, run_id: str, *, with_output: bool = False) -> Draft:
        """The draft of a run. `told`: its output is needed too, such as its checkpoints."""
        from tui.services.rerun import draft_of

        client = await self._app.connect()
        if with_output and (record := await client.find(run_id)).backend != "local":
            await client.state(record)  # brings its output to this machine
        draft = await draft_of(client, self._app.settings, run_id)
        self.chosen = draft.config
        self._drafts[draft.config] = draft
        self._add(draft.config)
        return draft

    def _left(self) -> dict[str, Any]:
        left = self._app.ui_state.get(_LEFT)
        return left if isinstance(left, dict) else {}

    def _left_typed(self) -> dict[str, dict[str, Any]]:
        """Config → key → saved edit, as `_remembered` wrote it; invalid ones are ignored."""
        typed = self._left().get("typed")
        good = typed if isinstance(typed, dict) else {}
        return {
            config: {key: one for key, one in values.items() if isinstance(one, list) and len(one) == 4}
            for config, values in good.items()
            if isinstance(values, dict)
        }

    def _recent(self) -> list[str | None]:
        recent = self._app.ui_state.get(_RECENT)
        return recent if isinstance(recent, list) else []

    def _add(self, config: str | None) -> None:
        if config not in self.configs:
            self.configs.insert(0, config)

    def _list(self) -> list[str | None]:
        from tui.config.yaml_files import list_configs

        project = self._app.settings.project_dir
        existing = [str(path.relative_to(project)) for path in list_configs(project / "configs")]
        recent = [config for config in self._recent() if config in existing]
        others = sorted(
            (config for config in existing if config not in recent), key=lambda config: config != DEMO
        )
        return [*recent, *others, None]

    def _choices(self) -> Mapping[str, Sequence[str]]:
        from tui.planning.environments import spoken_names
        from tui.planning.model_sizes import SHAPES

        return {
            "training.environment": spoken_names(self._app.settings.project_dir),
            "model.base_model": ("", *SHAPES),
        }

    def _look(self, resolved: Resolved, kind: Kind, backend: str, config: str | None) -> Outlook:
        from tui.planning.preview import look

        return look(resolved, self._app.settings, kind=kind, backend=backend, config=config)

    def _read(self, config: str) -> str:
        from tui.config.resolve import locate

        path = Path(locate(config, self._app.settings.project_dir))
        try:
            return path.read_bytes()[:100_000].decode("utf-8-sig", "replace")
        except OSError as error:
            return f"# cannot be read: {error.strerror}"


def _remembered(typed: Typed) -> list[Any]:
    return [typed.text, typed.by, None if typed.problem else typed.value, bool(typed.problem)]

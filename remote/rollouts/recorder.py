"""Record a run's episodes and metrics, as files in the run directory and as events.

Owns the format of an episode on file, and which ones are shown live.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

from remote.contract import layout
from remote.contract.events import CheckpointEvent, MetricsEvent, RolloutEvent
from remote.contract.json_text import to_json
from remote.output import redact
from remote.output.emitter import Emitter
from remote.rollouts.player import Played
from remote.rollouts.token_rows import Row


class Recorder:
    """Records for a training or an evaluation. `shown`: episodes per step that are shown live."""

    def __init__(self, emitter: Emitter, run_dir: Path, shown: int) -> None:
        self.emitter = emitter
        self.run_dir = run_dir
        self._shown = shown
        self._noted: dict[str, float] = {}
        self.step = 0
        """The last step whose metrics were emitted."""

    def note(self, values: Mapping[str, float]) -> None:
        """Add values to the current step, to be emitted with its metrics."""
        self._noted.update(values)

    def metrics(self, step: int, values: Mapping[str, Any]) -> None:
        """Emit a step's metrics, with the values noted since the last ones."""
        merged = {**values, **self._noted}
        self._noted, self.step = {}, step
        numbers = {k: float(v) for k, v in merged.items() if isinstance(v, int | float)}
        self.emitter.emit(MetricsEvent(step=step, values=numbers))

    def rollouts(self, step: int, played: Sequence[Played], rows: Sequence[Row | None]) -> None:
        """Save every episode of a step, show the best and worst, and note their means."""
        self.save(layout.rollouts_path(step), step, played)
        self.show(step, played)
        self.note(summary(played, "rewards"))
        trained = [row for row in rows if row is not None]
        failed = sum(p.error is not None for p in played)
        self.note(
            {
                "episodes/failed": failed,
                "episodes/dropped": len(rows) - len(trained) - failed,
                "episodes/clipped": sum(row.clipped for row in trained),
                "episodes/rewritten": sum(row.rewritten for row in trained),
            }
        )
        self.log_problems(f"step {step}", played)

    def save(self, path: str, step: int, played: Sequence[Played], **extra: Any) -> None:
        """Append episodes to a file of the run directory, one JSON object per line, with `extra` in each."""
        file = self.run_dir / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as out:
            for episode in played:
                data = asdict(episode)
                del data["turns"]
                out.write(redact.json_line(to_json({"step": step, **data, **extra})) + "\n")

    def remove_episodes(self, path: str) -> None:
        """Remove a file of episodes, which will be written again."""
        (self.run_dir / path).unlink(missing_ok=True)

    def show(self, step: int, played: Sequence[Played]) -> None:
        """Emit the best and the worst episodes as events."""
        good = sorted((p for p in played if p.error is None), key=lambda p: p.reward, reverse=True)
        chosen = good if len(good) <= self._shown else _ends(good, self._shown)
        for p in chosen:
            self.emitter.emit(
                RolloutEvent(step=step, task=p.task, messages=p.messages, rewards=p.rewards, reward=p.reward)
            )

    def checkpoint(self, step: int, path: str, score: float | None = None, best: bool = False) -> None:
        """Announce a checkpoint. `path`: in the run directory; `score`: the held-out score of its step."""
        self.emitter.emit(CheckpointEvent(step=step, path=path, score=score, best=best))

    def log_problems(self, scope: str, played: Sequence[Played]) -> None:
        """Log why episodes failed, and which metrics are left out of the means. `scope`: such as `step 3`."""
        for error, count in Counter(p.error for p in played if p.error).most_common(3):
            self.emitter.say("env", f"{scope}: {count} of {len(played)} episodes failed: {error}")
        for name, count in Counter(name for p in played for name in p.not_finite).most_common(3):
            values = ", ".join(sorted({p.not_finite[name] for p in played if name in p.not_finite}))
            self.emitter.say(
                "env", f"{scope}: the metric {name} of {count} episodes is {values}: left out of its mean"
            )


def _ends(ranked: Sequence[Played], count: int) -> list[Played]:
    best = -(-count // 2)
    return [*ranked[:best], *ranked[len(ranked) - (count - best) :]]


def summary(played: Sequence[Played], prefix: str) -> dict[str, float]:
    """Means over the successful episodes: `{prefix}/total`, `{prefix}/PART` of rewards, `env/METRIC`."""
    good = [p for p in played if p.error is None]
    if not good:
        return {}
    parts = sorted({part for p in good for part in p.rewards})
    names = sorted({name for p in good for name in p.metrics})
    return {
        f"{prefix}/total": fmean(p.reward for p in good),
        **{f"{prefix}/{part}": fmean(p.rewards.get(part, 0.0) for p in good) for part in parts},
        **{f"env/{name}": fmean(p.metrics[name] for p in good if name in p.metrics) for name in names},
    }

"""Does it learn? One config, several seeds, and what held-out tasks earn before and after.

`.venv/bin/python -m benchmarks.learning configs/local_bfcl.yaml --seeds 1 2 3` launches the seeds one after
another, as anybody would, and prints a table; `--svg FILE` draws the curves. `--runs RUN …` takes runs that
are there already. `--parts correct format` names what is shown of the held-out score, each as a share of what
it could be where the environment records that, else as it is weighed; ± is a standard error. `--replies 3`
also prints what the first seed's model said to the first three held-out tasks.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from benchmarks.common import PROJECT, machine
from benchmarks.learning_episodes import Episode, first_and_last, mean, replies, standard_error
from benchmarks.learning_plot import Curve, draw

VFM = PROJECT / ".venv" / "bin" / "vfm"
LAST = 5
"""Steps whose mean stands for a training's end."""


@dataclass(frozen=True)
class Learnt:
    """A finished training: its numbers by step."""

    run_id: str
    seed: int
    seconds: float
    training: list[tuple[int, float]]
    held_out: list[tuple[int, float]]
    before: list[Episode]
    after: list[Episode]


def main() -> int:
    """Launch or find the runs, print the table, draw the curves."""
    options = _options()
    runs = options.runs or [launch(options.config, seed) for seed in options.seeds]
    learnt = [read(run) for run in runs]
    print(f"{machine()}\n\n{table(learnt, options.parts)}")
    print("", *replies(learnt[0].before, learnt[0].after, options.replies), sep="\n")
    if options.svg:
        options.svg.write_text(draw([_curve(run) for run in learnt]), encoding="utf-8")
    return 0


def launch(config: str, seed: int) -> str:
    """Train to the end with a seed, and return the run's id. Raises where the run fails."""
    run = _vfm("launch", config, "--set", f"training.seed={seed}", "--detach").strip()
    print(f"seed {seed}: {run}", file=sys.stderr)
    _vfm("logs", run, "--follow")
    return run


def read(run: str) -> Learnt:
    """A run's numbers, by `vfm`."""
    shown = json.loads(_vfm("show", run, "--json"))
    steps = json.loads(_vfm("metrics", run, "--json"))
    if shown["status"] != "done":
        raise SystemExit(f"{run} is {shown['status']}: a table is made of runs that are done")
    values: list[tuple[int, dict[str, float]]] = [(row["step"], row["values"]) for row in steps]
    seed, before, after = _fetch(f"{shown['outputs']}:runs/{shown['run_id']}")
    return Learnt(
        run_id=shown["run_id"],
        seed=seed,
        seconds=shown["ended"] - shown["started"],
        training=[(step, row["reward"]) for step, row in values if "reward" in row],
        held_out=[(step, row["eval/total"]) for step, row in values if "eval/total" in row],
        before=before,
        after=after,
    )


def _fetch(run: str) -> tuple[int, list[Episode], list[Episode]]:
    """A run's seed and its held-out episodes before and after, by its files."""
    with tempfile.TemporaryDirectory() as folder:
        _vfm("get", f"{run}/spec.json", f"{folder}/spec.json")
        _vfm("get", f"{run}/rollouts", folder)
        spec = json.loads(Path(folder, "spec.json").read_text())
        return (int(spec["spec"]["training"]["seed"]), *first_and_last(Path(folder, "rollouts")))


def table(learnt: Sequence[Learnt], parts: Sequence[str]) -> str:
    """Markdown: a row a seed, and their mean."""
    names = ["seed", f"training reward, step 1 → mean of the last {LAST}", "held out, before → after"]
    heads = [*names, *(f"… `{part}`" for part in parts), "seconds"]
    rows = [heads, ["---"] * len(heads), *([str(run.seed), *_cells([run], parts)] for run in learnt)]
    if len(learnt) > 1:
        rows.append(["mean", *_cells(learnt, parts)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cells(learnt: Sequence[Learnt], parts: Sequence[str]) -> list[str]:
    first = fmean(run.training[0][1] for run in learnt)
    last = fmean(value for run in learnt for _, value in run.training[-LAST:])
    scores = [
        f"{_score([run.before for run in learnt], part)} → {_score([run.after for run in learnt], part)}"
        for part in ("total", *parts)
    ]
    return [f"{first:.2f} → {last:.2f}", *scores, f"{fmean(run.seconds for run in learnt):.0f}"]


def _score(runs: Sequence[Sequence[Episode]], part: str) -> str:
    """A run's mean ± its error; of several runs the mean alone, since they were asked the same tasks."""
    error = f" ± {standard_error(runs[0], part):.2f}" if len(runs) == 1 else ""
    return f"{fmean(mean(episodes, part) for episodes in runs):.2f}{error}"


def _curve(run: Learnt) -> Curve:
    return Curve(f"seed {run.seed}", run.training, run.held_out)


def _vfm(*words: str) -> str:
    done = subprocess.run([VFM, *words], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"vfm {' '.join(words)} ended with {done.returncode}")
    return done.stdout


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.learning", description=__doc__.split("\n")[0])
    parser.add_argument("config", nargs="?", help="the config to launch")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--runs", nargs="+", metavar="RUN", help="runs that are done, in place of a config")
    parser.add_argument("--parts", nargs="+", default=[], metavar="PART")
    parser.add_argument("--replies", type=int, default=0, metavar="COUNT")
    parser.add_argument("--svg", type=Path, metavar="FILE")
    options = parser.parse_args()
    if not options.config and not options.runs:
        parser.error("name a config, or --runs")
    return options


if __name__ == "__main__":
    sys.exit(main())

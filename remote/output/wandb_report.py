"""The run's Weights & Biases report, in a thread of its own, so that W&B can fail or hang without the
training.

Where W&B cannot be reached, the report is written offline into the run directory, and `vfm wandb sync RUN`
uploads it.
"""

from __future__ import annotations

import queue
import shutil
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from remote.contract import layout
from remote.contract.spec import ExperimentSpec
from remote.output.wandb_redaction import keep_secrets_out_of_wandb

Mode = Literal["online", "offline"]
Job = Callable[[], None]
MARGIN = 10.0
"""Seconds beyond `wandb.timeout` in which wandb's own limits should take effect."""


def mode(spec: ExperimentSpec, environ: Mapping[str, str]) -> Mode | None:
    """How to write the report, from the config and WANDB_MODE; None: not at all."""
    wandb_mode = environ.get("WANDB_MODE", "").lower()
    off = environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes") or wandb_mode == "disabled"
    if not spec.wandb.enabled or off:
        return None
    return "offline" if wandb_mode in ("offline", "dryrun") or not environ.get("WANDB_API_KEY") else "online"


def arguments(spec: ExperimentSpec, run_dir: Path) -> dict[str, Any]:
    """Arguments of `wandb.init`. The id is the run's, so that all its attempts are one report."""
    return {"project": spec.wandb.project, "id": run_dir.name, "name": run_dir.name, "dir": str(run_dir)}


class Report:
    """A report from `start` to `finish`. Failures are logged with `say`, and never raised."""

    def __init__(
        self, spec: ExperimentSpec, run_dir: Path, environ: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._spec, self._run_dir, self._say = spec, run_dir, say
        self._mode = mode(spec, environ)
        self._why_offline = "" if environ.get("WANDB_API_KEY") else "no WANDB_API_KEY: "
        self.limit = spec.wandb.timeout + MARGIN
        """Seconds that `finish` may take."""
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._logged: set[str] = set()
        self._thread = threading.Thread(target=self._work, name="wandb", daemon=True)

    @property
    def is_written(self) -> bool:
        """Whether there is a report."""
        return self._mode is not None

    def start(self) -> None:
        """Begin the report; returns at once."""
        if self.is_written:
            self._thread.start()

    def submit(self, job: Job) -> None:
        """Run a job with `wandb.run` in the report's thread, after earlier ones; never waits."""
        if self.is_written:
            self._jobs.put(job)

    def finish(self) -> None:
        """Write and upload the rest, for at most `limit` seconds."""
        if not self._thread.is_alive():
            return
        self._jobs.put(None)
        self._thread.join(self.limit)
        if self._thread.is_alive():
            self._say_once(
                f"⚠ Weights & Biases did not end the report within {self.limit:.0f} s; {self._sync_hint()}"
            )

    def _work(self) -> None:
        try:
            if self._open():
                while (job := self._jobs.get()) is not None:
                    self._do(job)
                self._close()
        except BaseException as error:  # nobody would see an exception of this thread
            self._say_once(f"⚠ the Weights & Biases report ended: {_text(error)}")

    def _open(self) -> bool:
        """Begin the report online where the mode says so and it is possible, otherwise offline."""
        if self._mode == "online":
            try:
                self._init("online")
                return True
            except (Exception, SystemExit) as error:
                self._say(
                    f"⚠ Weights & Biases cannot be used ({_text(error)}): the report is written offline"
                )
            self._mode, self._why_offline = "offline", ""
        try:
            self._init("offline")
            return True
        except (Exception, SystemExit) as error:
            self._say(f"⚠ there will be no Weights & Biases report: {_text(error)}")
            self._mode = None
            return False

    def _init(self, mode: Mode) -> None:
        import wandb

        keep_secrets_out_of_wandb()
        before = set(self._folders())
        settings = wandb.Settings(
            init_timeout=float(self._spec.wandb.timeout),
            finish_timeout=float(self._spec.wandb.timeout),
            finish_timeout_raises=True,
            symlink=False,
            silent=True,
        )
        resume = "allow" if mode == "online" else None
        try:
            run = wandb.init(
                mode=mode, resume=resume, settings=settings, **arguments(self._spec, self._run_dir)
            )
        except BaseException:
            self._forget(set(self._folders()) - before)
            raise
        self._drop_links()
        if mode == "online":
            self._say(f"Weights & Biases: {run.url}")
        elif not Path(run.dir).is_relative_to(self._run_dir):
            raise OSError(f"{self._run_dir / layout.WANDB} cannot be written")
        else:
            self._say(
                f"{self._why_offline}the Weights & Biases report is written offline; {self._sync_hint()}"
            )

    def _forget(self, folders: set[Path]) -> None:
        """Remove what a report that failed to begin has left, and wandb's state of its id."""
        import wandb

        with suppress(Exception):
            wandb.teardown()
        for folder in folders:
            shutil.rmtree(folder, ignore_errors=True)

    def _close(self) -> None:
        import wandb

        online, run = self._mode == "online", wandb.run
        try:
            wandb.finish()
        except TimeoutError:
            self._say(f"⚠ Weights & Biases did not take all of the report in time; {self._sync_hint()}")
            return
        if online and run is not None:
            # As wandb itself marks a synced report, so that it is not uploaded again.
            Path(run.settings.sync_file).with_suffix(".wandb.synced").touch()

    def _do(self, job: Job) -> None:
        try:
            job()
        except (Exception, SystemExit) as error:
            self._say_once(f"⚠ Weights & Biases: {_text(error)}")

    def _drop_links(self) -> None:
        """Remove wandb's links to its log under the home folder, which are broken on other machines."""
        with suppress(OSError):
            for path in (self._run_dir / layout.WANDB).rglob("*"):
                if path.is_symlink():
                    path.unlink()

    def _folders(self) -> list[Path]:
        return list((self._run_dir / layout.WANDB).glob("*run-*"))

    def _sync_hint(self) -> str:
        return f"to upload it later: vfm wandb sync {self._run_dir.name}"

    def _say_once(self, line: str) -> None:
        if line not in self._logged:
            self._logged.add(line)
            self._say(line)


def _text(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

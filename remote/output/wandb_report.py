"""The run's Weights & Biases report, in a thread of its own: it can fail or hang without the training.

Owns where the report is written and what becomes of it when W&B cannot be reached: it goes on offline, in the
run directory, and `vfm wandb sync RUN` uploads it later. The numbers are the trainer's (`callbacks`).
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
"""Seconds beyond `wandb.timeout` that wandb's own limits get to take effect."""


def mode(spec: ExperimentSpec, environ: Mapping[str, str]) -> Mode | None:
    """How the report is written, by the config and by WANDB_MODE of `.env`; None: not at all."""
    asked = environ.get("WANDB_MODE", "").lower()
    off = environ.get("WANDB_DISABLED", "").lower() in ("true", "1", "yes") or asked == "disabled"
    if not spec.wandb.enabled or off:
        return None
    return "offline" if asked in ("offline", "dryrun") or not environ.get("WANDB_API_KEY") else "online"


def arguments(spec: ExperimentSpec, run_dir: Path) -> dict[str, Any]:
    """What `wandb.init` is told. The id is the run's, so that all attempts at a run are one report."""
    return {"project": spec.wandb.project, "id": run_dir.name, "name": run_dir.name, "dir": str(run_dir)}


class Report:
    """A report that is written from `start` to `finish`; what fails in between is said, and raises nothing.

    `say` gets lines for the log. `submit` never waits.
    """

    def __init__(
        self, spec: ExperimentSpec, run_dir: Path, environ: Mapping[str, str], say: Callable[[str], None]
    ) -> None:
        self._spec, self._run_dir, self._say = spec, run_dir, say
        self._mode = mode(spec, environ)
        self._why_offline = "" if environ.get("WANDB_API_KEY") else "no WANDB_API_KEY: "
        self.limit = spec.wandb.timeout + MARGIN
        """Seconds that `finish` may take."""
        self._jobs: queue.Queue[Job | None] = queue.Queue()
        self._said: set[str] = set()
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
        """Have the report's thread do something with `wandb.run`, after all that was submitted before."""
        if self.is_written:
            self._jobs.put(job)

    def finish(self) -> None:
        """Write and upload what is left, for at most `limit` seconds."""
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
        except BaseException as error:  # a thread's last words are nobody's otherwise
            self._say_once(f"⚠ the Weights & Biases report ended: {_text(error)}")

    def _open(self) -> bool:
        """Begin online where that is asked for and possible, otherwise offline."""
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

    def _init(self, how: Mode) -> None:
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
        resume = "allow" if how == "online" else None
        try:
            run = wandb.init(
                mode=how, resume=resume, settings=settings, **arguments(self._spec, self._run_dir)
            )
        except BaseException:
            self._forget(set(self._folders()) - before)
            raise
        self._drop_links()
        if how == "online":
            self._say(f"Weights & Biases: {run.url}")
        elif not Path(run.dir).is_relative_to(self._run_dir):
            raise OSError(f"{self._run_dir / layout.WANDB} cannot be written")
        else:
            self._say(
                f"{self._why_offline}the Weights & Biases report is written offline; {self._sync_hint()}"
            )

    def _forget(self, folders: set[Path]) -> None:
        """Take away what a report that could not begin has left, wandb's hold on its id included."""
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
            # As wandb marks what it has synced: there is nothing left to upload.
            Path(run.settings.sync_file).with_suffix(".wandb.synced").touch()

    def _do(self, job: Job) -> None:
        try:
            job()
        except (Exception, SystemExit) as error:
            self._say_once(f"⚠ Weights & Biases: {_text(error)}")

    def _drop_links(self) -> None:
        """Remove wandb's links to its log under the home folder: on another machine they lead nowhere."""
        with suppress(OSError):
            for path in (self._run_dir / layout.WANDB).rglob("*"):
                if path.is_symlink():
                    path.unlink()

    def _folders(self) -> list[Path]:
        return list((self._run_dir / layout.WANDB).glob("*run-*"))

    def _sync_hint(self) -> str:
        return f"to upload it later: vfm wandb sync {self._run_dir.name}"

    def _say_once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._say(line)


def _text(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__

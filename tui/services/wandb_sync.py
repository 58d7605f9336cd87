"""Upload a run's Weights & Biases report after the run, by the local image's `wandb`.

Owns finding what is not uploaded yet, downloading it from Modal, and starting `wandb sync`; the key is in
its environment only.
"""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from remote.contract import layout
from remote.contract.errors import BackendError, ConfigError, Hint
from remote.contract.record import FINAL
from tui.backends.local.environment_report import image_python
from tui.backends.local.volumes import LocalVolumes
from tui.settings import Settings, environment

if TYPE_CHECKING:
    from remote.contract.record import RunRecord
    from tui.client import Client

_ASK_ADDRESS = "import wandb; print(wandb.Settings().base_url)"
_REACHED = 15.0  # seconds that W&B may take to answer
_SECRETS = ("WANDB_API_KEY", "WANDB_BASE_URL", "WANDB_ENTITY")


@dataclass(frozen=True)
class Report:
    """A run's report: a part for each attempt, oldest first."""

    parts: Sequence[Path]

    @property
    def left(self) -> list[Path]:
        """The parts that W&B does not have."""
        return [part for part in self.parts if not any(part.glob("*.wandb.synced"))]


async def find_report(client: Client, settings: Settings, run: RunRecord) -> Report:
    """The run's report on this machine. Raises `ConfigError` where the run is live or has no report."""
    if run.status not in FINAL:
        raise ConfigError(
            f"{run.run_id} is still {run.status}: its report is being written",
            hint=Hint("upload it when the run is over"),
        )
    inside = layout.run_path(run.run_id) / layout.WANDB
    folder = LocalVolumes(settings.home).root / run.outputs / inside
    if run.backend != "local":
        dest = settings.home / run.backend / layout.WANDB / run.run_id
        folder = dest / layout.WANDB  # a folder is downloaded under its own name
        entries = await client.ls(run.outputs, str(inside.parent), backend=run.backend)
        if any(entry.is_dir and Path(entry.path).name == layout.WANDB for entry in entries):
            await client.get(run.outputs, str(inside), dest, backend=run.backend, force=True)
    parts = {path.parent for path in folder.glob("*run-*/*.wandb")}
    if not parts:
        raise ConfigError(
            f"{run.run_id} has no Weights & Biases report",
            hint=Hint("trainings write one where wandb.enabled is true; evaluations write none"),
        )
    return Report(sorted(parts, key=_began))


def upload(settings: Settings, run: RunRecord, report: Report, say: Callable[[str], None]) -> None:
    """Upload the parts that W&B does not have, as one report; `say` gets the lines of `wandb sync`.

    Raises `ConfigError` without a key, `ImageError` without a local image, and `BackendError` where W&B
    cannot be reached or a part fails.
    """
    secrets = {name: settings.secrets[name] for name in _SECRETS if settings.secrets.get(name)}
    if "WANDB_API_KEY" not in secrets:
        raise ConfigError("there is no WANDB_API_KEY", hint=Hint(f"put it into {settings.env_file}"))
    python = image_python(settings, "wandb is in the local image, which is not built yet")
    env = environment(secrets)
    _reach(secrets.get("WANDB_BASE_URL") or _address(python, env))
    left = report.left
    command = [python, "-m", "wandb", "sync", "--include-online", "--id", run.run_id, *map(str, left)]
    with subprocess.Popen(
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
    ) as child:
        assert child.stdout is not None
        lines = []
        try:
            for line in child.stdout:
                lines.append(line.rstrip())
                say(lines[-1])
        finally:
            if child.poll() is None:  # interrupted
                child.terminate()
    if still := report.left:  # wandb exits with 0 also where an upload failed
        errors = [line for line in lines if "ERROR" in line] or lines[-1:]
        raise BackendError(
            f"{len(left) - len(still)} of {len(left)} parts of the report of {run.run_id} were uploaded",
            cause="\n".join(errors),
            hint=Hint("run the same command again for the others"),
        )


def _address(python: str, env: dict[str, str]) -> str:
    """The address of the image's wandb, which may change with its version. Raises `BackendError`."""
    done = subprocess.run(
        [python, "-c", _ASK_ADDRESS], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode:
        raise BackendError("the image's wandb does not start", cause=done.stderr.strip()[-2000:])
    return done.stdout.strip()


def _reach(address: str) -> None:
    """Raise `BackendError` where nothing answers; wandb itself would retry for a week."""
    try:
        with urllib.request.urlopen(address, timeout=_REACHED):  # any answer will do
            pass
    except urllib.error.HTTPError:
        pass
    except (OSError, ValueError) as error:
        raise BackendError(
            f"{address} cannot be reached",
            cause=str(error),
            hint=Hint("check the connection; for a server of your own, set WANDB_BASE_URL in .env"),
        ) from error


def _began(part: Path) -> str:
    """When a part was begun, from its folder's name: `offline-run-20261130_173941-ID`."""
    return part.name.partition("run-")[2]

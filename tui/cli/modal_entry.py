"""Entry points of `modal run run_modal.py::…`: turn their options into overrides and launch a run on Modal.

Owns the key that each option overrides, and exiting through `modal run`. `launch.py` launches and follows.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import click

from remote.contract.errors import Hint, VfmError
from tui.cli import exit_codes, interrupt, launch
from tui.config.overrides import Override

if TYPE_CHECKING:
    from remote.contract.record import Kind
    from tui.planning.plan import Plan

OPTIONS = {
    "env": "training.environment",
    "steps": "training.steps",
    "model": "model.base_model",
    "num_examples": "evaluation.num_examples",
    "checkpoint": "evaluation.checkpoint",
    "endpoint": "evaluation.endpoint",
    "gpu_type": "modal.gpu.type",
    "gpu_count": "modal.gpu.count",
}
"""Option of an entry point → the key that it overrides."""

Typed = Mapping[str, str | int | None]


@dataclass(frozen=True)
class Option(Override):
    """An override typed as an option of its own."""

    name: str = ""

    @property
    def where(self) -> str:
        """The option as it was typed."""
        return spelled(self.name, self.value)


def run(kind: Kind, config_path: str | None, typed: Typed) -> None:
    """Launch on Modal and follow the run to its end; options with the value None were not given.

    Exits with the code of `vfm launch`, once `modal run` has cleaned up.
    """
    _leave_with(_ended(lambda: launch.start(_plan(kind, config_path, typed))))


def spelled(option: str, value: object) -> str:
    """An option and its value as typed: `--steps 40`."""
    return f"--{option.replace('_', '-')} {shlex.quote(str(value))}"


def _plan(kind: Kind, config_path: str | None, typed: Typed) -> Plan:
    from tui.client import Client
    from tui.config import resolve, yaml_files
    from tui.planning import plan
    from tui.settings import Settings

    settings = Settings.load()
    tree = yaml_files.load(resolve.locate(config_path, settings.project_dir)) if config_path else None
    options = [Option(_key(name), value, name=name) for name, value in typed.items() if value is not None]
    resolved = resolve.resolve_layers(tree, options)
    interrupt.run(Client.default(settings).backend("modal").fetch_prices())
    return plan.make_plan(resolved, settings, kind=kind, backend="modal", config_path=config_path)


def _key(option: str) -> tuple[str, ...]:
    return tuple(OPTIONS[option].split("."))


def _ended(work: Callable[[], int]) -> int:
    """The exit code of the work, also where it raises: `modal run` would print a traceback."""
    interrupt.install()
    try:
        return work()
    except KeyboardInterrupt:
        return interrupt.EXIT_CODE
    except Exception as error:
        if isinstance(error, VfmError):
            error.hint = _in_options(error.hint)
        return exit_codes.report(error)
    finally:
        interrupt.leave()


def _in_options(hint: Hint | None) -> Hint | None:
    """The hint, with the option that sets its key."""
    option = next((name for name, key in OPTIONS.items() if hint and hint.key == key), None)
    if hint is None or option is None or hint.new is None:
        return hint
    return Hint(f"{hint.text} Type {spelled(option, hint.new)}")


def _leave_with(code: int) -> None:
    """Exit with a code once `modal run` has stopped its app."""
    context = click.get_current_context(silent=True)
    if context is None:
        sys.exit(code)
    # SystemExit in an entry point is reported to Modal as an exception. Also with code 0: if the connection
    # was lost, so was the (empty) app, which is no failure of the run.
    context.call_on_close(lambda: sys.exit(code))

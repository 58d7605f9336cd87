"""Shared by commands: the client, the plan of a config, JSON on stdout."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from tui.cli.interrupt import run

if TYPE_CHECKING:
    from remote.contract.record import Kind
    from tui.client import Client
    from tui.config.resolve import Resolved
    from tui.planning.plan import Plan

__all__ = ["connect", "make_plan", "print_json", "resolve", "run"]


def connect() -> Client:
    """A client of the user's settings."""
    from tui.client import Client
    from tui.settings import Settings

    return Client.default(Settings.load())


def resolve(config: str | None, typed: Sequence[str]) -> Resolved:
    """Resolve a config with overrides. Raises `ConfigError` with every problem."""
    from tui.config import resolve
    from tui.settings import Settings

    return resolve.resolve(config, typed, project_dir=Settings.load().project_dir)


def make_plan(config: str | None, typed: Sequence[str], *, kind: Kind, backend: str) -> Plan:
    """Plan a launch. Raises `ConfigError`, `EnvironmentMissing` or `ModelError`."""
    from tui.planning import plan
    from tui.settings import Settings

    if backend != "local":
        run(connect().backend(backend).fetch_prices())
    return plan.make_plan(
        resolve(config, typed), Settings.load(), kind=kind, backend=backend, config_path=config
    )


def print_json(data: Any) -> None:
    """Print one JSON document; numbers that are not finite become null."""
    from remote.contract.json_text import to_json

    print(to_json(data, indent=2))

"""What commands share: the client they talk to, the plan behind a config, JSON on stdout.

Owns nothing of its own: the client is `tui/client`'s, plans are `tui/config/plan`'s.
"""

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
    """The client, from the user's settings."""
    from tui.client import Client
    from tui.settings import Settings

    return Client.default(Settings.load())


def resolve(config: str | None, typed: Sequence[str]) -> Resolved:
    """A config with what was typed over it. Raises `ConfigError` with every problem."""
    from tui.config import resolve
    from tui.settings import Settings

    return resolve.resolve(config, typed, project_dir=Settings.load().project_dir)


def make_plan(config: str | None, typed: Sequence[str], *, kind: Kind, backend: str) -> Plan:
    """What a launch would do. Raises `ConfigError`, `EnvironmentMissing` or `ModelError`."""
    from tui.planning import plan
    from tui.settings import Settings

    if backend != "local":
        run(connect().backend(backend).fetch_prices())
    return plan.make_plan(
        resolve(config, typed), Settings.load(), kind=kind, backend=backend, config_path=config
    )


def print_json(data: Any) -> None:
    """One JSON document on stdout; a number that is not finite is null."""
    from remote.contract.json_text import to_json

    print(to_json(data, indent=2))

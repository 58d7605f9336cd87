"""`vfm doctor`: print what `tui/doctor` finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from tui.cli import exit_codes
from tui.cli.config import json_option

if TYPE_CHECKING:
    from tui.doctor import Finding, Surroundings


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Check the setup of this machine, and name the command that fixes each problem.

    Exits with 1 if something will not work.
    """
    from tui.cli.common import print_json, run

    findings = run(_examined())
    if as_json:
        print_json([finding.as_dict() for finding in findings])
    else:
        for finding in findings:
            click.echo(_text(finding))
    failed = any(finding.state == "problem" for finding in findings)
    return exit_codes.RUN_FAILED if failed else exit_codes.DONE


async def _examined() -> list[Finding]:
    """All findings, in the order of the checks."""
    from tui.doctor import CHECKS, examine

    found = {finding.id: finding async for finding in examine(_around())}
    return [found[check.id] for check in CHECKS]


def _around() -> Surroundings:
    import shutil
    import sys

    from tui.client import Client
    from tui.doctor import Surroundings

    size = shutil.get_terminal_size() if sys.stdout.isatty() else None
    around = Surroundings.of_this_machine(
        size=(size.columns, size.lines) if size else None, encoding=sys.stdout.encoding or ""
    )
    if around.settings is None:
        return around
    from dataclasses import replace

    return replace(around, volumes_of=Client.default(around.settings).volumes_of)


def _text(finding: Finding) -> str:
    from tui.doctor import SIGNS
    from tui.text.format import plain

    first, *rest = finding.detail.splitlines() or [""]
    lines = [f"{SIGNS[finding.state]} {finding.title}: {first}", *(f"    {line}" for line in rest)]
    if finding.command:
        lines.append(f"    → {finding.command}")
    return "\n".join(map(plain, lines))

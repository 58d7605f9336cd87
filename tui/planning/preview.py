"""What a launch would be: its plan, whether it fits, what it costs; or what keeps it from being planned.

Owns putting these together, so that a screen asks once. It looks at the disk and at git: call it off the
event loop, with what was resolved on it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from remote.contract.errors import VfmError
from remote.contract.record import Kind, LaunchRequest
from tui.config.field_text import spoken
from tui.config.resolve import Resolved
from tui.planning.draft import Draft, Field, blamed, value_at
from tui.planning.gpu_memory import Fit, fit, this_machine
from tui.planning.plan import Plan, make_plan
from tui.settings import Settings


@dataclass(frozen=True)
class Outlook:
    """The right side of the launch form."""

    plan: Plan | None = None
    """With its price."""
    fit: Fit | None = None
    refused: str = ""
    """Why it cannot be planned."""
    refused_key: str | None = None
    """The field that this is about."""


def look(resolved: Resolved, settings: Settings, *, kind: Kind, backend: str, config: str | None) -> Outlook:
    """The outlook of a draft that was resolved. Raises nothing that a user can mend: it is in `refused`."""
    try:
        plan = make_plan(resolved, settings, kind=kind, backend=backend, config_path=config)
    except VfmError as error:
        key, words = blamed(error)
        return Outlook(refused=words, refused_key=key)
    machine = this_machine() if backend == "local" else None
    estimate = fit(plan.request.spec, plan.request.model, kind=kind, backend=backend, machine=machine)
    return Outlook(plan, estimate)


def fields_of(draft: Draft, outlook: Outlook | None) -> list[Field]:
    """The draft's fields; what the plan refused stands beside its field like any other problem."""
    fields = draft.fields()
    if outlook is not None and outlook.plan is not None:
        fields = [_derived(field, outlook.plan.request) for field in fields]
    if outlook is None or outlook.refused_key is None:
        return fields
    return [
        replace(field, problem=outlook.refused)
        if field.key == outlook.refused_key and not field.problem
        else field
        for field in fields
    ]


def _derived(field: Field, request: LaunchRequest) -> Field:
    """A field that the plan sets by itself, with the value that it sets."""
    source = request.provenance.get(field.key)
    if source is None or source.layer != "derived":
        return field
    value = value_at(request.spec, field.row)
    text = spoken(field.row, value)
    # What the config leaves open is no other value than the config's.
    base = field.base or text
    return replace(field, text=text, value=value, base=base, source="derived", where=source.where)

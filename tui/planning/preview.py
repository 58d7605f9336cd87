"""Preview of a launch: plan, GPU fit and price, or the error that prevents planning. Blocks."""

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
    """A plan and its fit, or why there is none."""

    plan: Plan | None = None
    fit: Fit | None = None
    refused: str = ""
    """The error that prevents planning."""
    refused_key: str | None = None
    """The field that the error is about."""


def look(resolved: Resolved, settings: Settings, *, kind: Kind, backend: str, config: str | None) -> Outlook:
    """Preview a resolved draft. A `VfmError` becomes `refused`."""
    try:
        plan = make_plan(resolved, settings, kind=kind, backend=backend, config_path=config)
    except VfmError as error:
        key, text = blamed(error)
        return Outlook(refused=text, refused_key=key)
    machine = this_machine() if backend == "local" else None
    estimate = fit(plan.request.spec, plan.request.model, kind=kind, backend=backend, machine=machine)
    return Outlook(plan, estimate)


def fields_of(draft: Draft, outlook: Outlook | None) -> list[Field]:
    """The draft's fields; an error of the plan is the problem of its field."""
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
    """The field, with the value that the plan derived for it."""
    source = request.provenance.get(field.key)
    if source is None or source.layer != "derived":
        return field
    value = value_at(request.spec, field.row)
    text = spoken(field.row, value)
    # A derived value of an unset key does not differ from the config.
    base = field.base or text
    return replace(field, text=text, value=value, base=base, source="derived", where=source.where)

"""An environment as a person reads of it: what it is, and how three episodes went.

Pure functions of what `remote/evaluation/environment_check.py` has found.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from tui.text.format import escape_controls, number, table

if TYPE_CHECKING:
    from tui.planning.environments import Environment

_LINE = 100  # characters of a message that are shown in a check
_SECTION = re.compile(r"^## ", re.MULTILINE)


def description(found: Environment, told: Mapping[str, Any]) -> str:
    """What `vfm env show` says."""
    parts = [
        *_head(found, told),
        "",
        *_readme(told["readme"] or told["summary"]),
        "Options (training.environment_args):",
        *_options(told["options"]),
        "",
        "Reward parts:",
        *(_rewards(told["rewards"]) or _section(told["readme"], "reward")),
        "",
        "A conversation begins so:",
        *_conversation(told["prompt"] or [], None),
    ]
    if not told["prompt"]:
        parts.append("  (the environment opens it when an episode is played: vfm env check)")
    return _printed(parts)


def episodes(found: Environment, told: Mapping[str, Any]) -> str:
    """What `vfm env check` says."""
    lines = _head(found, told)
    for place, episode in enumerate(told["episodes"], 1):
        lines += ["", f"Episode {place}: task {episode['task']}"]
        lines += _conversation(episode["messages"], _LINE)
        if episode["error"]:
            lines.append(f"  ✗ {episode['error']}")
        else:
            lines += _earned(episode)
    remarks = [f"✗ {text}" for text in told["problems"]] + [f"⚠ {text}" for text in told["warnings"]]
    lines += ["", *remarks] if remarks else []
    failed = sum(1 for one in told["episodes"] if one["error"])
    count = len(told["episodes"])
    verdict = f"✗ {failed} of {count} episodes failed" if failed else f"✓ {count} episodes were played"
    told_by = "against a scripted model, which tells nothing of how hard the tasks are."
    return _printed([*lines, "", f"{verdict} {told_by}"])


def _printed(lines: Iterable[str]) -> str:
    """Lines as a terminal may have them: what a package says of itself is shown, never obeyed."""
    return "\n".join(escape_controls(line.expandtabs(4)) for line in lines)


def _head(found: Environment, told: Mapping[str, Any]) -> list[str]:
    facts = {
        "environment": f"{told['module']} {told['version']}".strip(),
        "from": found.source or found.kind,
        "files": told["where"],
        "tasks": _tasks(told),
        "alias of": found.declared.alias_of,
    }
    return [f"{name + ':':13}{value}" for name, value in facts.items() if value]


def _tasks(told: Mapping[str, Any]) -> str:
    if told["train"] is None:
        return "endless"
    count = f"{told['train']}" if told["train"] < told["counted_to"] else f"at least {told['train']}"
    if not told["held_out"]:
        return f"{count} to train on, none held out (training.eval_examples holds out the last ones)"
    return f"{count} to train on, {told['held_out']} held out ({told['held_out_from']})"


def _readme(text: str) -> list[str]:
    """What stands before the first section of a README."""
    opening = _SECTION.split(text, maxsplit=1)[0]
    paragraphs = [part.strip() for part in opening.split("\n\n") if part.strip() and part[0] != "#"]
    return [line for part in paragraphs for line in (*part.splitlines(), "")]


def _options(options: Iterable[Mapping[str, str]]) -> list[str]:
    rows = [(o["name"], o["type"], o["default"], o["help"]) for o in options]
    if not rows:
        return ["  none"]
    return ["  " + line for line in table(("OPTION", "TYPE", "DEFAULT", "MEANING"), rows).splitlines()]


def _rewards(rewards: Iterable[Mapping[str, Any]]) -> list[str]:
    lines = [f"  {r['name']} × {number(r['weight'])}  {r['help']}".rstrip() for r in rewards]
    return lines


def _section(readme: str, subject: str) -> list[str]:
    """What a README says of the parts that an episode records; no class declares those."""
    sections = (part for part in _SECTION.split(readme)[1:] if part.lower().startswith(subject))
    text = next(sections, "\nrecorded while an episode is played: vfm env check shows them")
    return [f"  {line}".rstrip() for line in text.partition("\n")[2].strip().splitlines()]


def _conversation(messages: Iterable[Mapping[str, Any]], most: int | None) -> list[str]:
    lines = []
    for message in messages:
        first, *rest = _said(message).splitlines() or [""]
        shown = " ".join([first, *rest]) if most else first
        lines.append(f"  {message.get('role', '?') + ':':11}{_short(shown, most)}")
        lines += [] if most else [f"  {'':11}{line}" for line in rest]
    return lines


def _said(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if not isinstance(content, str):
        content = " ".join(part.get("text") or f"[{part.get('type')}]" for part in content)
    calls = [call.get("function", call) for call in message.get("tool_calls") or []]
    return "\n".join([*([content] if content else []), *(f"→ {_call(call)}" for call in calls)])


def _call(call: Mapping[str, Any]) -> str:
    arguments = call.get("arguments", "")
    return f"{call.get('name')}({arguments if isinstance(arguments, str) else json.dumps(arguments)})"


def _short(text: str, most: int | None) -> str:
    return text if most is None or len(text) <= most else text[: most - 1] + "…"


def _earned(episode: Mapping[str, Any]) -> list[str]:
    parts = "  ".join(f"{name} {number(value)}" for name, value in episode["rewards"].items())
    lines = [f"  {'reward:':11}{number(episode['reward'])}" + (f" = {parts}" if parts else "")]
    metrics = [f"{name} {number(value)}" for name, value in episode["metrics"].items()]
    metrics += [f"{name} {value} (left out of means)" for name, value in episode["not_finite"].items()]
    if metrics:
        lines.append(f"  {'metrics:':11}" + "  ".join(metrics))
    return lines

"""The text of `vfm env show` and `vfm env check`, from an environment's report. Pure."""

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


def description(found: Environment, report: Mapping[str, Any]) -> str:
    """The text of `vfm env show`."""
    parts = [
        *_head(found, report),
        "",
        *_readme(report["readme"] or report["summary"]),
        "Options (training.environment_args):",
        *_options(report["options"]),
        "",
        "Reward parts:",
        *(_rewards(report["rewards"]) or _section(report["readme"], "reward")),
        "",
        "A conversation begins:",
        *_conversation(report["prompt"] or [], None),
    ]
    if not report["prompt"]:
        parts.append("  (known only when an episode is played: vfm env check)")
    return _printed(parts)


def episodes(found: Environment, report: Mapping[str, Any]) -> str:
    """The text of `vfm env check`."""
    lines = _head(found, report)
    for place, episode in enumerate(report["episodes"], 1):
        lines += ["", f"Episode {place}: task {episode['task']}"]
        lines += _conversation(episode["messages"], _LINE)
        if episode["error"]:
            lines.append(f"  ✗ {episode['error']}")
        else:
            lines += _earned(episode)
    remarks = [f"✗ {text}" for text in report["problems"]] + [f"⚠ {text}" for text in report["warnings"]]
    lines += ["", *remarks] if remarks else []
    failed = sum(1 for episode in report["episodes"] if episode["error"])
    count = len(report["episodes"])
    verdict = f"✗ {failed} of {count} episodes failed" if failed else f"✓ {count} episodes were played"
    by = "against a scripted model, whose scores say nothing about how hard the tasks are."
    return _printed([*lines, "", f"{verdict} {by}"])


def _printed(lines: Iterable[str]) -> str:
    """Join lines, with control characters in a package's texts escaped."""
    return "\n".join(escape_controls(line.expandtabs(4)) for line in lines)


def _head(found: Environment, report: Mapping[str, Any]) -> list[str]:
    facts = {
        "environment": f"{report['module']} {report['version']}".strip(),
        "from": found.source or found.kind,
        "files": report["where"],
        "tasks": _tasks(report),
        "alias of": found.declared.alias_of,
    }
    return [f"{name + ':':13}{value}" for name, value in facts.items() if value]


def _tasks(report: Mapping[str, Any]) -> str:
    if report["train"] is None:
        return "endless"
    count = f"{report['train']}" if report["train"] < report["counted_to"] else f"at least {report['train']}"
    if not report["held_out"]:
        return f"{count} to train on, none held out (training.eval_examples holds some out)"
    return f"{count} to train on, {report['held_out']} held out ({report['held_out_from']})"


def _readme(text: str) -> list[str]:
    """The beginning of a README, up to its first section."""
    opening = _SECTION.split(text, maxsplit=1)[0]
    paragraphs = [part.strip() for part in opening.split("\n\n") if part.strip() and part[0] != "#"]
    return [line for part in paragraphs for line in (*part.splitlines(), "")]


def _options(options: Iterable[Mapping[str, str]]) -> list[str]:
    rows = [(o["name"], o["type"], o["default"], o["help"]) for o in options]
    if not rows:
        return ["  none"]
    return ["  " + line for line in table(("OPTION", "TYPE", "DEFAULT", "MEANING"), rows).splitlines()]


def _rewards(rewards: Iterable[Mapping[str, Any]]) -> list[str]:
    return [f"  {r['name']} × {number(r['weight'])}  {r['help']}".rstrip() for r in rewards]


def _section(readme: str, subject: str) -> list[str]:
    """The README's section on rewards that no class declares, since episodes record them."""
    sections = (part for part in _SECTION.split(readme)[1:] if part.lower().startswith(subject))
    text = next(sections, "\nknown only when an episode is played: vfm env check")
    return [f"  {line}".rstrip() for line in text.partition("\n")[2].strip().splitlines()]


def _conversation(messages: Iterable[Mapping[str, Any]], most: int | None) -> list[str]:
    lines = []
    for message in messages:
        first, *rest = _content(message).splitlines() or [""]
        shown = " ".join([first, *rest]) if most else first
        lines.append(f"  {message.get('role', '?') + ':':11}{_short(shown, most)}")
        lines += [] if most else [f"  {'':11}{line}" for line in rest]
    return lines


def _content(message: Mapping[str, Any]) -> str:
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

"""The doctor's list of findings, and one finding in full.

Problems come first, then notes, pending checks and what is fine; the cursor stays on its finding while
others arrive.
"""

from __future__ import annotations

from dataclasses import dataclass

from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui.doctor import CHECKS, SIGNS, Finding
from tui.text.format import plain

_STYLES = {"problem": "bold $error", "note": "$warning", "ok": "$success"}
_ORDER = {"problem": 0, "note": 1, "waiting": 2, "ok": 3}
_WORDS = {"problem": "problem", "note": "note", "ok": "fine"}
_TITLES = max(len(check.title) for check in CHECKS)


class FindingList(OptionList):
    """One line per check."""

    DEFAULT_CSS = """
    FindingList, FindingList:focus {
        background: $background; background-tint: $foreground 0%; text-wrap: nowrap; text-overflow: ellipsis;
    }
    FindingList > .option-list--option-highlighted { text-style: none; }
    FindingList:focus > .option-list--option-highlighted {
        background: $primary 25%; color: $foreground; text-style: none;
    }
    """

    @dataclass
    class Highlighted(Message):
        """The cursor is on another finding, or its check is done."""

        finding: Finding | None

    @dataclass
    class Chosen(Message):
        """Enter or a double click on a finding."""

        finding: Finding | None

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._found: dict[str, Finding] = {}
        self._moved = False

    def begin(self) -> None:
        """Mark every check as pending."""
        self._found = {}
        self._fill()

    def put(self, finding: Finding) -> None:
        """Show the finding of a check."""
        self._found[finding.id] = finding
        self._fill()

    @property
    def finding(self) -> Finding | None:
        """The finding under the cursor."""
        option = self.highlighted_option
        return self._found.get(option.id or "") if option else None

    @property
    def summary(self) -> str:
        """`1 problem · 3 notes · 10 fine`, and the number of pending checks."""
        states = [finding.state for finding in self._found.values()]
        counts = [(states.count(state), _WORDS[state]) for state in SIGNS]
        parts = [f"{n} {word}{'s' if n != 1 and word != 'fine' else ''}" for n, word in counts if n]
        waiting = len(CHECKS) - len(states)
        return " · ".join([*parts, *([f"{waiting} to come"] if waiting else [])])

    def on_option_list_option_highlighted(self, event: OptionList.OptionHighlighted) -> None:
        """Report the finding."""
        event.stop()
        self.post_message(self.Highlighted(self._found.get(event.option_id or "")))

    def on_option_list_option_selected(self, event: OptionList.OptionSelected) -> None:
        """Report the finding."""
        event.stop()
        self.post_message(self.Chosen(self._found.get(event.option_id or "")))

    def action_cursor_down(self) -> None:
        """Move the cursor, which stays on its finding from now on."""
        self._moved = True
        super().action_cursor_down()

    def action_cursor_up(self) -> None:
        """See `action_cursor_down`."""
        self._moved = True
        super().action_cursor_up()

    def _fill(self) -> None:
        """List the findings; until the cursor is moved, it is on the most severe one."""
        option = self.highlighted_option
        chosen = option.id if option and self._moved else None
        states = {
            check.id: self._found[check.id].state if check.id in self._found else "waiting"
            for check in CHECKS
        }
        ordered = sorted(CHECKS, key=lambda check: _ORDER[states[check.id]])
        self.set_options([Option(self._line(check.id, check.title), id=check.id) for check in ordered])
        ids = [check.id for check in ordered]
        self.highlighted = ids.index(chosen) if chosen in ids else 0

    def _line(self, id: str, title: str) -> Content:
        finding = self._found.get(id)
        if finding is None:
            return Content.styled(f"· {title:{_TITLES}}  …", "$text-muted")
        first = plain(finding.detail.partition("\n")[0])
        sign = Content.styled(f"{SIGNS[finding.state]} ", _STYLES[finding.state])
        name = Content.styled(f"{title:{_TITLES}}", "" if finding.state == "ok" else "bold")
        return sign + name + Content.styled(f"  {first}", "$text-muted")


def finding_text(finding: Finding | None, can: str) -> Content:
    """A finding in full: state, details, and the command that fixes it. `can`: what the app can do itself."""
    if finding is None:
        return Content.styled("being looked at …", "$text-muted")
    parts = [
        Content.styled(f"{SIGNS[finding.state]} {_WORDS[finding.state]}", _STYLES[finding.state]),
        Content(""),
        *(Content(plain(line.strip())) for line in finding.detail.split("\n")),
    ]
    if finding.command:
        parts += [Content(""), Content.styled("mended by", "$text-muted")]
        parts += [Content.styled(f"  {plain(finding.command)}", "bold $accent")]
    if can:
        parts += [Content(""), Content.styled("Enter ", "bold $accent") + Content.styled(can, "$text-muted")]
    return Content("\n").join(parts)

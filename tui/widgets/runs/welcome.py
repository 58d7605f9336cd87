"""The welcome, shown while there is no run: what vfm does, and where to start."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.containers import Vertical
from textual.content import Content
from textual.message import Message
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

Choice = Literal["demo", "launch", "doctor"]


class Welcome(Vertical):
    """A text, and three ways to start."""

    DEFAULT_CSS = """
    Welcome { height: 1fr; align: center middle; background: $background; }
    Welcome #welcome-words { width: 78; max-width: 100%; height: auto; padding: 0 2; }
    Welcome OptionList, Welcome OptionList:focus {
        width: 78; max-width: 100%; height: auto; margin-top: 1; padding: 0; border: none;
        background: $background; background-tint: $background 0%; scrollbar-size: 0 0;
    }
    Welcome OptionList > .option-list--option { padding: 0 2; }
    Welcome OptionList > .option-list--option-highlighted { background: $panel; color: $foreground; }
    Welcome OptionList:focus > .option-list--option-highlighted {
        background: $primary-muted; color: $foreground; text-style: none;
    }
    """
    CHOICES: ClassVar[list[tuple[Choice, str, str, str]]] = [
        ("demo", "Enter", "Run the demo", "learn Wordle's first move on this CPU in minutes"),
        ("launch", "n", "Launch a config", "choose one, edit it in a form, check the plan"),
        ("doctor", "D", "Check the setup", "what is set up, what is missing, how to fix it"),
    ]

    @dataclass
    class Chosen(Message):
        """A way to start was chosen."""

        choice: Choice

    def compose(self) -> ComposeResult:
        """The text and the choices."""
        yield Static(
            Content.assemble(
                ("No run yet\n\n", "bold $accent"),
                "vfm trains language models by reinforcement learning. A config names a model and an "
                "environment; a run plays episodes of it and learns from their rewards, on this machine "
                "or on Modal.\n\n",
                ("Runs are listed here, live and past, to be compared and downloaded.", "$text-muted"),
            ),
            id="welcome-words",
        )
        yield OptionList(*(self._option(*choice) for choice in self.CHOICES))

    def focus_choice(self) -> None:
        """Focus the choices."""
        choices = self.query_one(OptionList)
        choices.highlighted = choices.highlighted or 0
        choices.focus()

    @on(OptionList.OptionSelected)
    def _chosen(self, event: OptionList.OptionSelected) -> None:
        event.stop()
        choice = self.CHOICES[event.option_index][0]
        self.post_message(self.Chosen(choice))

    @staticmethod
    def _option(choice: Choice, key: str, title: str, about: str) -> Option:
        return Option(
            Content.assemble((f"{key:<7}", "bold $accent"), (f"{title:<18}", "bold"), (about, "$text-muted")),
            id=choice,
        )

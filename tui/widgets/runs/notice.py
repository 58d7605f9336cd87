"""Why a run, or more of its output, cannot be shown: a line above its panes."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.text.format import plain


class RunNotice(Static):
    """An error that ended watching, or a problem despite which it goes on; hidden without either."""

    DEFAULT_CSS = """
    RunNotice { height: auto; padding: 1 2; }
    RunNotice.-trouble { padding: 0 1; }
    """

    def __init__(self, id: str) -> None:
        super().__init__(Content.styled("looking for the run …", "$text-muted"), id=id)

    def show(self, error: VfmError | None, trouble: str) -> None:
        """Show the error, or else the problem, or hide."""
        self.set_class(error is None and bool(trouble), "-trouble")
        if error is not None:
            self._update(_error(error))
        else:
            self._update(_trouble(trouble) if trouble else None)

    def _update(self, text: Content | None) -> None:
        """Repaint only if the text changed: every repaint is sent over the network."""
        self.set_class(text is None, "-hidden")
        if text is not None and not (isinstance(self.content, Content) and text.is_same(self.content)):
            self.update(text)


def _error(error: VfmError) -> Content:
    text = Content.styled(f"✗ {_lines(error.message)}", "bold $error")
    if error.hint:
        text += Content.styled("\n→ ", "bold $accent") + _lines(error.hint.text)
    return text + Content.styled("\n\nF5 looks again", "$text-muted")


def _trouble(text: str) -> Content:
    promise = "still trying; no output is lost"
    return Content.assemble((f"! {_lines(text)}", "$warning"), (f" · {promise}", "$text-muted"))


def _lines(text: str) -> str:
    """Lines with control characters escaped."""
    return "\n".join(map(plain, text.splitlines()))

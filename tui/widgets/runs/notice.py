"""What keeps a run, or more of it, from being seen: said above its panes."""

from __future__ import annotations

from textual.content import Content
from textual.widgets import Static

from remote.contract.errors import VfmError
from tui.text.format import plain


class RunNotice(Static):
    """An error that ended the watch, or a trouble that it goes on through; hidden where there is neither."""

    DEFAULT_CSS = """
    RunNotice { height: auto; padding: 1 2; }
    RunNotice.-trouble { padding: 0 1; }
    """

    def __init__(self, id: str) -> None:
        super().__init__(Content.styled("looking for the run …", "$text-muted"), id=id)

    def say(self, error: VfmError | None, trouble: str) -> None:
        """An error comes before a trouble."""
        self.set_class(error is None and bool(trouble), "-trouble")
        if error is not None:
            self._tell(_what_is_wrong(error))
        else:
            self._tell(_trouble(trouble) if trouble else None)

    def _tell(self, words: Content | None) -> None:
        """Repaint only for other words: every repaint goes over the wire."""
        self.set_class(words is None, "-hidden")
        if words is not None and not (isinstance(self.content, Content) and words.is_same(self.content)):
            self.update(words)


def _what_is_wrong(error: VfmError) -> Content:
    told = Content.styled(f"✗ {_lines(error.message)}", "bold $error")
    if error.hint:
        told += Content.styled("\n→ ", "bold $accent") + _lines(error.hint.text)
    return told + Content.styled("\n\nF5 looks again", "$text-muted")


def _trouble(text: str) -> Content:
    promise = "still trying: what the run says meanwhile will all be here"
    return Content.assemble((f"! {_lines(text)}", "$warning"), (f" · {promise}", "$text-muted"))


def _lines(text: str) -> str:
    """Several lines, each made safe."""
    return "\n".join(map(plain, text.splitlines()))

"""Ask for a path, and save the lines that a log pane shows there."""

from __future__ import annotations

from pathlib import Path

from remote.contract.errors import VfmError
from tui.backends.destination import Occupied
from tui.screens.app_base import AppBase
from tui.screens.dialogs import AskPath, Confirm
from tui.text.format import one_line, plain
from tui.widgets.logs.reader import LogReader


async def ask_and_save(app: AppBase, pane: LogReader, name: str) -> None:
    """Save under a path that the user chooses, `name` by default; ask before replacing another file."""
    default = str(Path(app.download_dir) / name)
    chosen = await app.push_screen_wait(AskPath("Save these lines as", default, role="save"))
    if not chosen:
        return
    try:
        try:
            count = await pane.save(Path(chosen))
        except Occupied:
            question = Confirm(f"Replace {chosen}?", ["it exists already and differs"], yes="Replace")
            if not await app.push_screen_wait(question):
                return
            count = await pane.save(Path(chosen), force=True)
    except OSError as error:
        app.notify(f"cannot write {plain(chosen)}: {error.strerror or error}", severity="error")
    except VfmError as error:
        app.notify(plain(f"cannot save: {one_line(error)}"), severity="error")
    else:
        app.notify(f"saved {count:,} line{'s' * (count != 1)} in {plain(chosen)}")

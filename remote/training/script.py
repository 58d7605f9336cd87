"""Load the user's training script, a file with `train(run)`, as if it were imported from its folder.

Its exceptions become failures that name the script's own file and line, with a traceback that begins there.
"""

from __future__ import annotations

import inspect
import linecache
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import remote
from remote.contract.errors import Hint, ScriptError, VfmError
from remote.output.run_dir import is_disk_full

if TYPE_CHECKING:
    from remote.training.run import TrainingRun

MODULE = "training_script"
"""The script's `__module__`."""


class Script:
    """A script. `path`: as the user knows it; `text`: what runs; `say`: logs a line of a traceback."""

    def __init__(self, path: str, text: str, project: Path, say: Callable[[str], None]) -> None:
        self.path, self._text = path, text
        self._project, self._file = project, Path(project, path)
        self._say = say

    def load(self) -> Callable[[TrainingRun], None]:
        """Run the file's top level; returns its `train`. Raises `ScriptError`."""
        module = ModuleType(MODULE)
        module.__file__ = str(self._file)
        sys.modules[MODULE] = module
        sys.path.insert(0, str(self._file.parent))  # as Python does, so that it can import its neighbours
        # The text of the request runs: tracebacks must not show a file that has changed since.
        linecache.cache[self.path] = (len(self._text), None, self._text.splitlines(True), self.path)
        with self._script_errors("cannot be loaded"):
            exec(compile(self._text, self.path, "exec", dont_inherit=True), vars(module))
        train = getattr(module, "train", None)
        if not callable(train):
            raise ScriptError(
                f"{self.path} has no function train(run)",
                hint=Hint("define it: begin with a copy of examples/grpo/train_wordle.py"),
            )
        if inspect.iscoroutinefunction(train):
            raise ScriptError(
                f"{self.path}: train(run) is asynchronous", hint=Hint("write def train(run), without async")
            )
        if not _takes_run(train):
            raise ScriptError(
                f"{self.path}: train takes other arguments than run", hint=Hint("write def train(run)")
            )

        def run(training: TrainingRun) -> None:
            with self._script_errors("failed"):
                train(training)

        return run

    @contextmanager
    def _script_errors(self, outcome: str) -> Iterator[None]:
        """Raise the script's exceptions as `ScriptError`; those of the training within pass unchanged."""
        try:
            yield
        except (Exception, SystemExit) as error:
            if isinstance(error, ScriptError) and not error.cause:
                error.cause = f"{self._place(error)}: {error.message}"
            if _is_self_explanatory(error) or self._in_the_training(error):
                raise
            self._log_traceback(error)
            place, text = self._place(error), _text(error)
            raise ScriptError(
                f"the training script {self.path} {outcome}: {text}",
                cause=f"{place}: {text}",
                hint=Hint(f"mend {place}; the log has the traceback"),
            ) from error

    def _in_the_training(self, error: BaseException) -> bool:
        """Whether it was raised inside `trainer.train()`, and not by the script's own code."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [index for index, frame in enumerate(frames) if self._owns(frame.filename)]
        after = frames[own[-1] + 1 : own[-1] + 2] if own else []
        return any(
            f.name == "train" and Path(f.filename) == remote.CODE / "training" / "grpo.py" for f in after
        )

    def _place(self, error: BaseException) -> str:
        """`file:line` of the user's innermost line."""
        if isinstance(error, SyntaxError) and error.filename:
            return f"{self._shown(error.filename)}:{error.lineno}"
        own = [f for f in traceback.extract_tb(error.__traceback__) if self._owns(f.filename)]
        return f"{self._shown(own[-1].filename)}:{own[-1].lineno}" if own else self.path

    def _log_traceback(self, error: BaseException) -> None:
        """Log the traceback from the user's first line on, without frames of this program."""
        formatted = traceback.TracebackException.from_exception(error)
        chained: traceback.TracebackException | None = formatted
        while chained is not None:
            chained.stack = self._visible(chained.stack)
            chained = chained.__cause__ or (None if chained.__suppress_context__ else chained.__context__)
        for line in "".join(formatted.format()).splitlines():
            self._say(line)

    def _visible(self, stack: traceback.StackSummary) -> traceback.StackSummary:
        first = next((i for i, frame in enumerate(stack) if self._owns(frame.filename)), 0)
        frames = [frame for frame in stack[first:] if not Path(frame.filename).is_relative_to(remote.CODE)]
        for frame in frames:
            _ = frame.line  # read it now: linecache knows the original file name only
            frame.filename = self._shown(frame.filename)
        return traceback.StackSummary.from_list(frames)

    def _owns(self, filename: str) -> bool:
        """Whether a file is the script or one of its neighbours."""
        path = Path(filename)
        if filename == self.path:
            return True
        inside = path.is_relative_to(self._file.parent) and "site-packages" not in path.parts
        return inside and not path.is_relative_to(remote.CODE)

    def _shown(self, filename: str) -> str:
        path = Path(filename)
        return str(path.relative_to(self._project)) if path.is_relative_to(self._project) else filename


def _takes_run(train: Callable[..., Any]) -> bool:
    """Whether a function can be called with one argument, as far as is known."""
    try:
        inspect.signature(train).bind(None)
    except TypeError:
        return False
    except ValueError:  # it has no signature
        return True
    return True


def _is_self_explanatory(error: BaseException) -> bool:
    """Whether it needs no traceback: one of our failures, a full disk, no memory."""
    chained: BaseException | None = error
    while chained is not None:
        if isinstance(chained, VfmError | MemoryError) or is_disk_full(chained):
            return True
        chained = chained.__cause__ or chained.__context__
    return False


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    return f"{type(error).__name__}: {error}"

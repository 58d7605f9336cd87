"""The user's training script: a file with `train(run)`, loaded as if it were imported from its folder.

Owns loading its text, and telling what it raises by the script's own file and line, with a traceback that
begins there. What a script is handed is `training_run`'s, which script runs the plan's.
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
from typing import Any

import remote
from remote.contract.errors import Hint, ScriptError, VfmError
from remote.output.run_dir import is_disk_full

MODULE = "training_script"
"""What the script is called where its classes and functions are named."""
_OURS = Path(remote.__file__ or "").parent


class Script:
    """A script, by the path that the user knows it by and by its text; `say` gets tracebacks line by line."""

    def __init__(self, path: str, text: str, project: Path, say: Callable[[str], None]) -> None:
        self.path, self._text = path, text
        self._project, self._file = project, Path(project, path)
        self._say = say

    def load(self) -> Callable[[Any], None]:
        """Run the file's top level; returns its `train`. Raises `ScriptError`."""
        module = ModuleType(MODULE)
        module.__file__ = str(self._file)
        sys.modules[MODULE] = module
        sys.path.insert(0, str(self._file.parent))  # as Python does: its neighbours can be imported
        # What runs is the text of the request: tracebacks shall not show a file that has changed since.
        linecache.cache[self.path] = (len(self._text), None, self._text.splitlines(True), self.path)
        with self._answerable("cannot be loaded"):
            exec(compile(self._text, self.path, "exec", dont_inherit=True), vars(module))
        train = getattr(module, "train", None)
        if not callable(train):
            raise ScriptError(
                f"{self.path} has no function train(run)",
                hint=Hint("define it: examples/grpo/train_wordle.py is one to begin with"),
            )
        if inspect.iscoroutinefunction(train):
            raise ScriptError(
                f"{self.path}: train(run) is asynchronous", hint=Hint("write def train(run), without async")
            )
        if not _takes_run(train):
            raise ScriptError(
                f"{self.path}: train takes other arguments than run", hint=Hint("write def train(run)")
            )

        def run(training: Any) -> None:
            with self._answerable("failed"):
                train(training)

        return run

    @contextmanager
    def _answerable(self, what: str) -> Iterator[None]:
        """Around the script: what it raises becomes `ScriptError`, what is not its own doing goes by."""
        try:
            yield
        except (Exception, SystemExit) as error:
            if isinstance(error, ScriptError) and not error.cause:
                error.cause = f"{self._place(error)}: {error.message}"
            if _known(error) or self._in_the_training(error):
                raise
            self._tell(error)
            place, text = self._place(error), _text(error)
            raise ScriptError(
                f"the training script {self.path} {what}: {text}",
                cause=f"{place}: {text}",
                hint=Hint(f"mend {place}; the log has the traceback"),
            ) from error

    def _in_the_training(self, error: BaseException) -> bool:
        """Whether the script had let the trainer go, and none of its own code was at work within."""
        frames = traceback.extract_tb(error.__traceback__)
        own = [index for index, frame in enumerate(frames) if self._owns(frame.filename)]
        after = frames[own[-1] + 1 : own[-1] + 2] if own else []
        return any(f.name == "train" and Path(f.filename) == _OURS / "training" / "grpo.py" for f in after)

    def _place(self, error: BaseException) -> str:
        """`file:line` of the innermost line of the user's."""
        if isinstance(error, SyntaxError) and error.filename:
            return f"{self._shown(error.filename)}:{error.lineno}"
        own = [f for f in traceback.extract_tb(error.__traceback__) if self._owns(f.filename)]
        return f"{self._shown(own[-1].filename)}:{own[-1].lineno}" if own else self.path

    def _tell(self, error: BaseException) -> None:
        """The traceback from the user's first line on, without frames of ours."""
        told = traceback.TracebackException.from_exception(error)
        one: traceback.TracebackException | None = told
        while one is not None:
            one.stack = self._seen(one.stack)
            one = one.__cause__ or (None if one.__suppress_context__ else one.__context__)
        for line in "".join(told.format()).splitlines():
            self._say(line)

    def _seen(self, stack: traceback.StackSummary) -> traceback.StackSummary:
        first = next((i for i, frame in enumerate(stack) if self._owns(frame.filename)), 0)
        seen = [frame for frame in stack[first:] if not Path(frame.filename).is_relative_to(_OURS)]
        for frame in seen:
            _ = frame.line  # is read by the name that the file has
            frame.filename = self._shown(frame.filename)
        return traceback.StackSummary.from_list(seen)

    def _owns(self, filename: str) -> bool:
        """Whether a file is the script or one of its neighbours."""
        path = Path(filename)
        if filename == self.path:
            return True
        inside = path.is_relative_to(self._file.parent) and "site-packages" not in path.parts
        return inside and not path.is_relative_to(_OURS)

    def _shown(self, filename: str) -> str:
        path = Path(filename)
        return str(path.relative_to(self._project)) if path.is_relative_to(self._project) else filename


def _takes_run(train: Callable[..., Any]) -> bool:
    """Whether a function can be called with one argument, as far as its signature tells."""
    try:
        inspect.signature(train).bind(None)
    except TypeError:
        return False
    except ValueError:  # no signature to be had
        return True
    return True


def _known(error: BaseException) -> bool:
    """Whether it says by itself what is wrong: a failure of ours, a full disk, no memory."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, VfmError | MemoryError) or is_disk_full(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _text(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return f"{type(error).__name__}: {error.msg}"
    if isinstance(error, SystemExit):
        return f"it called sys.exit({error.code!r})"
    return f"{type(error).__name__}: {error}"

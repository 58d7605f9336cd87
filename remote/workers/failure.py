"""Turn an exception into a failure."""

from __future__ import annotations

from remote.contract.errors import Hint, VfmError
from remote.output.run_dir import disk_error, is_disk_full


def as_vfm_error(error: BaseException) -> VfmError:
    """The failure for an exception: the first `VfmError` in its chain of causes, or a new one."""
    chained: BaseException | None = error
    while chained is not None:
        if isinstance(chained, VfmError):
            return chained
        if is_disk_full(chained):
            return disk_error(chained, getattr(chained, "filename", None) or "the run's files")
        chained = chained.__cause__ or chained.__context__
    from remote.environments.errors import where

    if isinstance(error, MemoryError):
        hint = Hint("lower training.batch_size and raise training.gradient_accumulation_steps")
    else:
        hint = Hint("this failure is unknown: see the last lines of the log")
    return VfmError(
        f"{type(error).__name__}: {error}", boundary="train", cause=where(error, "remote"), hint=hint
    )

"""The failure that an exception stands for."""

from __future__ import annotations

from remote.contract.errors import Hint, VfmError
from remote.output.run_dir import disk_error, is_disk_full


def as_vfm_error(error: BaseException) -> VfmError:
    """The failure that an exception stands for; one of ours, wrapped or bare, as it is."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, VfmError):
            return seen
        if is_disk_full(seen):
            return disk_error(seen, getattr(seen, "filename", None) or "the run's files")
        seen = seen.__cause__ or seen.__context__
    from remote.environments.errors import where

    if isinstance(error, MemoryError):
        hint = Hint("lower training.batch_size and raise training.gradient_accumulation_steps")
    else:
        hint = Hint("this is not a failure that is known: look at the last lines of the log")
    return VfmError(
        f"{type(error).__name__}: {error}", boundary="train", cause=where(error, "remote"), hint=hint
    )

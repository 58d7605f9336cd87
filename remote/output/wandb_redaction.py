"""Keep secrets out of what the Weights & Biases client sends and writes: console lines, metrics, config, its
log.

It captures printed lines before this program's own log does, so redacting the log is not enough.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from remote.output import redact


def keep_secrets_out_of_wandb() -> None:
    """Patch the client in this process. The methods are private: a test breaks when they change."""
    from wandb.sdk.wandb_config import Config
    from wandb.sdk.wandb_run import Run

    if os.environ.get("WANDB_CONSOLE") != "off":
        # Its other ways of capturing write a file themselves.
        os.environ["WANDB_CONSOLE"] = "wrap"
    logging.setLogRecordFactory(_clean_records(logging.getLogRecordFactory()))
    for kind, name, clean in (
        (Run, "_console_callback", redact.line),
        (Run, "_console_raw_callback", redact.line),
        (Run, "_log", redact.data),
        (Config, "_sanitize", redact.data),
    ):
        original = getattr(kind, name)
        if not hasattr(original, "redacts"):
            setattr(kind, name, _cleaned(original, clean))


def _clean_records(factory: Callable[..., logging.LogRecord]) -> Callable[..., logging.LogRecord]:
    """A factory that redacts the client's log records, which repeat its arguments."""

    def clean(*values: Any, **named: Any) -> logging.LogRecord:
        record = factory(*values, **named)
        if record.name.partition(".")[0] == "wandb":
            with suppress(TypeError, ValueError):  # arguments that do not fit: the handler reports them
                record.msg, record.args = redact.line(record.getMessage()), ()
        return record

    return clean


def _cleaned(original: Callable[..., Any], clean: Callable[[Any], Any]) -> Callable[..., Any]:
    def redacting(self: Any, *values: Any, **named: Any) -> Any:
        return original(self, *map(clean, values), **{name: clean(value) for name, value in named.items()})

    vars(redacting)["redacts"] = True
    return redacting

"""Advice for Modal's commonest refusals: spend limit, payment method, quota. Pure.

Modal raises them in various classes of errors, so the advice goes by the message, which is shown in any case.
"""

from __future__ import annotations

import re

_USAGE = "https://modal.com/settings/usage"
_ADVICE = (
    (
        r"payment method|credit card|billing (information|details)",
        f"add a payment method to the workspace: {_USAGE}; new workspaces need one for some GPUs",
    ),
    (
        r"spend|budget|out of credits?|credits? (are |is )?(exhausted|used up)|billing (limit|cycle)",
        f"the workspace may spend no more in this billing cycle: raise its limit at {_USAGE}",
    ),
    (
        r"quota|concurren|too many|limit",
        "the workspace's plan allows no more of this at once: wait for other runs to end (vfm runs), take "
        f"fewer GPUs (modal.gpu.count) or another modal.gpu.type, or see the plan at {_USAGE}",
    ),
)


def advice(message: str) -> str:
    """What to do about a message of Modal's; empty where it is none of these refusals."""
    return next((advice for pattern, advice in _ADVICE if re.search(pattern, message, re.IGNORECASE)), "")


UPDATE_CLIENT = "the project pins Modal's client: git pull, then pip install -e . in the project's folder"
"""What to do where Modal requires a newer client. Upgrading it by hand would break the pin."""

"""What to do about Modal's commonest refusals: of a spend limit, a payment method, a quota.

Pure. Modal says them in one class of error or another, so its words decide what is advised; what it says is
shown in any case.
"""

from __future__ import annotations

import re

_USAGE = "https://modal.com/settings/usage"
_ADVICE = (
    (
        r"payment method|credit card|billing (information|details)",
        f"add a payment method to the workspace: {_USAGE}; a new one is asked for it before some GPUs",
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


def advice(said: str) -> str:
    """What to do about what Modal said; empty where these words do not tell."""
    return next((advice for words, advice in _ADVICE if re.search(words, said, re.IGNORECASE)), "")


CLIENT = "the project pins Modal's client: git pull, then pip install -e . in the project's folder"
"""What to do where Modal wants a newer client: to install one beside the pin breaks what is pinned."""

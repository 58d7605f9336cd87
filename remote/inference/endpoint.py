"""An OpenAI-compatible service that is evaluated: check it before playing, and explain its refusals.

The key's value is read here and by verifiers' client only, and is kept out of logs, files and errors.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from remote.contract.errors import Hint, VfmError
from remote.contract.spec import ExperimentSpec

HOPELESS = (401, 402, 403, 404)
"""Status codes that every episode would get."""
ANSWER_TIMEOUT = 30.0  # seconds
UNUSED = "unused-by-vllm"
"""Value of the key's variable where there is no key, since clients require one."""


@dataclass(frozen=True)
class Endpoint:
    """One model of one service."""

    api: str
    """Base URL, such as `https://api.example.com/v1`."""
    served_name: str
    """The service's name of the model."""
    key_variable: str

    @classmethod
    def of(cls, spec: ExperimentSpec, model: str) -> Endpoint:
        """The endpoint of a spec with `evaluation.endpoint`; `/v1` is added to a URL without a path."""
        options = spec.evaluation
        assert options.endpoint is not None
        address = options.endpoint.rstrip("/")
        api = address if urlsplit(address).path else f"{address}/v1"
        return cls(api, model, options.endpoint_key)

    @property
    def key(self) -> str:
        """The key's value; empty where there is none."""
        value = os.environ.get(self.key_variable, "")
        return "" if value == UNUSED else value

    def check(self, say: Callable[[str], None]) -> None:
        """Request the list of models, which costs nothing. Raises `VfmError` where the service does not
        answer or refuses the key; a model that is missing from the list is only logged."""
        import httpx

        if not self.key:
            say(f"{self.key_variable} is not set in .env: {self.api} is asked without a key")
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        try:
            reply = httpx.get(f"{self.api}/models", headers=headers, timeout=ANSWER_TIMEOUT)
        except httpx.HTTPError as error:
            raise self._unreachable(f"{type(error).__name__}: {error}") from None
        if reply.status_code in (401, 403):
            raise self.refused(reply.status_code, reply.text)
        listed = _names(reply)
        if listed and self.served_name not in listed:
            say(f"{self.api} lists {len(listed)} models, and no {self.served_name}{_nearest(self, listed)}")

    def refused(self, status: int, text: str) -> VfmError:
        """The failure for a status of `HOPELESS`. `text`: of the service's answer."""
        key = Hint(
            f"put a key of this service into .env as {self.key_variable}, or name another variable",
            "evaluation.endpoint_key",
            self.key_variable,
        )
        name = Hint("name the model as this service calls it", "model.base_model", self.served_name)
        money = Hint("the account behind the key has nothing left: see the service's own pages")
        messages = {
            401: (f"{self.api} refuses the key in {self.key_variable} (HTTP 401)", key),
            402: (f"{self.api} wants to be paid (HTTP 402)", money),
            403: (f"{self.api} lets the key in {self.key_variable} do nothing here (HTTP 403)", key),
            404: (
                f"{self.api} knows no model {self.served_name}, or nothing at this address (HTTP 404)",
                name,
            ),
        }
        message, hint = messages[status]
        return VfmError(message, boundary="vllm", cause=self.censored(text)[:500], hint=hint)

    def hopeless(self, errors: Iterable[Any]) -> VfmError | None:
        """The failure that all episodes would share, from verifiers' errors of one; None: there is none."""
        for error in errors:
            if error.type == "ProviderError" and error.status_code in HOPELESS:
                return self.refused(error.status_code, error.message)
        return None

    def all_failed(self, first: str) -> VfmError:
        """The failure of an evaluation in which no episode succeeded."""
        hint = Hint("see what the service says; where it is busy (429, 503), lower training.concurrency")
        return VfmError(
            f"every episode on {self.api} failed: {first}", boundary="vllm", cause=first, hint=hint
        )

    def censored(self, text: str) -> str:
        """The text without the key, which some services repeat."""
        return text.replace(self.key, "***") if len(self.key) >= 4 else text

    def _unreachable(self, cause: str) -> VfmError:
        hint = Hint("check the address and the network", "evaluation.endpoint", self.api)
        return VfmError(f"{self.api} does not answer", boundary="vllm", cause=cause, hint=hint)


def _names(reply: Any) -> list[str]:
    try:
        return [str(model["id"]) for model in reply.json()["data"]] if reply.status_code == 200 else []
    except (ValueError, KeyError, TypeError):
        return []


def _nearest(endpoint: Endpoint, listed: list[str]) -> str:
    near = difflib.get_close_matches(endpoint.served_name, listed, 1, 0.4)
    return f": did you mean {near[0]}?" if near else f": there is {', '.join(listed[:5])}"

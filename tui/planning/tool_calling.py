"""Choose `vllm.enable_auto_tool_choice` and `tool_call_parser` for a model and an environment.

`remote/contract/tool_parsers.py` knows the parser of each model; an environment's package declares its tools.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from remote.contract.errors import ConfigError, Hint
from remote.contract.record import Kind
from remote.contract.tool_parsers import TOOL_PARSERS, nearest_parser, parser_of
from tui.config.resolve import Resolved
from tui.planning.environments import Environment

AUTO, PARSER = "vllm.enable_auto_tool_choice", "vllm.tool_call_parser"
_ORDER = ("default", "derived", "file", "override", "set")
"""Layers of a config, each overriding those before it."""


@dataclass(frozen=True)
class Tools:
    """The choice of both keys."""

    resolved: Resolved
    """The config with both keys set."""
    text: str = ""
    """`native, parser xlam (set for vf-bfcl-single-turn)`; empty without functions."""
    notices: tuple[str, ...] = ()


def choose_tool_calling(resolved: Resolved, environment: Environment, model: str, kind: Kind) -> Tools:
    """Set the keys that are unset, for this model.

    Raises `ConfigError` for a parser that vLLM lacks, and where vLLM would refuse every request.
    """
    if kind == "evaluate" and resolved.spec.evaluation.endpoint is not None:
        return Tools(resolved)  # the service parses calls itself
    return _Choice(resolved, environment, model).run()


class _Choice:
    """The choice of one launch."""

    def __init__(self, resolved: Resolved, environment: Environment, model: str) -> None:
        self.resolved, self.environment, self.model = resolved, environment, model
        vllm = resolved.spec.vllm
        self.auto, self.parser = vllm.enable_auto_tool_choice, vllm.tool_call_parser
        self.known = parser_of(model)
        declared = environment.declared
        self.has_functions = declared.function_calling
        self.native = declared.native_tools(resolved.spec.training.environment_args)
        self.otherwise = next((f"{key}={value}" for key, value in declared.native_tools_unless.items()), "")
        self.set: dict[str, Any] = {}
        self.notices: list[str] = []

    def run(self) -> Tools:
        self._check_name()
        if not self.native and self.auto is not True:
            self._idle()
            return Tools(
                self.resolved, "described in the prompt" if self.has_functions else "", (*self.notices,)
            )
        if self.auto is False:
            raise self._refusal(
                f"{self._where(AUTO)}{AUTO} = false", Hint("leave it unset", AUTO, False, None)
            )
        if self.auto is None:
            self.set[AUTO] = True
        self._choose_parser()
        return Tools(self._derived(), self._text() if self.native else "", (*self.notices,))

    def _check_name(self) -> None:
        if self.parser is None or self.parser in TOOL_PARSERS:
            return
        near = nearest_parser(self.parser)
        message = (
            f"{self._where(PARSER)}{PARSER} = {self.parser} is none of vLLM's: {', '.join(TOOL_PARSERS)}"
        )
        advice = f"did you mean {near}?" if near else "leave it unset: it is set for the model"
        raise ConfigError(message, hint=Hint(advice, PARSER, self.parser, near))

    def _idle(self) -> None:
        """Notice a parser without effect; `config/resolve.py` does so where auto is false."""
        if self.parser is not None and self.auto is None:
            why = "describes its functions in the prompt" if self.has_functions else "offers no tools"
            self.notices.append(
                f"{self._where(PARSER)}{PARSER} has no effect: {self.environment.spoken} {why}, "
                f"and {AUTO} is unset"
            )

    def _choose_parser(self) -> None:
        if self.parser is None:
            self._take_known()
        elif self.known not in (None, self.parser) and self.native:
            self._of_another_model()

    def _take_known(self) -> None:
        if self.known is not None:
            self.set[PARSER] = self.known
            return
        hint = f"set {PARSER}, where its chat template offers tools"
        if self.otherwise and self.native:
            hint += f"; or training.environment_args.{self.otherwise}, which describes them in the prompt"
        raise self._refusal(f"how {self.model} writes calls is not known here", Hint(hint, PARSER))

    def _of_another_model(self) -> None:
        """A parser of another model: overridden where the model was chosen in a higher layer."""
        where, words = self._where(PARSER), f"{self.model} is read by {self.known}"
        if self._order(PARSER) < self._model_order():
            self.set[PARSER] = self.known
            self.notices.append(
                f"{where}{PARSER} = {self.parser} is for another model: {words}, which is taken "
                f"(--set {PARSER}={self.parser} insists)"
            )
        else:
            self.notices.append(
                f"{where}{PARSER} = {self.parser} will hardly read a call: {words} (leave it unset)"
            )

    def _model_order(self) -> int:
        """The highest layer that decides the model."""
        keys = ["model.base_model", "evaluation.checkpoint"]
        if self.resolved.provenance[keys[0]].layer in ("default", "override"):
            keys.append("training.environment")  # which has a default and an override
        return max(map(self._order, keys))

    def _order(self, key: str) -> int:
        return _ORDER.index(self.resolved.provenance[key].layer)

    def _derived(self) -> Resolved:
        why = self.environment.spoken if self.native else self.model
        return self.resolved.derived(self.set, f"set for {why}") if self.set else self.resolved

    def _text(self) -> str:
        if PARSER in self.set:
            return f"native, parser {self.set[PARSER]} (set for {self.environment.spoken})"
        return f"native, parser {self.parser} ({self.resolved.provenance[PARSER].where})"

    def _where(self, key: str) -> str:
        where = self.resolved.provenance[key].where
        return f"{where}: " if where else ""

    def _refusal(self, reason: str, hint: Hint) -> ConfigError:
        if not self.native:
            return ConfigError(f"{AUTO} needs {PARSER}: {reason}", hint=hint)
        return ConfigError(
            f"{reason}; {self.environment.spoken} offers its functions as a request's tools, and vLLM "
            "refuses every such request unless it can read calls",
            hint=hint,
        )

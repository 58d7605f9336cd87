"""The scripted model, as tests of environments know it."""

from __future__ import annotations

from remote.evaluation.scripted_model import Message, Player, Request, ScriptedModel, tool_call

__all__ = ["Message", "Player", "Request", "ScriptedModel", "tool_call"]

"""The names of tool parsers are those of the image's vLLM, and the shipped choice reads its model's calls."""

from __future__ import annotations

import json

from remote.contract.model_choice import DEFAULT_MODELS
from remote.contract.tool_parsers import TOOL_PARSERS, parser_of

CALLS = [{"name": "add", "arguments": {"a": 1, "b": 2}}, {"name": "neg", "arguments": {"a": 3}}]


def test_the_names_are_vllms() -> None:
    from vllm.tool_parsers import ToolParserManager

    assert set(TOOL_PARSERS) == set(ToolParserManager.list_registered())


def test_the_function_callers_parser_reads_what_it_writes() -> None:
    """xLAM-2 writes its calls as one JSON list (its model card); hermes would read none of them."""
    from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest
    from vllm.tool_parsers import ToolParserManager

    name = parser_of(DEFAULT_MODELS["vf_bfcl_single_turn"])
    assert name is not None
    request = ChatCompletionRequest(messages=[{"role": "user", "content": "?"}])
    found = ToolParserManager.get_tool_parser(name)(Tokenizer()).extract_tool_calls(
        json.dumps(CALLS), request
    )
    read = [(call.function.name, json.loads(call.function.arguments)) for call in found.tool_calls]
    assert read == [(call["name"], call["arguments"]) for call in CALLS]


class Tokenizer:
    """As much of one as a parser of plain text asks for."""

    def get_vocab(self) -> dict[str, int]:
        return {"<tool_call>": 1, "</tool_call>": 2}

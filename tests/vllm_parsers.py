"""What vLLM's own parsers of tool calls find in a text: other people's judges of our formats."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

Call = tuple[str, Any]

# Marks that these parsers look up as tokens.
MARKS = (
    "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>",
    "<|tool_calls_section_begin|>", "<|tool_calls_section_end|>", "<|tool_call_begin|>",
    "<|tool_call_end|>", "<|tool_call_argument_begin|>", "<tool_call>", "</tool_call>",
)  # fmt: skip


class _Tokenizer:
    """Of a tokenizer these parsers need the numbers of some tokens."""

    chat_template = None
    all_special_tokens: tuple[str, ...] = ()
    all_special_ids: tuple[int, ...] = ()

    def get_vocab(self) -> dict[str, int]:
        return {mark: number for number, mark in enumerate(MARKS, 1000)}


def read_by_vllm(name: str, schemas: Mapping[str, Any], text: str) -> tuple[str, list[Call]]:
    """Text and calls with their arguments; skips the test without vLLM.

    Args:
        name: of the parser.
        schemas: the parameters of the functions.
        text: an answer.
    """
    pytest.importorskip("vllm.tool_parsers", reason="vLLM is not installed")
    parsers = importlib.import_module("vllm.tool_parsers")
    protocol = importlib.import_module("vllm.entrypoints.openai.chat_completion.protocol")
    tools = [
        protocol.ChatCompletionToolsParam(
            type="function", function={"name": function, "parameters": schema}
        )
        for function, schema in schemas.items()
    ]
    request = SimpleNamespace(
        tools=tools, tool_choice="auto", skip_special_tokens=False, messages=[]
    )
    parser = parsers.ToolParserManager.get_tool_parser(name)(_Tokenizer(), tools)
    found = parser.extract_tool_calls(text, request)
    calls = [(c.function.name, json.loads(c.function.arguments)) for c in found.tool_calls]
    return found.content or "", calls

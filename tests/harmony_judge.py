"""What OpenAI's own parser makes of an answer in channels: the judge of our format and reader."""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import Iterable
from typing import Any

import pytest

from syntagma.server.harmony_format import MARKS

Call = tuple[str, Any]


@functools.cache
def _encoding() -> Any:
    harmony = pytest.importorskip("openai_harmony", reason="openai_harmony is not installed")
    try:
        return harmony.load_harmony_encoding(harmony.HarmonyEncodingName.HARMONY_GPT_OSS)
    except harmony.HarmonyError as error:
        pytest.skip(f"its vocabulary cannot be had: {error}")


def read_by_openai(pieces: Iterable[str]) -> tuple[str, str, list[Call]]:
    """Reasoning, text and calls with their arguments; skips the test where the parser is missing.

    Args:
        pieces: of an answer behind ``<|start|>assistant``: special tokens, each by itself, and other text.
    """
    encoding = _encoding()
    harmony = importlib.import_module("openai_harmony")
    parser = harmony.StreamableParser(encoding, harmony.Role.ASSISTANT)
    for piece in pieces:
        options = {"allowed_special": "all"} if piece in MARKS else {"disallowed_special": ()}
        for token_id in encoding.encode(piece, **options):
            parser.process(token_id)
    parser.process_eos()
    reasoning: list[str] = []
    content: list[str] = []
    calls: list[Call] = []
    for message in parser.messages:
        said = message.content[0].text
        if message.recipient is not None:
            assert message.channel == "commentary"
            assert message.content_type in ("json", "<|constrain|>json")
            calls.append((message.recipient.removeprefix("functions."), json.loads(said)))
        else:
            assert message.channel in ("analysis", "commentary", "final")
            (reasoning if message.channel == "analysis" else content).append(said)
    return "\n".join(filter(None, reasoning)), "\n".join(filter(None, content)), calls

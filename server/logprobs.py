"""Log-probabilities in OpenAI's two shapes.

They are the model's own, before the mask; ``forced`` marks tokens that were the grammar's only one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from syntagma.decoding.engine import TokenLogprob

# JSON has no -inf; OpenAI sends this for what is as good as impossible.
MIN_LOGPROB = -9999.0


def chat_logprobs(entries: Sequence[TokenLogprob]) -> dict[str, Any]:
    """The ``logprobs`` of a chat choice or chunk."""
    content = [
        _chat_entry(entry.token_bytes, entry.logprob)
        | {
            "forced": entry.is_forced,
            "top_logprobs": [_chat_entry(text, logprob) for _, text, logprob in entry.top],
        }
        for entry in entries
    ]
    return {"content": content, "refusal": None}


def completion_logprobs(entries: Sequence[TokenLogprob], text_offset: int) -> dict[str, Any]:
    """The ``logprobs`` of a completion choice or chunk, its first token at `text_offset`."""
    offsets = []
    for entry in entries:
        offsets.append(text_offset)
        text_offset += len(_readable(entry.token_bytes))
    return {
        "tokens": [token_text(entry.token_bytes) for entry in entries],
        "token_logprobs": [_finite(entry.logprob) for entry in entries],
        "top_logprobs": [_by_text(entry) for entry in entries],
        "text_offset": offsets,
        "forced": [entry.is_forced for entry in entries],
    }


def text_length(entries: Sequence[TokenLogprob]) -> int:
    """Characters of the tokens, as `completion_logprobs` counts them."""
    return sum(len(_readable(entry.token_bytes)) for entry in entries)


def token_text(token: bytes) -> str:
    """A token as text; part of a character as ``bytes:\\xe2\\x82``, so that no two look alike."""
    try:
        return token.decode("utf-8")
    except UnicodeDecodeError:
        return "bytes:" + "".join(f"\\x{byte:02x}" for byte in token)


def _by_text(entry: TokenLogprob) -> dict[str, float]:
    by_text: dict[str, float] = {}
    for _, token, logprob in (*entry.top, (entry.token_id, entry.token_bytes, entry.logprob)):
        by_text.setdefault(token_text(token), _finite(logprob))
    return by_text


def _chat_entry(token: bytes, logprob: float) -> dict[str, Any]:
    return {"token": _readable(token), "logprob": _finite(logprob), "bytes": list(token)}


def _readable(token: bytes) -> str:
    return token.decode("utf-8", errors="replace")


def _finite(logprob: float) -> float:
    return MIN_LOGPROB if math.isnan(logprob) else max(logprob, MIN_LOGPROB)

"""The vocabulary of a model that vLLM serves, the same in every process that asks."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from syntagma.grammar import Vocabulary


def vocabulary_of(model_config: Any, tokenizer: Any) -> Vocabulary:
    """Read the tokens, as wide as the model's logits.

    Args:
        model_config: vLLM's `ModelConfig`.
        tokenizer: the one vLLM made for it.

    Raises:
        ValueError: the tokens cannot be read as bytes, or nothing says how an output ends.
    """
    found = model_config.try_get_generation_config().get("eos_token_id")
    stop_ids = set(_as_ids(found)) | set(_as_ids(tokenizer.eos_token_id))
    return Vocabulary.from_tokenizer(
        tokenizer, vocab_size=model_config.get_vocab_size(), stop_ids=stop_ids or None
    )


def _as_ids(given: int | Iterable[int] | None) -> Iterable[int]:
    if given is None:
        return ()
    return (given,) if isinstance(given, int) else given

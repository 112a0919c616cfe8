"""Which drafters an engine has, put together in one place."""

from __future__ import annotations

from collections.abc import Sequence

from syntagma.decoding.draft_store import DraftStore
from syntagma.decoding.drafter import Drafter
from syntagma.decoding.engine import Tokenizer
from syntagma.decoding.suffix_drafters import CorpusDrafter, PromptDrafter
from syntagma.grammar import Vocabulary


def model_free_drafters(
    vocabulary: Vocabulary, tokenizer: Tokenizer, corpus: Sequence[str] = ()
) -> list[Drafter]:
    """Every source that needs no second model.

    Args:
        vocabulary, tokenizer: of the target model.
        corpus: texts that outputs are likely to resemble, for all tenants.
    """
    documents = [tokenizer.encode(text, add_special_tokens=False) for text in corpus]
    store = DraftStore(vocabulary.hash, corpus=documents)
    return [PromptDrafter(), CorpusDrafter(store)]

"""Drafts of what the grammar leaves no choice about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from syntagma.decoding.draft_tree import EMPTY_TREE, DraftTree, Source
from syntagma.decoding.drafter import DraftScope, DraftSession
from syntagma.decoding.forced_text import TAIL_BYTES, ForcedText
from syntagma.decoding.matcher import Matcher
from syntagma.grammar import Vocabulary

PROBABILITY: Final = 0.97
"""That a model writes a forced token as the tokenizer does."""


class ForcedDrafter:
    """Proposes forced text; nothing without a grammar."""

    source: Final[Source] = "forced"

    def __init__(self, vocabulary: Vocabulary, forced_text: ForcedText) -> None:
        self._vocabulary = vocabulary
        self._forced_text = forced_text

    def begin(self, prompt_token_ids: Sequence[int], scope: DraftScope) -> DraftSession:
        return ForcedSession(self._vocabulary, self._forced_text)


class ForcedSession(DraftSession):
    """The end of one output's text."""

    def __init__(self, vocabulary: Vocabulary, forced_text: ForcedText) -> None:
        self._vocabulary = vocabulary
        self._forced_text = forced_text
        self._tail = b""

    def extend(self, token_ids: Sequence[int]) -> None:
        new = b"".join(map(self._vocabulary.token_bytes, token_ids))
        self._tail = (self._tail + new)[-TAIL_BYTES:]

    def propose(self, matcher: Matcher | None, *, max_nodes: int, max_depth: int) -> DraftTree:
        if matcher is None:
            return EMPTY_TREE
        token_ids = self._forced_text.tokens_after(matcher, self._tail, min(max_nodes, max_depth))
        return DraftTree.chain(token_ids, [PROBABILITY] * len(token_ids), "forced")

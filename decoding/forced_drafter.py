"""Drafts of what the grammar leaves no choice about."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from syntagma.decoding.draft_tree import EMPTY_TREE, DraftTree, Source
from syntagma.decoding.drafter import DraftScope, DraftSession
from syntagma.decoding.forced_text import TAIL_BYTES, ForcedText
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.tree_pruning import Guess
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
        self._tail = self._tail_with(token_ids)

    def propose(self, matcher: Matcher | None, *, max_nodes: int, max_depth: int) -> DraftTree:
        if matcher is None:
            return EMPTY_TREE
        token_ids = self._forced_text.tokens_after(matcher, self._tail, min(max_nodes, max_depth))
        return DraftTree.chain(token_ids, [PROBABILITY] * len(token_ids), "forced")

    def after(
        self, matcher: Matcher, path: Sequence[int], *, max_tokens: int, path_probability: float
    ) -> list[Guess]:
        token_ids = self._forced_text.tokens_after(matcher, self._tail_with(path), max_tokens)
        return [Guess(token_id, PROBABILITY, "forced") for token_id in token_ids]

    def _tail_with(self, token_ids: Sequence[int]) -> bytes:
        """The end of the text with these tokens behind it."""
        new = b"".join(map(self._vocabulary.token_bytes, token_ids))
        return (self._tail + new)[-TAIL_BYTES:]

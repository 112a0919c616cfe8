"""How a draft goes on behind its leaves: with what the grammar forces, and with habits."""

from __future__ import annotations

import math
from typing import Final

from syntagma.decoding.forced_drafter import PROBABILITY
from syntagma.decoding.forced_text import ForcedText
from syntagma.decoding.habits import Habits
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.tree_pruning import Guess
from syntagma.grammar import Vocabulary

MIN_PATH: Final = 0.3
"""Habits are followed as long as the whole chain is as likely as this to stand."""


class Continuation:
    """Goes on from a place in the grammar as long as something is likely there.

    Args:
        vocabulary: of the model.
        forced_text, habits: what is asked, in this order; None: is not.
    """

    def __init__(
        self, vocabulary: Vocabulary, forced_text: ForcedText | None, habits: Habits | None
    ) -> None:
        self._vocabulary = vocabulary
        self._forced_text = forced_text
        self._habits = habits

    def after(self, matcher: Matcher, tail: bytes, max_tokens: int) -> list[Guess]:
        """The likeliest chain of tokens, all of which the grammar allows.

        Args:
            matcher: at the place, left as it was found.
            tail: the end of the text before it.
            max_tokens: of the chain.
        """
        found: list[Guess] = []
        path = 1.0
        while len(found) < max_tokens and not matcher.is_terminated():
            new = self._forced(matcher, tail, max_tokens - len(found)) or self._habit(matcher, path)
            if not new or not matcher.accept_tokens([guess.token_id for guess in new]):
                break  # habits of another mask with the same hash may be refused
            path *= math.prod(guess.probability for guess in new)
            tail += b"".join(self._vocabulary.token_bytes(guess.token_id) for guess in new)
            found += new
        matcher.rollback(len(found))
        return found

    def _forced(self, matcher: Matcher, tail: bytes, max_tokens: int) -> list[Guess]:
        if self._forced_text is None:
            return []
        token_ids = self._forced_text.tokens_after(matcher, tail, max_tokens)
        return [Guess(token_id, PROBABILITY, "forced") for token_id in token_ids]

    def _habit(self, matcher: Matcher, path: float) -> list[Guess]:
        likely = [] if self._habits is None else self._habits.likely(matcher)[:1]
        return [
            Guess(token_id, probability, "habit")
            for token_id, probability in likely
            if path * probability >= MIN_PATH
        ]

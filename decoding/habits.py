"""What outputs have gone on with where the grammar left the same choice.

A choice comes again in other places and in other grammars: behind a key the same tokens may follow, whichever
key it was, and a model has its habit there (``": "`` and not ``" : "``). The mask itself tells such places
apart, so what has been chosen under a mask is counted, and drafted where the mask comes again. Where nearly
everything is allowed, as inside a string, the mask says nothing; such masks are passed over.

Counts by parser state are DOMINO's drafts (Beurer-Kellner et al., 2024, arXiv:2403.06988, section 3.5); here the
context is the mask, so that grammars share it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from syntagma.decoding.matcher import Matcher
from syntagma.grammar import Vocabulary

MAX_SHARE: Final = 0.25
"""Of a vocabulary; masks that allow more of it are too wide to tell anything."""

MAX_WEIGHT: Final = 32.0
"""Weights are halved when they add up to this, so that habits can change."""

DOUBT: Final = 1.0
"""Weight of what has never been chosen."""

MAX_MASKS: Final = 16_384
"""Of the masks that were met the latest are remembered."""

MASK_BYTES: Final = 600


class Habits:
    """Of each mask that was met, the tokens chosen under it; not safe to use from several threads at once.

    Args:
        vocabulary: of the model.
    """

    def __init__(self, vocabulary: Vocabulary) -> None:
        self._max_allowed = MAX_SHARE * vocabulary.size
        self._bitmask = np.zeros((1, vocabulary.num_words), np.int32)
        self._weights: dict[int, dict[int, float]] = {}

    @property
    def num_bytes(self) -> int:
        """Estimate of the memory taken."""
        return self._bitmask.nbytes + MASK_BYTES * len(self._weights)

    def learn(self, matcher: Matcher, token_ids: Sequence[int]) -> None:
        """The output has come to where the matcher stands by these tokens; the matcher is left as it was found."""
        before = matcher.fork()
        before.rollback(len(token_ids))
        for token_id in token_ids:
            key = self._key(before)
            if key is not None:
                self._count(key, token_id)
            before.accept_token(token_id)

    def _count(self, key: int, token_id: int) -> None:
        weights = self._weights.pop(key, {})
        weights[token_id] = weights.get(token_id, 0.0) + 1.0
        if sum(weights.values()) > MAX_WEIGHT:
            weights = {token: weight / 2 for token, weight in weights.items() if weight > 1}
        self._weights[key] = weights  # behind all others: it was met last
        if len(self._weights) > MAX_MASKS:
            del self._weights[next(iter(self._weights))]

    def likely(self, matcher: Matcher) -> list[tuple[int, float]]:
        """What has been chosen where the matcher stands: tokens, likeliest first, and how likely each is."""
        key = self._key(matcher)
        weights = self._weights.get(key) if key is not None else None
        if weights is None:
            return []
        total = sum(weights.values()) + DOUBT
        ranked = sorted(weights.items(), key=lambda choice: -choice[1])
        return [(token_id, weight / total) for token_id, weight in ranked]

    def _key(self, matcher: Matcher) -> int | None:
        """A hash of the mask; None if it is wide."""
        matcher.fill_bitmask(self._bitmask)
        row = self._bitmask[0]
        if int(np.bitwise_count(row.view(np.uint32)).sum()) > self._max_allowed:
            return None
        return hash(row.tobytes())

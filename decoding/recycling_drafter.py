"""Token recycling: what the model last held likely after each token.

After Luo et al. (2024), with estimates of the model's own and the tree grown by them instead of a fixed
template. The rows say something of the texts that were written, so each scope has its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, SOURCES, DraftTree, Source
from syntagma.decoding.drafter import DraftScope, DraftSession
from syntagma.decoding.growing_lru import GrowingLru
from syntagma.decoding.matcher import Matcher

NUM_SUCCESSORS: Final = 8
"""Kept for each token, the likeliest ones."""

ROW_BYTES: Final = 400
DEFAULT_MAX_BYTES: Final = 32 << 20
MIN_PATH: Final = 0.02


class Successors:
    """Of each token that the model has read: the tokens it held likely next, and how likely."""

    def __init__(self) -> None:
        self.rows: dict[int, list[tuple[int, float]]] = {}

    @property
    def num_bytes(self) -> int:
        """Estimate of the memory taken."""
        return 500 + ROW_BYTES * len(self.rows)


class RecyclingDrafter:
    """Grows trees through what followed each token when the model last read it.

    Args:
        max_bytes: bound on all scopes' rows; those not used for longest go first.
    """

    source: Final[Source] = "recycling"

    def __init__(self, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._scopes: GrowingLru[DraftScope, Successors] = GrowingLru(
            max_bytes, lambda successors: successors.num_bytes
        )

    def begin(self, prompt_token_ids: Sequence[int], scope: DraftScope) -> DraftSession:
        return RecyclingSession(self._scopes, scope, prompt_token_ids)

    @property
    def num_bytes(self) -> int:
        """Memory of all scopes' rows."""
        return self._scopes.num_bytes


class RecyclingSession(DraftSession):
    """The rows of one scope, seen from the output's last token."""

    def __init__(
        self,
        scopes: GrowingLru[DraftScope, Successors],
        scope: DraftScope,
        prompt_token_ids: Sequence[int],
    ) -> None:
        self._scopes = scopes
        self._scope = scope
        self._successors = scopes.get_or_make(scope, Successors)
        self._last = prompt_token_ids[-1] if prompt_token_ids else None

    def extend(self, token_ids: Sequence[int]) -> None:
        if token_ids:
            self._last = token_ids[-1]

    def propose(self, matcher: Matcher | None, *, max_nodes: int, max_depth: int) -> DraftTree:
        rows = self._successors.rows
        if self._last not in rows:
            return EMPTY_TREE
        token_ids: list[int] = []
        parents: list[int] = []
        probabilities: list[float] = []
        # Level by level; of each the likeliest paths, as OPT-Tree does.
        level = [(ROOT, self._last, 1.0)]
        for _ in range(max_depth):
            candidates = [
                (path * probability, parent, token_id, probability)
                for parent, token, path in level
                for token_id, probability in rows.get(token, ())
                if path * probability >= MIN_PATH
            ]
            candidates.sort(key=lambda candidate: -candidate[0])
            level = []
            for path, parent, token_id, probability in candidates[: max_nodes - len(token_ids)]:
                level.append((len(token_ids), token_id, path))
                token_ids.append(token_id)
                parents.append(parent)
                probabilities.append(probability)
        return DraftTree(
            token_ids=np.array(token_ids, np.int32),
            parents=np.array(parents, np.int32),
            probabilities=np.array(probabilities, np.float64),
            sources=np.full(len(token_ids), SOURCES.index("recycling"), np.int8),
        )

    def learn(
        self,
        token_ids: Sequence[int],
        successors: NDArray[np.int32],
        probabilities: NDArray[np.float64],
    ) -> None:
        rows = self._successors.rows
        before = len(rows)
        kept = successors[:, :NUM_SUCCESSORS].tolist()
        weights = probabilities[:, :NUM_SUCCESSORS].tolist()
        for token_id, next_ids, likely in zip(token_ids, kept, weights, strict=True):
            rows[token_id] = list(zip(next_ids, likely, strict=True))
        if len(rows) != before:
            self._scopes.note_growth(self._scope, self._successors)

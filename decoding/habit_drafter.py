"""Drafts from habits: what outputs of a tenant have gone on with under the same mask, whatever the grammar."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from syntagma.decoding.draft_tree import EMPTY_TREE, ROOT, SOURCES, DraftTree, Source
from syntagma.decoding.drafter import DraftScope, DraftSession
from syntagma.decoding.growing_lru import GrowingLru
from syntagma.decoding.habits import Habits
from syntagma.decoding.matcher import Matcher
from syntagma.decoding.tree_pruning import Guess
from syntagma.grammar import Vocabulary

NUM_CHOICES: Final = 4
"""Drafted for the next token, the likeliest ones; what follows them is left to `continue_leaf`."""

MIN_PATH: Final = 0.3
"""Habits are followed behind a leaf as long as the whole chain there is as likely as this to stand."""

DEFAULT_MAX_BYTES: Final = 64 << 20


class HabitDrafter:
    """Proposes what was chosen before; nothing without a grammar.

    Args:
        vocabulary: of the model.
        max_bytes: bound on the habits of all tenants; those not met for longest go first.
    """

    source: Final[Source] = "habit"

    def __init__(self, vocabulary: Vocabulary, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self._vocabulary = vocabulary
        self._tenants: GrowingLru[str, Habits] = GrowingLru(
            max_bytes, lambda habits: habits.num_bytes
        )

    def begin(self, prompt_token_ids: Sequence[int], scope: DraftScope) -> HabitSession:
        habits = self._tenants.get_or_make(scope.tenant, lambda: Habits(self._vocabulary))
        return HabitSession(self._tenants, scope.tenant, habits)


class HabitSession(DraftSession):
    """One output's place among its tenant's habits."""

    def __init__(self, tenants: GrowingLru[str, Habits], tenant: str, habits: Habits) -> None:
        self._habits = habits
        self._tenants = tenants
        self._tenant = tenant
        self._matcher: Matcher | None = None
        self._new: list[int] = []

    def extend(self, token_ids: Sequence[int]) -> None:
        self._new += token_ids

    def propose(self, matcher: Matcher | None, *, max_nodes: int, max_depth: int) -> DraftTree:
        if matcher is None:
            return EMPTY_TREE
        self._matcher = matcher
        self._take_in()
        likely = self._habits.likely(matcher)[: min(NUM_CHOICES, max_nodes)]
        return DraftTree(
            token_ids=np.array([token_id for token_id, _ in likely], np.int32),
            parents=np.full(len(likely), ROOT, np.int32),
            probabilities=np.array([probability for _, probability in likely], np.float64),
            sources=np.full(len(likely), SOURCES.index("habit"), np.int8),
        )

    def after(
        self, matcher: Matcher, path: Sequence[int], *, max_tokens: int, path_probability: float
    ) -> list[Guess]:
        return [
            Guess(token_id, probability, "habit")
            for token_id, probability in self._habits.likely(matcher)[:1]
            if path_probability * probability >= MIN_PATH
        ]

    def finish(self) -> None:
        self._take_in()
        self._tenants.note_growth(self._tenant, self._habits)

    def _take_in(self) -> None:
        """Count the latest tokens, whose masks the matcher can go back to."""
        if self._matcher is not None and self._matcher.num_tokens >= len(self._new):
            self._habits.learn(self._matcher, self._new)
        self._new = []

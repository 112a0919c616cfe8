"""How often matches in earlier text know the next token, by their length."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from syntagma.decoding.drafter import DraftScope
from syntagma.decoding.suffix_kernels import NUM_CLASSES

INITIAL_COVERAGE = (0.30, 0.45, 0.55, 0.65, 0.75, 0.80, 0.85, 0.90, 0.93, 0.95)
"""Before anything was seen."""

PRIOR_WEIGHT: Final = 8.0
MAX_WEIGHT: Final = 64.0

REMEMBERED_WEIGHT: Final = 24.0
"""What earlier outputs have shown counts as so many observations at most."""


class Coverage:
    """Learned from one output as it goes on.

    Attributes:
        tally: float64[NUM_CLASSES, 2], how often the token was known, and how often it was looked for; kernels
            count here.
    """

    def __init__(self, tally: NDArray[np.float64] | None = None) -> None:
        self.tally = np.empty((NUM_CLASSES, 2)) if tally is None else tally.copy()
        if tally is None:
            self.tally[:, 0] = np.multiply(INITIAL_COVERAGE, PRIOR_WEIGHT)
            self.tally[:, 1] = PRIOR_WEIGHT

    @property
    def shares(self) -> NDArray[np.float64]:
        """float64[NUM_CLASSES]; old observations lose weight."""
        full = self.tally[:, 1] > MAX_WEIGHT
        self.tally[full] *= 0.5
        return np.asarray(self.tally[:, 0] / self.tally[:, 1], np.float64)


class CoverageMemory:
    """What outputs begin with: what earlier ones have shown, with a grammar and without one apart.

    These are a few rates, over all tenants; they tell nothing of any text. May be used from any thread:
    arrays here are replaced and never changed.
    """

    def __init__(self) -> None:
        self._tallies: dict[bool, NDArray[np.float64]] = {}

    def begin(self, scope: DraftScope) -> Coverage:
        """The coverage that an output starts from."""
        return Coverage(self._tallies.get(bool(scope.grammar_key)))

    def remember(self, scope: DraftScope, coverage: Coverage) -> None:
        """An output has ended."""
        tally = coverage.tally
        weights = np.minimum(1.0, REMEMBERED_WEIGHT / tally[:, 1:])
        self._tallies[bool(scope.grammar_key)] = tally * weights

"""What a step of the model costs by the number of drafted tokens, learned from steps as they come."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

DECAY: Final = 0.95
"""A step's weight falls by this with each later step of about as many tokens."""

FADING: Final = 0.98
"""And by this with each other step."""

MIN_WEIGHT: Final = 0.05
"""What was measured so long ago is forgotten: the machine may have been busier then, and a size thought too dear
is never tried again."""

PRIOR_SLOPE: Final = 0.02
"""Before anything is known, each drafted token is taken to cost this share of a step without any."""


class StepCosts:
    """Costs are means over steps of about equal size, straight lines between, never falling.

    No clock in here: the engine measures. Not locked: one thread owns it.

    Args:
        max_nodes: drafted tokens in one step, at most.
    """

    def __init__(self, max_nodes: int) -> None:
        self._sizes = np.arange(max_nodes + 1)
        # Classes 0, 1, 2, 3-4, 5-8, 9-16, ...
        self._class_of = np.array([_size_class(n) for n in range(max_nodes + 1)], np.int64)
        num_classes = int(self._class_of[-1]) + 1
        # By class: weights, and weighted sums of sizes and of seconds.
        self._sums = np.zeros((3, num_classes))
        self._costs: NDArray[np.float64] | None = None

    def add(self, num_drafted: int, seconds: float) -> None:
        """One step that verified so many drafted tokens took so long, drafting included."""
        k = self._class_of[num_drafted]
        faded = DECAY * self._sums[:, k]
        self._sums *= FADING
        self._sums[:, k] = faded
        self._sums[:, k] += 1.0, num_drafted, seconds
        self._costs = None

    @property
    def costs(self) -> NDArray[np.float64]:
        """float64[max_nodes + 1]: expected seconds of a step by its number of drafted tokens."""
        if self._costs is None:
            self._costs = self._fit()
        return self._costs

    def _fit(self) -> NDArray[np.float64]:
        weights = self._sums[0]
        known = np.flatnonzero(weights > MIN_WEIGHT)
        if known.size == 0:
            return np.asarray(1.0 + PRIOR_SLOPE * self._sizes, np.float64)
        _, sizes, seconds = self._sums[:, known] / weights[known]
        seconds = np.maximum.accumulate(seconds)
        costs = np.interp(self._sizes, sizes, seconds)
        # Beyond what was tried, and before it, as if it went on at the prior slope.
        slope = PRIOR_SLOPE * seconds[0] / (1.0 + PRIOR_SLOPE * sizes[0])
        beyond = np.maximum(self._sizes - sizes[-1], 0.0)
        before = np.maximum(sizes[0] - self._sizes, 0.0)
        return np.asarray(costs + slope * (beyond - before), np.float64)


def _size_class(num_drafted: int) -> int:
    return 0 if num_drafted == 0 else 1 + (num_drafted - 1).bit_length()

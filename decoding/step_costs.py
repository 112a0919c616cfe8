"""What a step of the model costs by the number of drafted tokens, learned from steps as they come."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

DECAY = 0.95
"""A step's weight falls by this with each later step of about as many tokens."""

PRIOR_SLOPE = 0.02
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
        self._weight = np.zeros(num_classes)
        self._size = np.zeros(num_classes)
        self._seconds = np.zeros(num_classes)
        self._costs: NDArray[np.float64] | None = None

    def add(self, num_drafted: int, seconds: float) -> None:
        """One step that verified so many drafted tokens took so long, drafting included."""
        k = self._class_of[num_drafted]
        for sums, value in (
            (self._weight, 1.0),
            (self._size, float(num_drafted)),
            (self._seconds, seconds),
        ):
            sums[k] = DECAY * sums[k] + value
        self._costs = None

    @property
    def costs(self) -> NDArray[np.float64]:
        """float64[max_nodes + 1]: expected seconds of a step by its number of drafted tokens."""
        if self._costs is None:
            self._costs = self._fit()
        return self._costs

    def _fit(self) -> NDArray[np.float64]:
        known = np.flatnonzero(self._weight)
        if known.size == 0:
            return np.asarray(1.0 + PRIOR_SLOPE * self._sizes, np.float64)
        sizes = self._size[known] / self._weight[known]
        seconds = np.maximum.accumulate(self._seconds[known] / self._weight[known])
        costs = np.interp(self._sizes, sizes, seconds)
        # Beyond what was tried, and before it, as if it went on at the prior slope.
        slope = PRIOR_SLOPE * seconds[0] / (1.0 + PRIOR_SLOPE * sizes[0])
        beyond = np.maximum(self._sizes - sizes[-1], 0.0)
        before = np.maximum(sizes[0] - self._sizes, 0.0)
        return np.asarray(costs + slope * (beyond - before), np.float64)


def _size_class(num_drafted: int) -> int:
    return 0 if num_drafted == 0 else 1 + (num_drafted - 1).bit_length()

"""Append-only numpy arrays that kernels can read while they grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from syntagma.grammar.kernel_types import AnyArray


class Growable:
    """An array with spare capacity; ``data`` is the whole buffer, ``size`` how much is in use.

    A kernel that holds an old buffer still sees everything that was there when it took it.
    """

    def __init__(self, dtype: DTypeLike, *, width: int | None = None, capacity: int = 256) -> None:
        shape = capacity if width is None else (capacity, width)
        self.data: AnyArray = np.zeros(shape, dtype)
        self.size = 0

    def reserve(self, capacity: int) -> None:
        """Have room for so many rows, in memory that is present already; see `row_memory`."""
        if capacity > len(self.data):
            bigger = np.empty((capacity, *self.data.shape[1:]), self.data.dtype)
            bigger.fill(0)
            bigger[: self.size] = self.data[: self.size]
            self.data = bigger

    def extend(self, values: ArrayLike) -> int:
        """Append rows and return the index of the first."""
        rows = np.asarray(values, self.data.dtype)
        first, end = self.size, self.size + len(rows)
        if end > len(self.data):
            bigger = np.zeros((max(end, 2 * len(self.data)), *self.data.shape[1:]), self.data.dtype)
            bigger[:first] = self.data[:first]
            self.data = bigger
        self.data[first:end] = rows
        self.size = end
        return first

    def append(self, value: int | NDArray[Any]) -> int:
        """Append one row and return its index."""
        return self.extend(np.asarray(value)[np.newaxis])

"""Flat tables that kernels append to, and what Python needs to read them and let them grow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from syntagma.grammar.array_context import ArrayContext
from syntagma.grammar.kernel_types import Int32Array, Int64Array, kernel
from syntagma.grammar.parser_arrays import EMPTY, FIRST_PAIR, LAST_PAIR
from syntagma.grammar.row_set_kernels import slot_of


class Arenas:
    """Tables of int32 in a context, all cells -1 at first, and how many rows of each are in use.

    Tables that grow are replaced, so those taken before go on to fit together: they show what was there
    until then. Not locked: while a kernel runs with the context, nothing may grow.

    Attributes:
        context: has the tables at the places 0, 1, ...
        counts: int64, for each table the rows in use, then for each the rows that a kernel has wanted, then
            whatever else the kernels count.
        count: the same, for reading and writing single numbers.
        cells: each table's cells in one row, for reading and writing single numbers: several times as fast as
            through an array.
        num_bytes: memory of the tables.

    Args:
        widths: columns of each table.
        capacities: rows of each table at first.
        context_size: places of the context.
        num_counts: size of ``counts``.
    """

    def __init__(
        self, widths: Sequence[int], capacities: Sequence[int], context_size: int, num_counts: int
    ) -> None:
        self._widths = widths
        self.context = ArrayContext(context_size)
        self.counts: Int64Array = np.zeros(num_counts, np.int64)
        self.count: memoryview = self.counts.data
        sizes = [width * rows for width, rows in zip(widths, capacities, strict=True)]
        # One piece of memory for all: dozens of small arrays are what a new grammar would wait for.
        memory = np.full(sum(sizes), EMPTY, np.int32)
        self.context.put_parts(0, memory, sizes)
        self.num_bytes = memory.nbytes
        cells = memory.data
        self.cells: list[memoryview] = []
        begin = 0
        for size in sizes:
            self.cells.append(cells[begin : begin + size])
            begin += size

    def rows(self, place: int) -> Int32Array:
        """int32[capacity, width]: a table."""
        return np.frombuffer(self.cells[place], np.int32).reshape(-1, self._widths[place])

    def capacity(self, place: int) -> int:
        """Rows of a table."""
        return len(self.cells[place]) // self._widths[place]

    def grow(self) -> list[int]:
        """Let tables have as many rows as are wanted; the places of those that have grown."""
        grown = []
        for place, width in enumerate(self._widths):
            wanted = self.count[len(self._widths) + place]
            capacity = self.capacity(place)
            if wanted > capacity:
                bigger = np.full(max(wanted, 2 * capacity) * width, EMPTY, np.int32)
                bigger[: capacity * width] = self.cells[place]
                self.num_bytes += bigger.nbytes - self.cells[place].nbytes
                self.context.put(place, (bigger,))
                self.cells[place] = bigger.data
                grown.append(place)
        return grown


def slots_for(capacity: int) -> Int32Array:
    """An empty hash table for so many sets."""
    return np.full(2 << max(capacity - 1, 1).bit_length(), EMPTY, np.int32)


@kernel
def enter_sets(
    sets: Int32Array, members: Int32Array, width: int, first: int, count: int, slots: Int32Array
) -> None:
    """Enter sets that a hash table does not have yet; of equal ones the first.

    Args:
        sets: int32[N, *]: those from ``first`` on, before ``count``; see `row_set_kernels.slot_of`.
        members: int32[M, *], their rows, of which the first ``width`` columns count.
        slots: int32, the hash table.
    """
    for number in range(first, count):
        begin = sets[number, FIRST_PAIR]
        size = sets[number, LAST_PAIR] - begin
        slot = slot_of(members, begin, size, 0, width, sets, members, slots)
        if slots[slot] == EMPTY:
            slots[slot] = number

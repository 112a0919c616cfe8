"""Memory for rows, in small pages.

A row is written at once when it is first needed, while a token is waiting. Where the system hands out
memory in huge pages, one row in a hundred would wait for two megabytes to be cleared (milliseconds).
"""

from __future__ import annotations

import mmap

import numpy as np

from syntagma.grammar.kernel_types import Int32Array

ROWS_AT_ONCE = 64


def allocate_rows(count: int, num_words: int) -> Int32Array:
    """int32[count, num_words] of zeros; takes memory as it is written to."""
    block = mmap.mmap(-1, max(1, 4 * count * num_words))
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        block.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(block, np.int32, count * num_words).reshape(count, num_words)


class RowMemory:
    """Hands out zeroed rows, some from each block; a block goes when the last of its rows does."""

    def __init__(self, num_words: int) -> None:
        self._num_words = num_words
        self._block = allocate_rows(0, num_words)
        self._num_used = 0

    def row(self) -> Int32Array:
        """int32[num_words] of zeros."""
        if self._num_used == len(self._block):
            self._block = allocate_rows(ROWS_AT_ONCE, self._num_words)
            self._num_used = 0
        self._num_used += 1
        row: Int32Array = self._block[self._num_used - 1]
        return row

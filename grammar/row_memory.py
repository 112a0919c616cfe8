"""Memory for rows that has been touched before a token waits for it.

The first write to a page of fresh memory costs tens of microseconds on a virtual machine, as much as
computing a row. So rows come from blocks that are written once at start, and a block that nobody refers
to any more is used again.
"""

from __future__ import annotations

import mmap
import weakref

import numpy as np

from syntagma.grammar.kernel_types import Int32Array

ROWS_AT_ONCE = 64


def allocate_rows(count: int, num_words: int) -> Int32Array:
    """int32[count, num_words] of zeros, in memory that is present already."""
    return _rows_of(_touched(4 * count * num_words), count, num_words)


def _touched(num_bytes: int) -> mmap.mmap:
    block = mmap.mmap(-1, max(1, num_bytes))
    if hasattr(mmap, "MADV_HUGEPAGE"):
        block.madvise(mmap.MADV_HUGEPAGE)
    np.frombuffer(block, np.uint8).fill(0)
    return block


def _rows_of(block: mmap.mmap, count: int, num_words: int) -> Int32Array:
    return np.frombuffer(block, np.int32, count * num_words).reshape(count, num_words)


class RowMemory:
    """Hands out rows, some from each block; a block comes back when the last of its rows is gone.

    Args:
        num_words: int32 words of a row.
        num_rows: how many rows to have ready.
    """

    def __init__(self, num_words: int, num_rows: int) -> None:
        self._num_words = num_words
        num_blocks = -(-num_rows // ROWS_AT_ONCE)
        self._free = [_touched(4 * ROWS_AT_ONCE * num_words) for _ in range(num_blocks)]
        self._rows: list[Int32Array] = []

    def row(self) -> Int32Array:
        """int32[num_words], not cleared."""
        if not self._rows:
            block = self._free.pop() if self._free else _touched(4 * ROWS_AT_ONCE * self._num_words)
            rows = _rows_of(block, ROWS_AT_ONCE, self._num_words)
            # Rows refer to the array that was made of the block, not to one another.
            weakref.finalize(rows.base, self._free.append, block)
            self._rows = list(rows)
        return self._rows.pop()

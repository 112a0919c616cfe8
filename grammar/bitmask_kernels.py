"""Numba kernels on packed rows: bit ``t & 31`` of word ``t >> 5`` is token ``t``."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.kernel_types import Int32Array, Int64Array, kernel, lean_kernel


@lean_kernel
def set_bit(row: Int32Array, token_id: int) -> None:
    """Allow one token."""
    row[token_id >> 5] |= np.int32(1) << np.int32(token_id & 31)


@lean_kernel
def clear_bit(row: Int32Array, token_id: int) -> None:
    """Forbid one token."""
    row[token_id >> 5] &= ~(np.int32(1) << np.int32(token_id & 31))


@kernel
def gather_rows(
    rows: Int32Array, slots: Int32Array, bitmask: Int32Array, targets: Int64Array
) -> None:
    """Copy ``rows[slots[i]]`` to ``bitmask[targets[i]]``, a slot of -1 meaning an empty row."""
    for i in range(slots.size):
        if slots[i] < 0:
            bitmask[targets[i]] = 0
        else:
            bitmask[targets[i]] = rows[slots[i]]

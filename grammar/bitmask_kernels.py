"""Numba kernels on packed rows: bit ``t & 31`` of word ``t >> 5`` is token ``t``."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.kernel_types import Int32Array, lean_kernel


@lean_kernel
def set_bit(row: Int32Array, token_id: int) -> None:
    """Allow one token."""
    row[token_id >> 5] |= np.int32(1) << np.int32(token_id & 31)


@lean_kernel
def clear_bit(row: Int32Array, token_id: int) -> None:
    """Forbid one token."""
    row[token_id >> 5] &= ~(np.int32(1) << np.int32(token_id & 31))

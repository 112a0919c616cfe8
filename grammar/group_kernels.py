"""Numba kernels that find groups of bytes in a token trie; see `byte_groups`."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.bitmask_kernels import set_bit
from syntagma.grammar.kernel_types import Int32Array, Int64Array, UInt8Array, kernel
from syntagma.grammar.lexer_arrays import DEAD_STATE, LexerArrays, next_state


@kernel
def subtree_groups(
    byte: UInt8Array, subtree_end: Int32Array, group_of: UInt8Array
) -> tuple[Int32Array, Int32Array]:
    """Per node of a trie: bytes of the longest path below it, and the groups of bytes below it.

    Returns:
        (height, below), int32[num_nodes]; groups are bits.
    """
    height = np.zeros(byte.size, np.int32)
    below = np.zeros(byte.size, np.int32)
    for node in range(byte.size - 1, -1, -1):
        child = node + 1
        while child < subtree_end[node]:
            height[node] = max(height[node], height[child] + 1)
            below[node] |= below[child] | (1 << group_of[byte[child]])
            child = subtree_end[child]
    return height, below


@kernel
def row_over_groups(
    byte: UInt8Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    below: Int32Array,
    group_of: UInt8Array,
    groups: int,
    row: Int32Array,
) -> None:
    """Allow the tokens all of whose bytes are of the given groups.

    Args:
        byte .. token_ids: the token trie; below: its `subtree_groups`.
        groups: bits.
        row: int32[words], gets a bit for each of the tokens.
    """
    node = 1
    while node < byte.size:
        if (groups >> group_of[byte[node]]) & 1 == 0:
            node = subtree_end[node]
            continue
        # A subtree without other bytes is one slice of tokens.
        behind = subtree_end[node] if below[node] & ~groups == 0 else node + 1
        for t in range(token_start[node], token_start[behind]):
            set_bit(row, token_ids[t])
        node = behind


@kernel
def width_of(lexer: LexerArrays, state: int, top_sizes: Int64Array) -> int:
    """Nodes in the subtrees at a trie's root in which a lexer state is alive.

    Args:
        top_sizes: int64[256], the size of the subtree that a byte enters.
    """
    width = 0
    for byte in range(256):
        if next_state(lexer, state, byte) != DEAD_STATE:
            width += top_sizes[byte]
    return width

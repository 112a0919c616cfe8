"""Numba kernels that tell with which bytes a lexer state can go on, and how far a walk would go.

A walk over a trie asks this at every node that has many children. It is worked out when a walk first
needs it and kept for all grammars of a vocabulary; two threads may work out the same at once.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from syntagma.grammar.kernel_types import Int32Array, UInt8Array, UInt64Array, kernel, lean_kernel
from syntagma.grammar.lexer_arrays import (
    CELL,
    DEAD_STATE,
    FALLBACK,
    KIND,
    LexerArrays,
    dense_root,
    next_state,
)

# Columns of what is known of a lexer state: four words, a bit for each byte with which it goes on;
# then what is known: nothing, these bits, or also whether a walk visits many nodes.
NUM_COLUMNS = 5
KNOWLEDGE = 4
NOT_KNOWN, BYTES_KNOWN, NARROW, WIDE = 0, 1, 2, 3


class ChildTrie(NamedTuple):
    """A trie for walks that visit only some of a node's children.

    Attributes:
        byte, subtree_end, token_start, token_ids: see `trie_kernels`.
        child_start: int32[num_nodes + 1]; the children of node ``i`` are those from
            ``child_start[i]`` to ``child_start[i + 1]``, by byte.
        child_byte, child_node: uint8, int32[num_nodes - 1].
    """

    byte: UInt8Array
    subtree_end: Int32Array
    token_start: Int32Array
    token_ids: Int32Array
    child_start: Int32Array
    child_byte: UInt8Array
    child_node: Int32Array


@kernel
def children(
    byte: UInt8Array, subtree_end: Int32Array
) -> tuple[Int32Array, UInt8Array, Int32Array]:
    """The last three members of a `ChildTrie`."""
    num_nodes = byte.size
    child_start = np.empty(num_nodes + 1, np.int32)
    child_byte = np.empty(num_nodes - 1, np.uint8)
    child_node = np.empty(num_nodes - 1, np.int32)
    count = 0
    for node in range(num_nodes):
        child_start[node] = count
        child = node + 1
        while child < subtree_end[node]:
            child_byte[count] = byte[child]
            child_node[count] = child
            count += 1
            child = subtree_end[child]
    child_start[num_nodes] = count
    return child_start, child_byte, child_node


@lean_kernel
def has_byte(alive: UInt64Array, state: int, byte: int) -> bool:
    """Whether a row of words has a byte's bit."""
    return bool((alive[state, byte >> 6] >> np.uint64(byte & 63)) & np.uint64(1))


@kernel
def know_bytes(lexer: LexerArrays, alive: UInt64Array, state: int) -> None:
    """Work out with which bytes a lexer state goes on, unless that is known.

    Args:
        alive: uint64[N, 5], N larger than any state in reach.
    """
    if alive[state, KNOWLEDGE] != NOT_KNOWN:
        return
    words = np.zeros(4, np.uint64)
    one = np.uint64(1)
    root = dense_root(lexer, state)
    if root != DEAD_STATE:
        cell = lexer.states[root, CELL]
        kind = lexer.states[root, KIND]
        for byte in range(256):
            if lexer.table[cell + lexer.class_maps[kind, byte]] != DEAD_STATE:
                words[byte >> 6] |= one << np.uint64(byte & 63)
    # What is nearest in the chain of fallbacks counts, so the edges of all are asked for anew.
    part = state
    while part != root:
        cell = lexer.states[part, CELL]
        for edge in range(cell, cell - 2 * (lexer.states[part, KIND] + 1), 2):
            byte = lexer.table[edge]
            bit = one << np.uint64(byte & 63)
            if next_state(lexer, state, byte) != DEAD_STATE:
                words[byte >> 6] |= bit
            else:
                words[byte >> 6] &= ~bit
        part = lexer.states[part, FALLBACK]
    # Written whole and the knowledge last, for other threads.
    for w in range(4):
        alive[state, w] = words[w]
    alive[state, KNOWLEDGE] = BYTES_KNOWN


@lean_kernel
def _exceeds(
    trie: ChildTrie,
    lexer: LexerArrays,
    alive: UInt64Array,
    node: int,
    state: int,
    max_width: int,
) -> bool:
    """Whether there are more than ``max_width`` nodes below a node where a state and its successors live."""
    size = 0
    for c in range(trie.child_start[node], trie.child_start[node + 1]):
        if not has_byte(alive, state, trie.child_byte[c]):
            continue
        child = trie.child_node[c]
        size += 1
        after = next_state(lexer, state, trie.child_byte[c])
        if trie.subtree_end[child] > child + 1:
            know_bytes(lexer, alive, after)
            for d in range(trie.child_start[child], trie.child_start[child + 1]):
                if has_byte(alive, after, trie.child_byte[d]):
                    below = trie.child_node[d]
                    size += trie.subtree_end[below] - below
        if size > max_width:
            return True
    return False


@lean_kernel
def is_wide(
    trie: ChildTrie,
    lexer: LexerArrays,
    alive: UInt64Array,
    node: int,
    state: int,
    max_width: int,
) -> bool:
    """Whether a walk from a node of a trie in a lexer state visits more nodes than ``max_width``.

    Looks two bytes ahead and counts the subtrees there whole. A sparse state is as wide as what it
    falls back on, if anything. Remembered for the root, so it must always be the same trie and limit.
    """
    if trie.subtree_end[node] - node <= max_width:
        return False
    root = dense_root(lexer, state)
    if root != DEAD_STATE:
        state = root
    know_bytes(lexer, alive, state)
    if node > 0:
        return _exceeds(trie, lexer, alive, node, state, max_width)
    if alive[state, KNOWLEDGE] >= NARROW:
        return bool(alive[state, KNOWLEDGE] == WIDE)
    found = _exceeds(trie, lexer, alive, node, state, max_width)
    alive[state, KNOWLEDGE] = WIDE if found else NARROW
    return found

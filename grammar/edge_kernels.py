"""Numba kernel that finds where a sparse lexer state is not what it falls back on.

Inside the key of an object that allows any keys, a state is "any other string" but for a few edges towards
declared names. Its row is that of any string, except below the nodes at which those names are complete.
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar.alive_kernels import ChildTrie
from syntagma.grammar.bitmask_kernels import clear_bit, set_bit
from syntagma.grammar.kernel_types import Int32Array, kernel
from syntagma.grammar.lexer_arrays import (
    CELL,
    DEAD_STATE,
    FALLBACK,
    KIND,
    LexerArrays,
    dense_root,
    next_state,
    same_accepts,
)

NO_CHILD = -1


@kernel
def _child(trie: ChildTrie, node: int, byte: int) -> int:
    """The child of a node that a byte leads to, NO_CHILD if there is none."""
    low = trie.child_start[node]
    high = trie.child_start[node + 1]
    while low < high:
        middle = (low + high) >> 1
        if trie.child_byte[middle] < byte:
            low = middle + 1
        else:
            high = middle
    if low < trie.child_start[node + 1] and trie.child_byte[low] == byte:
        found: int = trie.child_node[low]
        return found
    return NO_CHILD


@kernel
def _falls_back_on(lexer: LexerArrays, state: int, base: int) -> bool:
    """Whether a state is sparse, falls back on another in the end and completes the same terminals.

    Never on the dead state, which allows nothing on the way to where they part.
    """
    if state == DEAD_STATE or base == DEAD_STATE or lexer.states[state, KIND] >= 0:
        return False
    return dense_root(lexer, state) == base and same_accepts(lexer, state, base)


@kernel
def differing_nodes(
    trie: ChildTrie,
    lexer: LexerArrays,
    state: int,
    base: int,
    row: Int32Array,
    nodes: Int32Array,
) -> int:
    """Find the nodes of a trie at which a sparse state and what it falls back on part.

    Args:
        state, base: a sparse state and the dense one that it falls back on in the end; both complete
            the same terminals.
        row: int32[words], what the base allows. At the nodes found it is corrected; what is below them
            is cleared.
        nodes: int32[N], gets the nodes, ascending, below which the state's own tokens are to be walked.

    Returns:
        How many there are; more than N if there is no room, and then the row is spoilt.
    """
    num_found = 0
    # Of each node that is waiting: itself, the state there and the base there.
    waiting = np.empty((256, 3), np.int32)
    is_tried = np.zeros(256, np.bool_)
    waiting[0] = (0, state, base)
    num_waiting = 1
    while num_waiting > 0:
        num_waiting -= 1
        node, current, base_there = waiting[num_waiting]
        is_tried[:] = False
        part = current
        while part != base_there and part != DEAD_STATE:
            cell = lexer.states[part, CELL]
            for edge in range(cell, cell - 2 * (lexer.states[part, KIND] + 1), 2):
                byte = lexer.table[edge]
                if is_tried[byte]:
                    continue
                is_tried[byte] = True
                child = _child(trie, node, byte)
                if child == NO_CHILD:
                    continue
                after = next_state(lexer, current, byte)
                base_after = next_state(lexer, base_there, byte)
                if after == base_after:
                    continue
                if _falls_back_on(lexer, after, base_after) and num_waiting < waiting.shape[0]:
                    waiting[num_waiting] = (child, after, base_after)
                    num_waiting += 1
                    continue
                for t in range(trie.token_start[child], trie.token_start[trie.subtree_end[child]]):
                    clear_bit(row, trie.token_ids[t])
                if after == DEAD_STATE:
                    continue
                for t in range(trie.token_start[child], trie.token_start[child + 1]):
                    set_bit(row, trie.token_ids[t])
                if num_found < nodes.size:
                    nodes[num_found] = child
                num_found += 1
            part = lexer.states[part, FALLBACK]
    nodes[: min(num_found, nodes.size)].sort()
    return num_found

"""Numba kernels that tell how long two lexer states behave alike.

A state of a bounded string and the same state of an unbounded one differ on no token that is shorter
than what is left of the bound. Knowing that, a walk that compares the two (`walk_against_base`) skips
almost all of the vocabulary. This is the bounded form of Moore's equivalence (1956).
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar.interior_kernels import DenseTerminal
from syntagma.grammar.kernel_types import BoolArray, Int32Array, UInt8Array, kernel
from syntagma.grammar.lexer_arrays import DEAD_STATE, LexerArrays, next_state

NO_PARTNER = -1
NEVER = 1 << 20


@kernel
def _after(terminal: DenseTerminal, state: int, byte: int) -> int:
    cell = (state - terminal.first_state) * terminal.width + terminal.class_map[byte]
    after: int = terminal.table[cell]
    return after


@kernel
def pair_distances(
    terminal: DenseTerminal,
    state: int,
    base_terminal: DenseTerminal,
    base: int,
    representative: UInt8Array,
    max_steps: int,
) -> tuple[Int32Array, Int32Array]:
    """Read along from two states and find how many bytes it takes to tell the pairs met apart.

    Args:
        terminal, base_terminal: whose states ``state`` and ``base`` are.
        representative: uint8[C], a byte of each joint byte class; bytes left out do not tell apart.
        max_steps: pairs are followed for so many bytes.

    Returns:
        (partner, distance), int32 for each state of the terminal: the state that was first met
        together with it, or NO_PARTNER; and the length of a shortest text after which exactly one of
        the two is alive or complete (NEVER if there is none within reach).
    """
    count = terminal.is_accepting.size
    first = terminal.first_state
    partner = np.full(count, NO_PARTNER, np.int32)
    distance = np.zeros(count, np.int32)
    queue = np.empty(count, np.int32)
    level = np.zeros(count, np.int32)
    queue[0] = state
    partner[state - first] = base
    num_queued = 1
    done = 0
    while done < num_queued:
        left = queue[done]
        right = partner[left - first]
        done += 1
        is_complete = terminal.is_accepting[left - first]
        if is_complete == base_terminal.is_accepting[right - base_terminal.first_state]:
            distance[left - first] = NEVER
        if level[left - first] >= max_steps:
            continue
        for byte in representative:
            left_after = _after(terminal, left, byte)
            right_after = _after(base_terminal, right, byte)
            if left_after == right_after:
                continue
            if left_after == DEAD_STATE or right_after == DEAD_STATE:
                continue
            if partner[left_after - first] == NO_PARTNER:
                partner[left_after - first] = right_after
                level[left_after - first] = level[left - first] + 1
                queue[num_queued] = left_after
                num_queued += 1
    changed = True
    while changed:
        changed = False
        for q in range(num_queued - 1, -1, -1):
            left = queue[q]
            nearest = distance[left - first]
            if nearest <= 1 or level[left - first] >= max_steps:
                continue
            right = partner[left - first]
            for byte in representative:
                left_after = _after(terminal, left, byte)
                right_after = _after(base_terminal, right, byte)
                if left_after == right_after:
                    continue
                after = 0
                if (
                    left_after != DEAD_STATE
                    and right_after != DEAD_STATE
                    and partner[left_after - first] == right_after
                ):
                    after = distance[left_after - first]
                nearest = min(nearest, after + 1)
                if nearest == 1:
                    break
            if nearest < distance[left - first]:
                distance[left - first] = nearest
                changed = True
    return partner, distance


@kernel
def first_of_classes(
    left_map: UInt8Array, right_map: UInt8Array, is_left_out: BoolArray
) -> UInt8Array:
    """A byte of each class of pairs of classes, of those bytes that are not left out."""
    representative = np.zeros(256, np.uint8)
    num_classes = 0
    for byte in range(256):
        if is_left_out[byte]:
            continue
        is_new = True
        for c in range(num_classes):
            known = representative[c]
            if left_map[known] == left_map[byte] and right_map[known] == right_map[byte]:
                is_new = False
                break
        if is_new:
            representative[num_classes] = byte
            num_classes += 1
    return representative[:num_classes].copy()


@kernel
def subtree_heights(
    byte: UInt8Array, subtree_end: Int32Array, marked: BoolArray
) -> tuple[Int32Array, Int32Array]:
    """What the size of a walk depends on, per node of a trie.

    Returns:
        (height, marked_size), int32[num_nodes]: bytes of the longest path below a node; and how many
        nodes a walk visits below it that follows marked bytes only, 0 if there are none.
    """
    height = np.zeros(byte.size, np.int32)
    marked_size = np.zeros(byte.size, np.int32)
    for node in range(byte.size - 1, -1, -1):
        num_visited = 0
        has_mark = False
        child = node + 1
        while child < subtree_end[node]:
            height[node] = max(height[node], height[child] + 1)
            has_mark |= marked_size[child] > 0 or marked[byte[child]]
            num_visited += 1 + marked_size[child]
            child = subtree_end[child]
        if has_mark:
            marked_size[node] = num_visited
    return height, marked_size


@kernel
def size_to_walk(
    byte: UInt8Array,
    subtree_end: Int32Array,
    height: Int32Array,
    marked_size: Int32Array,
    lexer: LexerArrays,
    state: int,
    base: int,
    first: int,
    partner: Int32Array,
    distance: Int32Array,
) -> int:
    """Nodes in the subtrees at the root in which a state may differ from its base.

    A base of 0 and no partners: the nodes in the subtrees in which the state is alive.
    """
    size = 0
    node = 1
    while node < byte.size:
        after = next_state(lexer, state, byte[node])
        base_after = DEAD_STATE if base == DEAD_STATE else next_state(lexer, base, byte[node])
        if after != base_after:
            is_alike = (
                after != DEAD_STATE
                and base_after != DEAD_STATE
                and partner.size > 0
                and partner[after - first] == base_after
                and distance[after - first] > height[node]
            )
            size += 1 + marked_size[node] if is_alike else subtree_end[node] - node
        node = subtree_end[node]
    return size

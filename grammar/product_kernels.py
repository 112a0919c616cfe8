"""Numba kernels that combine two automata (tables as in `automata_kernels`)."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import LIMIT_REACHED, grown
from syntagma.grammar.kernel_types import Int32Array, kernel


@kernel
def expand(
    outer: Int32Array, encoder: Int32Array, leaf_class: Int32Array, num_classes: int
) -> Int32Array:
    """Replace each symbol of one automaton by the words an encoder spells it with.

    Args:
        outer: int32[Q, K], an automaton over K symbol classes.
        encoder: int32[E, num_classes], a prefix-free automaton over bytes; state 1 is its root.
        leaf_class: int32[E], the symbol class spelled by an encoder state, -1 inside a spelling.
        num_classes: byte classes.

    Returns:
        int32[Q * E, num_classes]: state ``q * E + e`` is "in q, having read part e of a symbol";
        entries are such states, 0 dead. The root of q is ``q * E + 1``.
    """
    num_outer = outer.shape[0]
    num_encoder = encoder.shape[0]
    table = np.zeros((num_outer * num_encoder, num_classes), np.int32)
    for q in range(1, num_outer):
        for e in range(1, num_encoder):
            if leaf_class[e] >= 0:
                continue
            row = q * num_encoder + e
            for b in range(num_classes):
                inside = encoder[e, b]
                if inside == 0:
                    continue
                symbol = leaf_class[inside]
                if symbol < 0:
                    table[row, b] = q * num_encoder + inside
                elif outer[q, symbol] != 0:
                    table[row, b] = outer[q, symbol] * num_encoder + 1
    return table


@kernel
def _pair_slot(buckets: Int32Array, lefts: Int32Array, rights: Int32Array, a: int, b: int) -> int:
    """Where a pair of states stands in a hash table, or would stand."""
    value = (np.uint64(a) ^ np.uint64(1469598103934665603)) * np.uint64(1099511628211)
    value = (value ^ np.uint64(b)) * np.uint64(1099511628211)
    value ^= value >> np.uint64(31)
    slot: int = np.int64(value & np.uint64(buckets.size - 1))  # type: ignore[assignment]
    while buckets[slot] >= 0 and (lefts[buckets[slot]] != a or rights[buckets[slot]] != b):
        slot = (slot + 1) & (buckets.size - 1)
    return slot


@kernel
def intersect(
    left: Int32Array, right: Int32Array, max_states: int
) -> tuple[int, Int32Array, Int32Array, Int32Array]:
    """The product of two tables over the same classes; a pair with a dead *left* state is dead.

    A dead right state is kept, so that the caller can form differences as well.

    Returns:
        (number of states or LIMIT_REACHED, table, lefts, rights): state ``s`` is the pair
        ``(lefts[s], rights[s])``.
    """
    num_classes = left.shape[1]
    table = np.zeros(64 * num_classes, np.int32)
    lefts = np.zeros(64, np.int32)
    rights = np.zeros(64, np.int32)
    buckets = np.full(256, -1, np.int32)
    lefts[1] = 1
    rights[1] = 1
    buckets[_pair_slot(buckets, lefts, rights, 1, 1)] = 1
    num_states = 2
    current = 1
    while current < num_states:
        for symbol in range(num_classes):
            next_left = left[lefts[current], symbol]
            if next_left == 0:
                continue
            next_right = right[rights[current], symbol]
            slot = _pair_slot(buckets, lefts, rights, next_left, next_right)
            found = buckets[slot]
            if found < 0:
                if num_states >= max_states:
                    return LIMIT_REACHED, table, lefts, rights
                found = num_states
                num_states += 1
                buckets[slot] = found
                lefts = grown(lefts, num_states)
                rights = grown(rights, num_states)
                lefts[found] = next_left
                rights[found] = next_right
                table = grown(table, num_states * num_classes)
                if 2 * num_states > buckets.size:
                    buckets = np.full(4 * buckets.size, -1, np.int32)
                    for s in range(1, num_states):
                        buckets[_pair_slot(buckets, lefts, rights, lefts[s], rights[s])] = s
            table[current * num_classes + symbol] = found
        current += 1
    return num_states, table[: num_states * num_classes], lefts[:num_states], rights[:num_states]

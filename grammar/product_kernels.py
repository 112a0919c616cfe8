"""Numba kernels that combine two automata (tables as in `automata_kernels`)."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import LIMIT_REACHED, grown
from syntagma.grammar.kernel_types import Int32Array, kernel


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
def joint_classes(
    left_of: Int32Array, right_of: Int32Array
) -> tuple[Int32Array, Int32Array, Int32Array]:
    """What two partitions of the same symbols tell apart together.

    Args:
        left_of, right_of: int32[N], the classes of each symbol.

    Returns:
        (class_of int32[N], in order of appearance; the left and the right class of each class).
    """
    num_right = right_of.max() + 1
    number = np.full((left_of.max() + 1) * num_right, -1, np.int32)
    class_of = np.empty(left_of.size, np.int32)
    lefts = np.empty(left_of.size, np.int32)
    rights = np.empty(left_of.size, np.int32)
    size = 0
    for symbol in range(left_of.size):
        pair = left_of[symbol] * num_right + right_of[symbol]
        if number[pair] < 0:
            number[pair] = size
            lefts[size] = left_of[symbol]
            rights[size] = right_of[symbol]
            size += 1
        class_of[symbol] = number[pair]
    return class_of, lefts[:size], rights[:size]


@kernel
def product(
    left: Int32Array,
    right: Int32Array,
    left_labels: Int32Array,
    right_labels: Int32Array,
    left_class: Int32Array,
    right_class: Int32Array,
    is_difference: bool,
    max_states: int,
) -> tuple[int, Int32Array, Int32Array]:
    """The words of the left automaton that the right one accepts, or does not accept.

    Args:
        left, right: tables; left_labels, right_labels: int32, 0 = not accepting.
        left_class, right_class: int32[C], the columns of each joint class.
        is_difference: whether right words are left out, not asked for.
        max_states: states at most.

    Returns:
        (number of states or LIMIT_REACHED, table int32[S, C], labels int32[S]). State 1 is the start;
        pairs from which nothing is accepted may remain.
    """
    num_classes = left_class.size
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
            next_left = left[lefts[current], left_class[symbol]]
            next_right = right[rights[current], right_class[symbol]]
            if next_left == 0 or (next_right == 0 and not is_difference):
                continue
            slot = _pair_slot(buckets, lefts, rights, next_left, next_right)
            found = buckets[slot]
            if found < 0:
                if num_states >= max_states:
                    return LIMIT_REACHED, left, left_labels
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
    labels = np.zeros(num_states, np.int32)
    for s in range(1, num_states):
        is_right = right_labels[rights[s]] != 0
        if left_labels[lefts[s]] != 0 and is_right != is_difference:
            labels[s] = 1
    return num_states, table[: num_states * num_classes].reshape(num_states, num_classes), labels

"""Numba kernels that turn words into automata (tables as in `automata_kernels`)."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.kernel_types import (
    Int32Array,
    Int64Array,
    UInt8Array,
    brief_kernel,
    kernel,
)


@kernel
def _hash_state(table: Int32Array, labels: Int32Array, state: int) -> int:
    value = np.uint64(labels[state] + 1)
    for c in range(table.shape[1]):
        value = (value ^ np.uint64(table[state, c])) * np.uint64(1099511628211)
    value ^= value >> np.uint64(31)
    hashed: int = np.int64(value & np.uint64(0x7FFFFFFFFFFFFFFF))  # type: ignore[assignment]
    return hashed


@kernel
def _same_state(table: Int32Array, labels: Int32Array, first: int, second: int) -> bool:
    if labels[first] != labels[second]:
        return False
    for c in range(table.shape[1]):  # noqa: SIM110 - a loop is what numba compiles well
        if table[first, c] != table[second, c]:
            return False
    return True


@kernel
def trie_of_sorted(
    text: Int32Array, ends: Int64Array, num_classes: int, max_states: int
) -> tuple[Int32Array, Int32Array]:
    """The minimal acyclic automaton of sorted, distinct words (Daciuk et al. 2000, section 3).

    States that cannot change any more are looked up in a register and merged, so that the table
    stays as small as the result plus one word.

    Args:
        text: the words' symbols one after another; ends: int64[W], where each word ends.
        num_classes: size of the alphabet; max_states: capacity that surely suffices.

    Returns:
        (table, labels) with 0 dead, 1 the start; labels are 1 where a word ends. The start state is
        not registered.
    """
    capacity = 64
    table = np.zeros((capacity, num_classes), np.int32)
    labels = np.zeros(capacity, np.int32)
    free = np.empty(capacity, np.int32)
    num_free = 0
    num_states = 2
    buckets = np.full(256, -1, np.int32)
    num_registered = 0
    path = np.empty(max_states + 1, np.int32)
    path[0] = 1
    depth = 0
    begin = 0
    previous = 0
    for w in range(ends.size + 1):
        # Symbols shared with the word before; behind them that word's states are final.
        shared = 0
        if w < ends.size:
            end = ends[w]
            while (
                shared < depth
                and begin + shared < end
                and text[begin + shared] == text[previous + shared]
            ):
                shared += 1
        for level in range(depth, shared, -1):
            state = path[level]
            slot = _hash_state(table, labels, state) % buckets.size
            while buckets[slot] >= 0 and not _same_state(table, labels, buckets[slot], state):
                slot = (slot + 1) % buckets.size
            twin = buckets[slot]
            if twin >= 0:
                table[path[level - 1], text[previous + level - 1]] = twin
                table[state, :] = 0
                labels[state] = 0
                free[num_free] = state
                num_free += 1
            else:
                buckets[slot] = state
                num_registered += 1
                if 2 * num_registered > buckets.size:
                    old = buckets
                    buckets = np.full(4 * old.size, -1, np.int32)
                    for member in old:
                        if member < 0:
                            continue
                        slot = _hash_state(table, labels, int(member)) % buckets.size
                        while buckets[slot] >= 0:
                            slot = (slot + 1) % buckets.size
                        buckets[slot] = member
        if w == ends.size:
            break
        depth = shared
        for position in range(begin + shared, ends[w]):
            if num_free > 0:
                num_free -= 1
                state = free[num_free]
            else:
                if num_states == capacity:
                    capacity *= 2
                    bigger = np.zeros((capacity, num_classes), np.int32)
                    bigger[:num_states] = table
                    table = bigger
                    more_labels = np.zeros(capacity, np.int32)
                    more_labels[:num_states] = labels
                    labels = more_labels
                    more_free = np.empty(capacity, np.int32)
                    more_free[:num_free] = free[:num_free]
                    free = more_free
                state = num_states
                num_states += 1
            table[path[depth], text[position]] = state
            depth += 1
            path[depth] = state
        labels[path[depth]] = 1
        previous = begin
        begin = ends[w]
    return table[:num_states].copy(), labels[:num_states].copy()


@brief_kernel
def word_table(word: UInt8Array) -> tuple[Int32Array, UInt8Array]:
    """The canonical automaton of one word: its table and its byte classes."""
    is_used = np.zeros(256, np.bool_)
    for byte in word:
        is_used[byte] = True
    byte_classes = np.empty(256, np.uint8)
    num_classes = 0
    unused_class = -1
    for byte in range(256):
        if is_used[byte] or unused_class < 0:
            if not is_used[byte]:
                unused_class = num_classes
            byte_classes[byte] = num_classes
            num_classes += 1
        else:
            byte_classes[byte] = unused_class
    table = np.zeros((word.size + 2, num_classes), np.int32)
    for i in range(word.size):
        table[i + 1, byte_classes[word[i]]] = i + 2
    return table, byte_classes

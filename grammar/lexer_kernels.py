"""Numba kernel that runs several terminals side by side."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import (
    LIMIT_REACHED,
    grown,
    subset_slot,
    with_spare_buckets,
)
from syntagma.grammar.kernel_types import Int32Array, UInt8Array, kernel


@kernel
def union_of_terminals(
    starts: Int32Array,
    byte_of_class: UInt8Array,
    first_state: int,
    table: Int32Array,
    row_of: Int32Array,
    class_map_of: Int32Array,
    class_maps: UInt8Array,
    max_states: int,
) -> tuple[int, Int32Array, Int32Array, Int32Array]:
    """Subset construction over lexer states, down to states where one terminal is left.

    Args:
        starts: int32[K], K >= 2 lexer states to run together.
        byte_of_class: uint8[C], one byte for each class of the joint byte partition.
        first_state: id that the first new state will get.
        table, row_of, class_map_of, class_maps: the `LexerPool`'s arrays.
        max_states: new states at most.

    Returns:
        (number of new states or LIMIT_REACHED, transitions, offsets, members). The first new state
        is the start; ``transitions`` int32[n * C] holds pool ids: new states where two or more
        terminals are alive, the terminal's own state where one is. New state ``i`` runs the lexer
        states ``members[offsets[i]:offsets[i + 1]]``.
    """
    num_classes = byte_of_class.size
    members = np.zeros(max(1024, 2 * starts.size), np.int32)
    members[: starts.size] = starts
    offsets = np.zeros(64, np.int32)
    offsets[1] = starts.size
    transitions = np.zeros(64 * num_classes, np.int32)
    buckets = np.full(256, -1, np.int32)
    num_states = 1
    num_used = starts.size
    current = 0
    while current < num_states:
        transitions = grown(transitions, (current + 1) * num_classes)
        for c in range(num_classes):
            length = offsets[current + 1] - offsets[current]
            members = grown(members, num_used + length)
            kept = 0
            for m in range(offsets[current], offsets[current + 1]):
                state = members[m]
                target = table[row_of[state] + class_maps[class_map_of[state], byte_of_class[c]]]
                if target != 0:
                    members[num_used + kept] = target
                    kept += 1
            if kept == 0:
                continue
            if kept == 1:
                transitions[current * num_classes + c] = members[num_used]
                continue
            members[num_used : num_used + kept].sort()
            slot = subset_slot(buckets, offsets, members, num_used, kept)
            found = buckets[slot]
            if found < 0:
                if num_states >= max_states:
                    return LIMIT_REACHED, transitions, offsets, members
                found = num_states
                num_states += 1
                num_used += kept
                offsets = grown(offsets, num_states + 1)
                offsets[num_states] = num_used
                buckets[slot] = found
                buckets = with_spare_buckets(buckets, offsets, members, 1, num_states)
            transitions[current * num_classes + c] = first_state + found
        current += 1
    transitions = grown(transitions, num_states * num_classes)
    return num_states, transitions[: num_states * num_classes], offsets[: num_states + 1], members

"""Numba kernels that tell how long two lexer states behave alike.

A state of a bounded string and the same state of an unbounded one differ on no token that is shorter
than what is left of the bound. Knowing that, a walk that compares the two (`walk_dense_against_base`)
skips almost all of the vocabulary. This is the bounded form of Moore's equivalence (1956).
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar.interior_kernels import DenseTerminal
from syntagma.grammar.kernel_types import Int32Array, UInt8Array, kernel
from syntagma.grammar.lexer_arrays import DEAD_STATE

NO_PARTNER = -1
NEVER = 1 << 20
# How far `agreeing_groups` looks; it guesses, so this costs or saves time only.
MAX_LOOKED_AT = 24
MAX_STEPS_AHEAD = 3


@kernel
def _after(terminal: DenseTerminal, state: int, byte: int) -> int:
    cell = (state - terminal.first_state) * terminal.width + terminal.class_map[byte]
    after: int = terminal.table[cell]
    return after


@kernel
def _is_complete(terminal: DenseTerminal, state: int) -> bool:
    complete: bool = terminal.is_accepting[state - terminal.first_state]
    return complete


@kernel
def pair_up(
    terminal: DenseTerminal,
    state: int,
    base_terminal: DenseTerminal,
    base: int,
    representative: UInt8Array,
) -> tuple[Int32Array, Int32Array]:
    """Read along from two states and note which states are met together.

    Args:
        terminal, base_terminal: whose states ``state`` and ``base`` are.
        representative: uint8[C], a byte of each joint byte class.

    Returns:
        (partner, queue), int32: for each state of the terminal the state that was first met together
        with it, or NO_PARTNER; and the states that have one in the order in which they were met.
    """
    count = terminal.is_accepting.size
    first = terminal.first_state
    partner = np.full(count, NO_PARTNER, np.int32)
    queue = np.empty(count, np.int32)
    queue[0] = state
    partner[state - first] = base
    num_queued = 1
    done = 0
    while done < num_queued:
        left = queue[done]
        right = partner[left - first]
        done += 1
        for byte in representative:
            left_after = _after(terminal, left, byte)
            if left_after == DEAD_STATE or partner[left_after - first] != NO_PARTNER:
                continue
            right_after = _after(base_terminal, right, byte)
            if right_after != DEAD_STATE and right_after != left_after:
                partner[left_after - first] = right_after
                queue[num_queued] = left_after
                num_queued += 1
    return partner, queue[:num_queued].copy()


@kernel
def parting_distances(
    terminal: DenseTerminal,
    base_terminal: DenseTerminal,
    partner: Int32Array,
    queue: Int32Array,
    representative: UInt8Array,
    group_of: UInt8Array,
    groups: int,
) -> Int32Array:
    """How many bytes of some groups it takes to tell pairs of states apart.

    Args:
        terminal .. queue: the pairs, see `pair_up`.
        representative: uint8[C], a byte of each joint byte class in each group.
        group_of: uint8[256]; groups: bits.

    Returns:
        int32 for each state of the terminal: no text of the groups that is shorter leads to where
        exactly one of the pair is alive or complete (NEVER if none does at all); 0 without a partner.
    """
    first = terminal.first_state
    asked = representative[(groups >> group_of[representative].astype(np.int64)) & 1 == 1]
    distance = np.zeros(partner.size, np.int32)
    for left in queue:
        right = partner[left - first]
        if _is_complete(terminal, left) == _is_complete(base_terminal, right):
            distance[left - first] = NEVER
    changed = True
    while changed:
        changed = False
        for q in range(queue.size - 1, -1, -1):
            left = queue[q]
            nearest = distance[left - first]
            if nearest <= 1:
                continue
            right = partner[left - first]
            for byte in asked:
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
    return distance


@kernel
def agreeing_groups(
    terminal: DenseTerminal,
    state: int,
    base_terminal: DenseTerminal,
    partner: Int32Array,
    representative: UInt8Array,
    group_of: UInt8Array,
    num_groups: int,
) -> int:
    """The groups of bytes, as bits, that do not tell a state from its partner within a few steps.

    Args:
        terminal .. group_of: as in `parting_distances`; the state must have a partner.
        num_groups: bits asked for.
    """
    first = terminal.first_state
    groups = (1 << num_groups) - 1
    queue = np.empty(MAX_LOOKED_AT, np.int32)
    level = np.zeros(MAX_LOOKED_AT, np.int32)
    queue[0] = state
    num_queued = 1
    done = 0
    while done < num_queued:
        left = queue[done]
        right = partner[left - first]
        for byte in representative:
            left_after = _after(terminal, left, byte)
            right_after = _after(base_terminal, right, byte)
            if left_after == right_after:
                continue
            if (
                left_after == DEAD_STATE
                or right_after == DEAD_STATE
                or partner[left_after - first] != right_after
                or _is_complete(terminal, left_after) != _is_complete(base_terminal, right_after)
            ):
                groups &= ~(1 << group_of[byte])
        # Only what the remaining groups lead to is looked at.
        for byte in representative:
            left_after = _after(terminal, left, byte)
            if (
                level[done] + 1 >= MAX_STEPS_AHEAD
                or num_queued == MAX_LOOKED_AT
                or (groups >> group_of[byte]) & 1 == 0
                or left_after == DEAD_STATE
                or left_after == _after(base_terminal, right, byte)
            ):
                continue
            is_new = True
            for q in range(num_queued):
                is_new &= queue[q] != left_after
            if is_new:
                queue[num_queued] = left_after
                level[num_queued] = level[done] + 1
                num_queued += 1
        done += 1
    return groups


@kernel
def first_of_classes(
    left_map: UInt8Array, right_map: UInt8Array, group_of: UInt8Array
) -> UInt8Array:
    """A byte of each class of pairs of classes in each group of bytes."""
    representative = np.zeros(256, np.uint8)
    num_classes = 0
    for byte in range(256):
        is_new = True
        for c in range(num_classes):
            known = representative[c]
            if (
                left_map[known] == left_map[byte]
                and right_map[known] == right_map[byte]
                and group_of[known] == group_of[byte]
            ):
                is_new = False
                break
        if is_new:
            representative[num_classes] = byte
            num_classes += 1
    return representative[:num_classes].copy()

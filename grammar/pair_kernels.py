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
) -> tuple[Int32Array, Int32Array, bool]:
    """Read along from two states, depth first, and note which states are met together.

    Args:
        terminal, base_terminal: whose states ``state`` and ``base`` are.
        representative: uint8[C], a byte of each joint byte class.

    Returns:
        (partner, queue, has_cycle): int32 for each state of the terminal the state that was first met
        together with it, or NO_PARTNER; the states that have one, each behind those that it leads to
        as far as there is no cycle; and whether there is one.
    """
    count = terminal.is_accepting.size
    first = terminal.first_state
    partner = np.full(count, NO_PARTNER, np.int32)
    queue = np.empty(count, np.int32)
    is_queued = np.zeros(count, np.bool_)
    path = np.empty(count, np.int32)
    next_class = np.zeros(count, np.int32)
    has_cycle = False
    partner[state - first] = base
    path[0] = state
    length = 1
    num_queued = 0
    while length > 0:
        left = path[length - 1]
        if next_class[left - first] == representative.size:
            is_queued[left - first] = True
            queue[num_queued] = left
            num_queued += 1
            length -= 1
            continue
        byte = representative[next_class[left - first]]
        next_class[left - first] += 1
        left_after = _after(terminal, left, byte)
        if left_after == DEAD_STATE or is_queued[left_after - first]:
            continue
        right_after = _after(base_terminal, partner[left - first], byte)
        is_pair = right_after != DEAD_STATE and right_after != left_after
        if not is_pair:
            continue
        if partner[left_after - first] == NO_PARTNER:
            partner[left_after - first] = right_after
            path[length] = left_after
            length += 1
        elif partner[left_after - first] == right_after:
            has_cycle = True
    return partner, queue[:num_queued].copy(), has_cycle


@kernel
def parting_distances(
    terminal: DenseTerminal,
    base_terminal: DenseTerminal,
    partner: Int32Array,
    queue: Int32Array,
    has_cycle: bool,
    representative: UInt8Array,
) -> Int32Array:
    """How many bytes of some groups it takes to tell pairs of states apart.

    Args:
        terminal .. has_cycle: the pairs, see `pair_up`.
        representative: uint8[C], a byte of each joint byte class among the bytes asked for.

    Returns:
        int32 for each state of the terminal: no text of such bytes that is shorter leads to where
        exactly one of the pair is alive or complete (NEVER if none does at all); 0 without a partner.
    """
    first = terminal.first_state
    distance = np.zeros(partner.size, np.int32)
    for left in queue:
        right = partner[left - first]
        if _is_complete(terminal, left) == _is_complete(base_terminal, right):
            distance[left - first] = NEVER
    changed = True
    while changed:
        changed = False
        for left in queue:
            nearest = distance[left - first]
            if nearest <= 1:
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
                # Without a cycle, all that this depends on was final.
                changed = has_cycle
    return distance


@kernel
def agreeing_groups(
    terminal: DenseTerminal,
    state: int,
    base_terminal: DenseTerminal,
    partner: Int32Array,
    group_of: UInt8Array,
    num_groups: int,
) -> tuple[int, int]:
    """What bytes do to a state and its partner within a few steps.

    Args:
        terminal .. partner: as in `parting_distances`; the state must have a partner.
        group_of: uint8[256]; num_groups: groups of bytes, returned as bits.

    Returns:
        (groups that do not tell the two apart, groups with a byte on which the state is alive).
    """
    first = terminal.first_state
    groups = (1 << num_groups) - 1
    alive = 0
    queue = np.empty(MAX_LOOKED_AT, np.int32)
    level = np.zeros(MAX_LOOKED_AT, np.int32)
    queue[0] = state
    num_queued = 1
    done = 0
    while done < num_queued:
        left = queue[done]
        right = partner[left - first]
        for byte in range(256):
            left_after = _after(terminal, left, byte)
            right_after = _after(base_terminal, right, byte)
            if done == 0 and left_after != DEAD_STATE:
                alive |= 1 << group_of[byte]
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
        for byte in range(256):
            left_after = _after(terminal, left, byte)
            if (
                level[done] + 1 >= MAX_STEPS_AHEAD
                or num_queued == MAX_LOOKED_AT
                or (groups >> group_of[byte]) & 1 == 0
                or left_after == DEAD_STATE
                or left_after == queue[num_queued - 1]
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
    return groups, alive


@kernel
def first_of_classes(
    left_map: UInt8Array, right_map: UInt8Array, group_of: UInt8Array, groups: int
) -> UInt8Array:
    """A byte of each class of pairs of classes among the bytes of some groups (bits)."""
    representative = np.zeros(256, np.uint8)
    num_classes = 0
    for byte in range(256):
        is_new = (groups >> group_of[byte]) & 1 == 1
        for c in range(num_classes):
            known = representative[c]
            if left_map[known] == left_map[byte] and right_map[known] == right_map[byte]:
                is_new = False
                break
        if is_new:
            representative[num_classes] = byte
            num_classes += 1
    return representative[:num_classes].copy()

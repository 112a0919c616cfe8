"""Numba kernel that finds stacks by their frames."""

from __future__ import annotations

from typing import Final

from syntagma.grammar.kernel_types import Int32Array, lean_kernel
from syntagma.grammar.lowering_arrays import (
    BOTTOM,
    FRAMES,
    OUTPUT_ENDS,
    STACK_WIDTHS,
    STACKS,
    WAS_POPPED,
    StackArrays,
    has_room,
)
from syntagma.grammar.parser_arrays import EMPTY, FIRST_PAIR, LAST_PAIR
from syntagma.grammar.row_set_kernels import slot_of

NUM_STACK_ARENAS: Final = len(STACK_WIDTHS)
NO_STACK: Final = -1


@lean_kernel
def stack_of_joined(stack: StackArrays, joined: Int32Array, count: int) -> int:
    """The stack of the first ``count`` frames of ``joined``, which are sorted; NO_STACK if there is no room."""
    if count == 1 and joined[0, 0] == OUTPUT_ENDS:
        return BOTTOM
    slot = slot_of(joined, 0, count, 0, 2, stack.stacks, stack.frames, stack.slots)
    known: int = stack.slots[slot]
    if known != EMPTY:
        return known
    number = stack.counts[STACKS]
    first = stack.counts[FRAMES]
    has_stack = has_room(stack.counts, NUM_STACK_ARENAS, STACKS, number + 1, stack.stacks.shape[0])
    if (
        not has_room(stack.counts, NUM_STACK_ARENAS, FRAMES, first + count, stack.frames.shape[0])
        or not has_stack
    ):
        return NO_STACK
    for i in range(count):
        stack.frames[first + i, 0] = joined[i, 0]
        stack.frames[first + i, 1] = joined[i, 1]
    stack.stacks[number, FIRST_PAIR] = first
    stack.stacks[number, LAST_PAIR] = first + count
    stack.stacks[number, WAS_POPPED] = 0
    stack.counts[STACKS] = number + 1
    stack.counts[FRAMES] = first + count
    stack.slots[slot] = number
    added: int = number
    return added

"""Stacks that share all they have in common: a graph-structured stack of immutable sets.

A stack is a set of frames (position to return to, stack below): whoever returns goes on behind every
caller at once, so an ambiguous text has one stack where its readings meet (Tomita 1985, "Graph-
structured stack"). Stacks are content-addressed: equal sets of frames are one number, and a stack's
number is larger than those of the stacks below it. Kernels add them (`stack_kernels`).
"""

from __future__ import annotations

from typing import Final

from syntagma.grammar.arenas import Arenas, enter_sets, slots_for
from syntagma.grammar.lowering_arrays import (
    BOTTOM,
    FRAMES,
    NUM_STACK_COUNTS,
    OUTPUT_ENDS,
    STACK_CONTEXT_SIZE,
    STACK_SLOTS,
    STACK_WIDTHS,
    STACKS,
    StackArrays,
)
from syntagma.grammar.parser_arrays import FIRST_PAIR, LAST_PAIR

FIRST_STACKS: Final = 32

Frame = tuple[int, int]


class Stacks:
    """The stacks met so far; append-only.

    Attributes:
        arenas: their arrays.
    """

    def __init__(self) -> None:
        self.arenas = Arenas(
            STACK_WIDTHS, (FIRST_STACKS, FIRST_STACKS), STACK_CONTEXT_SIZE, NUM_STACK_COUNTS
        )
        stacks, frames = self.arenas.cells
        stacks[FIRST_PAIR], stacks[LAST_PAIR] = 0, 1
        frames[0], frames[1] = OUTPUT_ENDS, BOTTOM
        self.arenas.count[STACKS] = self.arenas.count[FRAMES] = 1
        self._slots = slots_for(FIRST_STACKS)
        self.arenas.context.put(STACK_SLOTS, (self._slots, self.arenas.counts))

    def __len__(self) -> int:
        return self.arenas.count[STACKS]

    @property
    def arrays(self) -> StackArrays:
        """The arrays as they are now."""
        rows = self.arenas.rows
        return StackArrays(rows(STACKS), rows(FRAMES), self._slots, self.arenas.counts)

    @property
    def num_bytes(self) -> int:
        """Memory of the stacks."""
        return self.arenas.num_bytes

    def frames(self, stack: int) -> tuple[Frame, ...]:
        """The frames of a stack, ascending."""
        stacks, frames = self.arenas.cells
        row = STACK_WIDTHS[STACKS] * stack
        found = frames[2 * stacks[row + FIRST_PAIR] : 2 * stacks[row + LAST_PAIR]]
        return tuple(zip(found[::2], found[1::2], strict=True))

    def grow(self) -> None:
        """Make the room that a kernel has wanted."""
        arenas = self.arenas
        if STACKS in arenas.grow():
            self._slots = slots_for(arenas.capacity(STACKS))
            # Nobody looks for the bottom by its frames, so it is not entered.
            first, stacks, frames = BOTTOM + 1, arenas.rows(STACKS), arenas.rows(FRAMES)
            enter_sets(stacks, frames, 2, first, len(self), self._slots)
            arenas.context.put(STACK_SLOTS, (self._slots,))

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
    HEIGHT,
    NUM_STACK_COUNTS,
    OUTPUT_ENDS,
    STACK_CONTEXT_SIZE,
    STACK_SLOTS,
    STACK_WIDTHS,
    STACKS,
    StackArrays,
)
from syntagma.grammar.parser_arrays import FIRST_PAIR, LAST_PAIR

UNKNOWN: Final = -1  # the key of a stack of which nothing is to be told
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
        stacks[FIRST_PAIR], stacks[LAST_PAIR], stacks[HEIGHT] = 0, 1, 0
        frames[0], frames[1] = OUTPUT_ENDS, BOTTOM
        self.arenas.count[STACKS] = self.arenas.count[FRAMES] = 1
        self._slots = slots_for(FIRST_STACKS)
        self.arenas.context.put(STACK_SLOTS, (self._slots, self.arenas.counts))
        self._key_ids: dict[frozenset[tuple[int, int]], int] = {}
        self._keys: dict[tuple[int, int], int] = {}

    def __len__(self) -> int:
        return self.arenas.count[STACKS]

    @property
    def arrays(self) -> StackArrays:
        """The arrays as they are now."""
        rows = self.arenas.rows
        return StackArrays(rows(STACKS), rows(FRAMES), self._slots, self.arenas.counts)

    @property
    def num_bytes(self) -> int:
        """Memory of the stacks and keys, roughly."""
        return self.arenas.num_bytes + 200 * len(self._keys)

    def frames(self, stack: int) -> tuple[Frame, ...]:
        """The frames of a stack, ascending."""
        stacks, frames = self.arenas.cells
        row = STACK_WIDTHS[STACKS] * stack
        found = frames[2 * stacks[row + FIRST_PAIR] : 2 * stacks[row + LAST_PAIR]]
        return tuple(zip(found[::2], found[1::2], strict=True))

    def height(self, stack: int) -> int:
        """The number of frames on the longest way down to the bottom."""
        height: int = self.arenas.cells[STACKS][STACK_WIDTHS[STACKS] * stack + HEIGHT]
        return height

    def grow(self) -> None:
        """Make the room that a kernel has wanted."""
        arenas = self.arenas
        if STACKS in arenas.grow():
            self._slots = slots_for(arenas.capacity(STACKS))
            # Nobody looks for the bottom by its frames, so it is not entered.
            first, stacks, frames = BOTTOM + 1, arenas.rows(STACKS), arenas.rows(FRAMES)
            enter_sets(stacks, frames, 2, first, len(self), self._slots)
            arenas.context.put(STACK_SLOTS, (self._slots,))

    def key(self, stack: int, depth: int) -> int:
        """A number for the upper part of a stack: equal if the topmost ``depth`` frames are.

        It identifies the tree of frames, cut below ``depth`` of them; what is below the cut, be it
        nothing or more, does not matter.
        """
        keys = self._keys
        if depth <= 0:
            return UNKNOWN
        whole = (stack, min(depth, self.height(stack) + 1))
        if whole in keys:
            return keys[whole]
        order = [whole]
        asked = set(order)
        for part, levels in order:
            if levels > 1 and (part, levels) not in keys:
                for _, below in self.frames(part):
                    item = (below, min(levels - 1, self.height(below) + 1))
                    if item not in asked:
                        asked.add(item)
                        order.append(item)
        # What is below a part has fewer levels than the part, so it gets its key before.
        for part, levels in sorted(order, key=lambda item: item[1]):
            if (part, levels) not in keys:
                found = frozenset(
                    (back, self._known_key(below, levels - 1)) for back, below in self.frames(part)
                )
                keys[part, levels] = self._key_ids.setdefault(found, len(self._key_ids))
        return keys[whole]

    def _known_key(self, stack: int, depth: int) -> int:
        return UNKNOWN if depth <= 0 else self._keys[stack, min(depth, self.height(stack) + 1)]

"""Stacks that share all they have in common: a graph-structured stack of immutable sets.

A stack is a set of frames (position to return to, stack below): whoever returns goes on behind every
caller at once, so an ambiguous text has one stack where its readings meet (Tomita 1985, "Graph-
structured stack"). Stacks are content-addressed: equal sets of frames are one number, and a stack's
number is larger than those of the stacks below it.
"""

from __future__ import annotations

from typing import Final

BOTTOM: Final = 0
OUTPUT_ENDS: Final = -1  # where the one frame of the bottom returns to
UNKNOWN: Final = -1  # the key of a stack of which nothing is to be told

Frame = tuple[int, int]


class Stacks:
    """The stacks met so far; append-only.

    Attributes:
        frames: the frames of each stack.
        heights: the number of frames on the longest way down to the bottom.
    """

    def __init__(self) -> None:
        self.frames: list[tuple[Frame, ...]] = [((OUTPUT_ENDS, BOTTOM),)]
        self.heights: list[int] = [0]
        self._single: dict[Frame, int] = {}
        self._known: dict[frozenset[Frame], int] = {}
        self._key_ids: dict[frozenset[tuple[int, int]], int] = {}
        self._keys: dict[tuple[int, int], int] = {}

    def push(self, back: int, below: int) -> int:
        """The stack of one frame."""
        frame = (back, below)
        stack = self._single.get(frame)
        if stack is None:
            stack = self._single[frame] = self._add((frame,))
        return stack

    def of(self, frames: set[Frame]) -> int:
        """The stack of a set of frames."""
        if len(frames) == 1:
            (frame,) = frames
            return BOTTOM if frame[0] == OUTPUT_ENDS else self.push(*frame)
        key = frozenset(frames)
        stack = self._known.get(key)
        if stack is None:
            stack = self._known[key] = self._add(tuple(sorted(frames)))
        return stack

    def key(self, stack: int, depth: int) -> int:
        """A number for the upper part of a stack: equal if the topmost ``depth`` frames are.

        It identifies the tree of frames, cut below ``depth`` of them; what is below the cut, be it
        nothing or more, does not matter.
        """
        keys = self._keys
        if depth <= 0:
            return UNKNOWN
        whole = (stack, min(depth, self.heights[stack] + 1))
        if whole in keys:
            return keys[whole]
        order = [whole]
        asked = set(order)
        for part, levels in order:
            if levels > 1 and (part, levels) not in keys:
                for _, below in self.frames[part]:
                    item = (below, min(levels - 1, self.heights[below] + 1))
                    if item not in asked:
                        asked.add(item)
                        order.append(item)
        # What is below a part has fewer levels than the part, so it gets its key before.
        for part, levels in sorted(order, key=lambda item: item[1]):
            if (part, levels) not in keys:
                found = frozenset(
                    (back, self._known_key(below, levels - 1)) for back, below in self.frames[part]
                )
                keys[part, levels] = self._key_ids.setdefault(found, len(self._key_ids))
        return keys[whole]

    def _known_key(self, stack: int, depth: int) -> int:
        return UNKNOWN if depth <= 0 else self._keys[stack, min(depth, self.heights[stack] + 1)]

    def _add(self, frames: tuple[Frame, ...]) -> int:
        self.frames.append(frames)
        self.heights.append(1 + max(self.heights[below] for _, below in frames))
        return len(self.frames) - 1

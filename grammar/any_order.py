"""Parts in any order: what may come behind some of them.

Written out, the parts of an `ir.AnyOrder` would be as many rules as they have subsets. So it stays one
thing: a position in it says which parts may still come, and what follows is made when a parser gets there. All
that an output has to remember of its parts is which of those that may come once have come, and, where
that matters, how many there were.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

UNPRODUCTIVE = -1


class Progress(NamedTuple):
    """How far an output is.

    Attributes:
        left: the parts that may come once and have not, as bits.
        num_parts: parts so far, up to the largest number that matters.
        is_between: a part has just ended; or else one comes next.
    """

    left: int
    num_parts: int
    is_between: bool


@dataclass(frozen=True)
class AnyOrderPart:
    """A terminal and a word of a rule.

    Attributes:
        head: the terminal's number, -1 if there is none.
        rest: the rule.
    """

    head: int
    rest: int


@dataclass(frozen=True)
class Order:
    """An `ir.AnyOrder` among the positions of a rule.

    Attributes:
        parts: those that must come, then those that may come once, then those that may come again.
        num_required, num_single: how many there are of the first kind, and of the first two.
        final: those of the first kind behind which none comes again, as bits.
        separator: the terminal between parts.
        low, high: bounds on their number that exclude anything; 0 and None: no bound.
        after: the position behind the last part.
        rule: whose positions these are.
        alive: the parts that have a word, as bits.
    """

    parts: tuple[AnyOrderPart, ...]
    num_required: int
    num_single: int
    final: int
    separator: int
    low: int
    high: int | None
    after: int
    rule: int
    alive: int

    @property
    def required(self) -> int:
        """The parts that must come, as bits."""
        return (1 << self.num_required) - 1

    @property
    def start(self) -> Progress:
        """Before the first part."""
        return Progress((1 << self.num_single) - 1, 0, False)

    def can_end(self, progress: Progress) -> bool:
        """Whether there need not be another part."""
        return not progress.left & self.required and progress.num_parts >= self.low

    def steps(self, progress: Progress) -> Iterator[tuple[AnyOrderPart, Progress]]:
        """The parts that may come next, and how far the output is behind each."""
        if self.high is not None and progress.num_parts >= self.high:
            return
        most = max(self.low, self.high or 0)
        left, num_parts = progress.left & self.alive, min(progress.num_parts + 1, most)
        is_bounded = most > 0
        for index in _bits(left):
            after = Progress(left ^ 1 << index, num_parts, True)
            if not is_bounded or self._can_be_completed(after):
                yield self.parts[index], after
        if not self._may_repeat(left):
            return
        again = Progress(left, num_parts, True)
        for index in range(self.num_single, len(self.parts)):
            if self.alive >> index & 1 and self._can_be_completed(again):
                yield self.parts[index], again

    def _can_be_completed(self, progress: Progress) -> bool:
        """Whether enough parts are left, and those that must come are not too many."""
        left, num_parts, _ = progress
        if self.high is not None and num_parts + (left & self.required).bit_count() > self.high:
            return False
        if num_parts + left.bit_count() >= self.low:
            return True
        return self.alive >> self.num_single != 0 and self._may_repeat(left)

    def _may_repeat(self, left: int) -> bool:
        """Whether parts that may come again may come."""
        return left & self.final == self.final

    def cost(self, progress: Progress, costs: Sequence[int], separator_cost: int) -> int:
        """Bytes of a shortest word from here to the end of the last part.

        Args:
            progress: how far the output is.
            costs: bytes of a shortest word of each part, UNPRODUCTIVE if it has none.
            separator_cost: bytes of a separator.

        Returns:
            UNPRODUCTIVE if there is no way to the end.
        """
        if progress.is_between and self.can_end(progress):
            return 0
        required = [costs[i] for i in _bits(progress.left & self.required)]
        missing = max(self.low - progress.num_parts - len(required), 0 if required else 1)
        others = self._cheapest(progress.left, missing, costs)
        if UNPRODUCTIVE in required or others == UNPRODUCTIVE:
            return UNPRODUCTIVE
        num_separators = len(required) + missing - (not progress.is_between)
        return sum(required) + others + num_separators * separator_cost

    def _cheapest(self, left: int, number: int, costs: Sequence[int]) -> int:
        """The cost of so many parts that need not come."""
        if number == 0:
            return 0
        once = [costs[i] for i in _bits(left & ~self.required)]
        again = costs[self.num_single :] if self._may_repeat(left) else ()
        return cheapest(
            heapq.nsmallest(number, (cost for cost in once if cost != UNPRODUCTIVE)),
            min((cost for cost in again if cost != UNPRODUCTIVE), default=None),
            number,
        )


def cheapest(once: Sequence[int], again: int | None, number: int) -> int:
    """The least sum of so many costs: of those that count once, and one that counts any number of times.

    Args:
        once: ascending, no more than are asked for.
        again: None: there is none.
        number: how many.

    Returns:
        UNPRODUCTIVE if there are not so many.
    """
    if again is None:
        return sum(once) if len(once) == number else UNPRODUCTIVE
    found = [cost for cost in once if cost < again]
    return sum(found) + (number - len(found)) * again


def _bits(number: int) -> Iterator[int]:
    """The places of the bits that are set, ascending."""
    while number:
        lowest = number & -number
        yield lowest.bit_length() - 1
        number ^= lowest

"""Sets of rational numbers, as the number keywords of JSON Schema carve them out.

A set is a union of intervals, less what is no multiple of a step and what is a multiple of a hole.
``type: integer`` is a step of 1, ``enum`` a union of points. An interval lies between two *cuts*: a cut
``(v, 0)`` is just below the number ``v``, ``(v, 1)`` just above it, so that open and closed ends need no
cases of their own.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

Cut = tuple[Fraction | float, int]
Intervals = tuple[tuple[Cut, Cut], ...]

BELOW_ALL: Cut = (-math.inf, 0)
ABOVE_ALL: Cut = (math.inf, 0)
EVERYTHING: Intervals = ((BELOW_ALL, ABOVE_ALL),)

# Sets with up to this many members are looked through one by one.
FEW = 256


def exact(value: float) -> Fraction:
    """The number that a JSON number's shortest spelling means: 0.1 is a tenth."""
    return Fraction(value) if isinstance(value, int) else Fraction(Decimal(repr(value)))


def is_infinite(value: Fraction | float) -> bool:
    """Whether a cut's value is an end of the line; all others are fractions, however large."""
    return isinstance(value, float)


def intersection(left: Intervals, right: Intervals) -> Intervals:
    """What lies in both."""
    found = []
    i = j = 0
    while i < len(left) and j < len(right):
        low, high = max(left[i][0], right[j][0]), min(left[i][1], right[j][1])
        if low < high:
            found.append((low, high))
        if left[i][1] < right[j][1]:
            i += 1
        else:
            j += 1
    return tuple(found)


def complement(intervals: Intervals) -> Intervals:
    """All other numbers."""
    found = []
    start = BELOW_ALL
    for low, high in intervals:
        if start < low:
            found.append((start, low))
        start = high
    if start < ABOVE_ALL:
        found.append((start, ABOVE_ALL))
    return tuple(found)


def points(values: Iterable[Fraction]) -> Intervals:
    """The given numbers and nothing between them."""
    return tuple(((value, 0), (value, 1)) for value in sorted(set(values)))


@dataclass(frozen=True)
class NumberSet:
    """The numbers in some intervals that are multiples of a step and of no hole.

    Attributes:
        intervals: sorted and disjoint.
        step: None: any number.
        holes: positive.
    """

    intervals: Intervals = EVERYTHING
    step: Fraction | None = None
    holes: frozenset[Fraction] = frozenset()

    @property
    def is_everything(self) -> bool:
        """Whether no number is left out."""
        return self.intervals == EVERYTHING and self.step is None and not self.holes

    def within(self, intervals: Intervals) -> NumberSet:
        """The members that lie in some intervals."""
        return NumberSet(intersection(self.intervals, intervals), self.step, self.holes)

    def multiples(self, of: Fraction) -> NumberSet:
        """The members that are multiples of a number."""
        step = of if self.step is None else _common_multiple(self.step, of)
        return NumberSet(self.intervals, step, self.holes)

    def others(self, than: Fraction) -> NumberSet:
        """The members that are no multiples of a number."""
        return NumberSet(self.intervals, self.step, self.holes | {than})

    def holds(self, value: Fraction) -> bool:
        """Whether a number is a member."""
        if self.step is not None and value % self.step != 0:
            return False
        if any(value % hole == 0 for hole in self.holes):
            return False
        return any(low <= (value, 0) < high for low, high in self.intervals)

    def members(self, limit: int = FEW) -> list[Fraction] | None:
        """All members, if no more than ``limit`` candidates have to be looked at."""
        found: list[Fraction] = []
        room = limit
        for low, high in self.intervals:
            if low[0] == high[0]:
                candidates = [Fraction(low[0])]
            elif self.step is None or is_infinite(low[0]) or is_infinite(high[0]):
                return None
            else:
                first, last = self.first_index(low), self.last_index(high)
                if last - first >= room:
                    return None
                candidates = [i * self.step for i in range(first, last + 1)]
            room -= len(candidates)
            if room < 0:
                return None
            found += [value for value in candidates if self.holds(value)]
        return found

    def first_index(self, low: Cut) -> int:
        """The smallest ``i`` with ``i * step`` above a finite cut."""
        assert self.step is not None, "only steps are counted"
        quotient = Fraction(low[0]) / self.step
        return math.floor(quotient) + 1 if low[1] else math.ceil(quotient)

    def last_index(self, high: Cut) -> int:
        """The largest ``i`` with ``i * step`` below a finite cut."""
        assert self.step is not None, "only steps are counted"
        quotient = Fraction(high[0]) / self.step
        return math.floor(quotient) if high[1] else math.ceil(quotient) - 1

    def integer_ranges(self) -> list[tuple[int | None, int | None]]:
        """For a step of 1: the first and the last integer of each interval; None: unbounded."""
        ranges: list[tuple[int | None, int | None]] = []
        for low, high in self.intervals:
            first = None if is_infinite(low[0]) else self.first_index(low)
            last = None if is_infinite(high[0]) else self.last_index(high)
            if first is None or last is None or first <= last:
                ranges.append((first, last))
        return ranges

    @property
    def is_empty(self) -> bool:
        """Whether there is no member."""
        if self.step is not None and any(self.step % hole == 0 for hole in self.holes):
            return True
        if not self.holes and self.step is not None:
            return not any(
                is_infinite(low[0])
                or is_infinite(high[0])
                or self.first_index(low) <= self.last_index(high)
                for low, high in self.intervals
            )
        # Between two multiples of the holes there is always another number, unless there is a step.
        return self.members() == []


def _common_multiple(one: Fraction, other: Fraction) -> Fraction:
    return Fraction(
        math.lcm(one.numerator * other.denominator, other.numerator * one.denominator),
        one.denominator * other.denominator,
    )


def as_json(value: Fraction) -> Any:
    """The number as `json` would hold it; exact for what `exact` returns."""
    return value.numerator if value.denominator == 1 else float(value)

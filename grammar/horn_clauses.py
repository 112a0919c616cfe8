"""What follows from facts by rules of the form "all of these, hence that" (Dowling and Gallier 1984)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

T = TypeVar("T", bound=Hashable)


def underivable(ways: Mapping[T, Sequence[Sequence[T]]]) -> set[T]:
    """The keys that do not follow, in time linear in all that is written down.

    Args:
        ways: for each key, alternatives, all of whose members must follow for the key to follow. What is
            no key follows anyway.
    """
    conclusions: list[T] = []
    num_open: list[int] = []
    uses: defaultdict[T, list[int]] = defaultdict(list)
    waiting: list[T] = []
    for key, alternatives in ways.items():
        for needs in alternatives:
            still_open = {need for need in needs if need in ways}
            if not still_open:
                waiting.append(key)
            for need in still_open:
                uses[need].append(len(conclusions))
            conclusions.append(key)
            num_open.append(len(still_open))
    found: set[T] = set()
    while waiting:
        key = waiting.pop()
        if key in found:
            continue
        found.add(key)
        for number in uses[key]:
            num_open[number] -= 1
            if num_open[number] == 0:
                waiting.append(conclusions[number])
    return ways.keys() - found

"""Shortest words: what can be completed, and how soon.

Knuth's generalisation of Dijkstra's algorithm (1977) over the positions of all rules.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from typing import Final

from syntagma.grammar.positions import CALL, END, FORK, NONE, READ, ROUND, Positions

UNPRODUCTIVE: Final = -1


def shortest_words(positions: Positions, length_of: Callable[[int], int]) -> list[int]:
    """For every position, the bytes of a shortest word from there to the end of its rule.

    Args:
        positions: all rules compiled.
        length_of: bytes of a shortest word of a terminal, by its language's number; UNPRODUCTIVE if
            it has none.

    Returns:
        One number a position, UNPRODUCTIVE where the end cannot be reached; undefined for positions
        that are no part of a rule.
    """
    records, starts = positions.records, positions.starts
    # A position is settled once its first requirement and, unless that is NONE, the second one are:
    # it then costs step + first + times * second.
    dependants: list[list[tuple[int, int, int, int, int]]] = [[] for _ in records]
    heap = []
    for position, (kind, label, target) in enumerate(records):
        if kind == READ:
            length = length_of(label)
            if length != UNPRODUCTIVE:
                dependants[target].append((position, length, target, NONE, 0))
        elif kind == FORK:
            for branch in positions.forks[label]:
                dependants[branch].append((position, 0, branch, NONE, 0))
        elif kind == CALL:
            start = starts[label]
            dependants[target].append((position, 0, target, start, 1))
            dependants[start].append((position, 0, target, start, 1))
        elif kind == ROUND:
            loop = positions.loops[label]
            after, start = loop.after, starts[loop.body]
            rounds = max(0, loop.min_count - target)
            if rounds == 0:
                dependants[after].append((position, 0, after, NONE, 0))
            else:
                dependants[after].append((position, 0, after, start, rounds))
                dependants[start].append((position, 0, after, start, rounds))
        elif kind == END:
            heap.append((0, position))

    shortest = [UNPRODUCTIVE] * len(records)
    while heap:
        cost, position = heapq.heappop(heap)
        if shortest[position] != UNPRODUCTIVE:
            continue
        shortest[position] = cost
        for waiting, step, first, second, times in dependants[position]:
            if shortest[waiting] != UNPRODUCTIVE or shortest[first] == UNPRODUCTIVE:
                continue
            total = step + shortest[first]
            if second != NONE:
                if shortest[second] == UNPRODUCTIVE:
                    continue
                total += times * shortest[second]
            heapq.heappush(heap, (total, waiting))
    return shortest

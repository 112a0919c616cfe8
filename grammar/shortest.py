"""Shortest words: what can be completed, and how soon.

Knuth's generalisation of Dijkstra's algorithm (1977) over the positions of all rules.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable

from syntagma.grammar.any_order import UNPRODUCTIVE, AnyOrderPart, Order, Progress
from syntagma.grammar.positions import CALL, END, FORK, NONE, ORDER, READ, ROUND, Positions


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
    # By position, the parts in any order that have it for a requirement.
    orders: dict[int, list[_Order]] = {}
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
        elif kind == ORDER:
            order, progress = positions.orders[label], positions.progress_at(position)
            if progress.is_between and order.can_end(progress):
                dependants[order.after].append((position, 0, order.after, NONE, 0))
            elif progress.left & order.required or order.low or progress.is_between:
                found = _Order(position, order, progress, starts)
                for requirement in found.requirements:
                    orders.setdefault(requirement, []).append(found)
            else:
                # Any part will do.
                for part in order.parts_left(progress):
                    step, start = _length_of_head(part, length_of), starts[part.rest]
                    if step != UNPRODUCTIVE:
                        dependants[order.after].append((position, step, order.after, start, 1))
                        dependants[start].append((position, step, order.after, start, 1))
        elif kind == END:
            heap.append((0, position))

    shortest = [UNPRODUCTIVE] * len(records)

    def part_cost(part: AnyOrderPart) -> int:
        head, rest = _length_of_head(part, length_of), shortest[starts[part.rest]]
        return UNPRODUCTIVE if UNPRODUCTIVE in (head, rest) else head + rest

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
        for found in orders.get(position, ()):
            found.missing.discard(position)
            if not found.missing:
                order = found.order
                total = order.cost(found.progress, part_cost, length_of(order.separator))
                if total != UNPRODUCTIVE:
                    heapq.heappush(heap, (total + shortest[order.after], found.position))
    return shortest


class _Order:
    """Parts in any order of which some must come.

    Attributes:
        position: among them.
        order, progress: the parts, and which of them have come.
        missing: what must be settled before anything can be said.
        requirements: what tells more when it is settled.
    """

    def __init__(self, position: int, order: Order, progress: Progress, starts: list[int]) -> None:
        self.position = position
        self.order = order
        self.progress = progress
        self.missing = {starts[part.rest] for part in order.required_left(progress)}
        self.missing.add(order.after)
        others = order.parts_left(progress) if order.low else ()
        self.requirements = self.missing | {starts[part.rest] for part in others}


def _length_of_head(part: AnyOrderPart, length_of: Callable[[int], int]) -> int:
    return 0 if part.head == NONE else length_of(part.head)

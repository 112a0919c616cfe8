"""Shortest words: what can be completed, and how soon.

Knuth's generalisation of Dijkstra's algorithm (1977) over the positions of all rules.
"""

from __future__ import annotations

import bisect
import heapq
from collections.abc import Callable

from syntagma.grammar.any_order import UNPRODUCTIVE, AnyOrderPart, Order, cheapest
from syntagma.grammar.positions import CALL, END, FORK, NONE, ORDER, READ, ROUND, Positions


def shortest_words(positions: Positions, length_of: Callable[[int], int]) -> list[int]:
    """For every position, the bytes of a shortest word from there to the end of its rule.

    Args:
        positions: the rules; of those not compiled yet it is known that they have words, and none that
            is empty, and one byte is taken for the shortest.
        length_of: bytes of a shortest word of a terminal, by its language's number; UNPRODUCTIVE if
            it has none.

    Returns:
        One number a position, UNPRODUCTIVE where the end cannot be reached; undefined for positions
        that are no part of a rule.
    """
    records = positions.records
    # Stands for the start of every rule that is not compiled yet.
    unknown = len(records)
    starts = [unknown if start == NONE else start for start in positions.starts]
    # A position is settled once its first requirement and, unless that is NONE, the second one are:
    # it then costs step + first + times * second.
    dependants: list[list[tuple[int, int, int, int, int]]] = [[] for _ in range(unknown + 1)]
    # By position, the parts in any order that have it for a requirement.
    orders: dict[int, list[_Order]] = {}
    heap = [(1, unknown)]
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
            if progress != order.start:
                # Made by a parser; `Closing` works them out when it meets them.
                continue
            if order.num_required or order.low:
                found = _Order(position, order, starts, length_of)
                for requirement in found.requirements:
                    orders.setdefault(requirement, []).append(found)
            else:
                # Any part will do.
                for part in order.parts:
                    step, start = _length_of_head(part, length_of), starts[part.rest]
                    if step != UNPRODUCTIVE:
                        dependants[order.after].append((position, step, order.after, start, 1))
                        dependants[start].append((position, step, order.after, start, 1))
        elif kind == END:
            heap.append((0, position))

    shortest = [UNPRODUCTIVE] * (unknown + 1)

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
            total = found.settled(position, shortest)
            if total != UNPRODUCTIVE:
                heapq.heappush(heap, (total, found.position))
    return shortest[:unknown]


class _Order:
    """Parts in any order of which some must come, while their costs are settled, the least first.

    Attributes:
        position: before them.
        requirements: the positions on which its cost depends.
    """

    def __init__(
        self, position: int, order: Order, starts: list[int], length_of: Callable[[int], int]
    ) -> None:
        self.position = position
        self.requirements = {order.after}
        self._after = order.after
        self._separator_cost = length_of(order.separator)
        # Behind the start of a part's rule, the lengths of the parts' heads.
        self._required: list[tuple[int, int]] = []
        self._once: dict[int, list[int]] = {}
        self._again: dict[int, list[int]] = {}
        self._num_others = max(order.low - order.num_required, 0 if order.num_required else 1)
        self._cheapest_once: list[int] = []
        self._cheapest_again: int | None = None
        for number, part in enumerate(order.parts):
            head, start = _length_of_head(part, length_of), starts[part.rest]
            if number < order.num_required:
                self._required.append((head, start))
            elif head == UNPRODUCTIVE or not self._num_others:
                continue
            else:
                others = self._once if number < order.num_single else self._again
                others.setdefault(start, []).append(head)
            self.requirements.add(start)
        self._missing = {order.after, *(start for _, start in self._required)}
        self._is_dead = any(head == UNPRODUCTIVE for head, _ in self._required)

    def settled(self, position: int, shortest: list[int]) -> int:
        """The cost as far as it is known once one more position is settled; UNPRODUCTIVE: nothing new."""
        is_news = position in self._missing
        self._missing.discard(position)
        for head in self._once.get(position, ()):
            cost = head + shortest[position]
            known = self._cheapest_once
            if len(known) < self._num_others or cost < known[-1]:
                bisect.insort(known, cost)
                del known[self._num_others :]
                is_news = True
        for head in self._again.get(position, ()):
            cost = head + shortest[position]
            if self._cheapest_again is None or cost < self._cheapest_again:
                self._cheapest_again = cost
                is_news = True
        if self._missing or self._is_dead or not is_news:
            return UNPRODUCTIVE
        others = cheapest(self._cheapest_once, self._cheapest_again, self._num_others)
        if others == UNPRODUCTIVE:
            return UNPRODUCTIVE
        required = sum(head + shortest[start] for head, start in self._required)
        num_separators = len(self._required) + self._num_others - 1
        return required + others + num_separators * self._separator_cost + shortest[self._after]


def _length_of_head(part: AnyOrderPart, length_of: Callable[[int], int]) -> int:
    return 0 if part.head == NONE else length_of(part.head)

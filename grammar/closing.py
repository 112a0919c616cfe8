"""The shortest way to the end of an output.

Costs are bytes. A position's cost is that of the rest of its rule, a stack's that of its cheapest
frame: the rest of the caller and what is below it. A text that comes again (see `captures`) costs
what the shortest one of its kind does, whatever it is: ways are chosen as if it were, so they always
end, and where it is long they may have some bytes more than the shortest.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

from syntagma.grammar.any_order import UNPRODUCTIVE
from syntagma.grammar.lowering_arrays import BOTTOM
from syntagma.grammar.memories import NO_TEXT
from syntagma.grammar.moves import TAIL
from syntagma.grammar.positions import BOUND, CALL, CAUGHT, ENTRY, NONE, ORDER, READ, ROUND, WITHIN
from syntagma.grammar.rule_automata import RuleAutomata
from syntagma.grammar.stacks import Frame, Stacks


class Closing:
    """Shortest completions; compiles all rules of a lazy grammar when first asked."""

    def __init__(self, automata: RuleAutomata, stacks: Stacks) -> None:
        self._automata = automata
        self._stacks = stacks
        # Cost of a stack and the frame that leads there.
        self._cheapest: dict[int, tuple[int, Frame]] = {BOTTOM: (0, stacks.frames(BOTTOM)[0])}
        # The costs of parts in any order, and of positions among them.
        self._costs_of_parts: dict[int, list[int]] = {}
        self._orders: dict[int, int] = {}
        # For each goal, the cost from the end of a rule of its component to the goal's end.
        self._climbs: dict[int, dict[int, int]] = {}

    def cost(self, items: tuple[tuple[int, int], ...]) -> int:
        """Bytes of a shortest completion of any of several (position, stack) pairs."""
        return min(self._item_cost(item) for item in items)

    def terminals(
        self, items: tuple[tuple[int, int], ...], word_of: Callable[[int], bytes]
    ) -> Iterator[int]:
        """The terminals of a shortest completion; each stands for a shortest word of its own.

        Args:
            items: (position, stack) pairs.
            word_of: the word that the caller takes for a terminal.
        """
        position, stack = min(items, key=self._item_cost)
        inner: list[int] = []
        while True:
            while self._position_cost(position) > 0:
                terminal, position, back = self._next_step(position)
                if terminal != NONE:
                    position = self._behind(position, terminal, word_of)
                    yield terminal
                elif back != TAIL:
                    inner.append(back)
            if inner:
                position = inner.pop()
            elif stack == BOTTOM:
                return
            else:
                position, stack = self._frame(stack)
                if position < 0:
                    return

    def _next_step(self, position: int) -> tuple[int, int, int]:
        """(terminal or NONE, position to go on at, where to return) on a cheapest way."""
        terminals, calls, _, recalled = self._automata.moves_of(position)
        best = None
        for terminal, target in terminals:
            cost = self._automata.terminals.shortest_length(terminal) + self._position_cost(target)
            if best is None or cost < best[0]:
                best = (cost, terminal, target, TAIL)
        for found in recalled:
            cost = found.length + self._position_cost(found.target)
            if not found.is_doubtful and (best is None or cost < best[0]):
                best = (cost, found.terminal, found.target, TAIL)
        for entry, back in calls:
            cost = self._position_cost(entry)
            if cost == 0:
                continue  # It may be empty, so there is a shorter way around it.
            cost += 0 if back == TAIL else self._position_cost(back)
            if best is None or cost < best[0]:
                best = (cost, NONE, entry, back)
        if best is None:
            raise ValueError(f"position {position!r} cannot be completed")
        return best[1:]

    def _behind(self, position: int, terminal: int, word_of: Callable[[int], bytes]) -> int:
        """The position behind a terminal, with its word remembered where that is asked for."""
        remembering = self._automata.remembering
        if remembering is None or self._automata.positions.records[position][0] != CAUGHT:
            return position
        text = remembering.memories.text_after(NO_TEXT, word_of(terminal))
        return remembering.behind(position, text)

    def _item_cost(self, item: tuple[int, int]) -> int:
        position, stack = item
        self._frame(stack)
        return self._position_cost(position) + self._cheapest[stack][0]

    def _frame(self, stack: int) -> Frame:
        """The cheapest frame of a stack."""
        waiting = [stack]
        while waiting:
            top = waiting[-1]
            if top in self._cheapest:
                waiting.pop()
                continue
            frames = self._stacks.frames(top)
            unknown = [below for _, below in frames if below not in self._cheapest]
            if unknown:
                waiting += unknown
                continue
            self._cheapest[top] = min(
                (
                    (self._position_cost(back) if back >= 0 else 0) + self._cheapest[below][0],
                    (back, below),
                )
                for back, below in frames
            )
        return self._cheapest[stack][1]

    def _position_cost(self, position: int) -> int:
        positions = self._automata.positions
        kind, label, target = positions.records[position]
        if kind == CAUGHT:
            target = positions.records[target][2]
        if kind in (BOUND, CAUGHT):
            kind, label, target = positions.records[position := target]
        if kind == WITHIN:
            rule = positions.rule_of[target]
            return self._part_cost(target) + self._climb(label)[rule]
        if kind == ENTRY:
            return self._part_cost(positions.starts[label])
        return self._part_cost(position)

    def _part_cost(self, position: int) -> int:
        """Bytes from a position of a rule to the rule's end."""
        shortest = self._automata.shortest
        if position < len(shortest) and shortest[position] != UNPRODUCTIVE:
            return shortest[position]
        # Made by the parser: rounds that it has counted, and what it has read of parts in any order.
        positions = self._automata.positions
        kind, label, target = positions.records[position]
        if kind == READ:
            return self._automata.length_of(label) + self._part_cost(target)
        if kind == CALL:
            return shortest[positions.starts[label]] + self._part_cost(target)
        if kind == ROUND:
            loop = positions.loops[label]
            rounds = max(0, loop.min_count - target)
            return rounds * shortest[positions.starts[loop.body]] + self._part_cost(loop.after)
        if kind == ORDER:
            return self._cost_in_order(position)
        raise ValueError(f"position {position!r} is no part of a rule that can be completed")

    def _cost_in_order(self, position: int) -> int:
        """Bytes from a position among parts in any order to the end of their rule."""
        known = self._orders.get(position)
        if known is None:
            automata, positions = self._automata, self._automata.positions
            label = positions.records[position][1]
            order, progress = positions.orders[label], positions.progress_at(position)
            costs = self._costs_of_parts.get(label)
            if costs is None:
                costs = self._costs_of_parts[label] = list(map(automata.part_cost, order.parts))
            known = order.cost(progress, costs, automata.length_of(order.separator))
            known = self._orders[position] = known + self._part_cost(order.after)
        return known

    def _climb(self, goal: int) -> dict[int, int]:
        """Dijkstra's algorithm from the goal down its left calls."""
        climb = self._climbs.get(goal)
        if climb is not None:
            return climb
        positions = self._automata.positions
        climb = {}
        heap = [(0, goal)]
        callees_of: dict[int, list[tuple[int, int]]] = {}
        for callee in self._automata.left_recursion(goal)[0]:
            for behind in self._automata.left_recursion(callee)[1]:
                caller = positions.rule_of[behind]
                callees_of.setdefault(caller, []).append((callee, behind))
        while heap:
            cost, rule = heapq.heappop(heap)
            if rule in climb:
                continue
            climb[rule] = cost
            for callee, behind in callees_of.get(rule, ()):
                heapq.heappush(heap, (cost + self._part_cost(behind), callee))
        self._climbs[goal] = climb
        return climb

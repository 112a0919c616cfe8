"""Lowering parser states with sets of explicit stacks, for comparison with the kernels.

A stack is the set of its frames, each a position to return to and the stack below. Nothing has a number, so
nothing is looked up. Like the parser, a rule begins when all its callers are known, and its stack is that of
all of them at once; a caller that has nothing left to do lends its own frames.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from syntagma.grammar.lowering_arrays import OUTPUT_ENDS
from syntagma.grammar.moves import TAIL
from syntagma.grammar.parser import Parser
from syntagma.grammar.rule_automata import RuleAutomata

Stack = frozenset[tuple[int, "Stack | None"]]
Item = tuple[int, Stack]

BELOW_ALL: Stack = frozenset([(OUTPUT_ENDS, None)])


class NaiveState(NamedTuple):
    """What may follow: the items behind each terminal, and whether the output may end."""

    behind: dict[int, frozenset[Item]]
    can_end: bool


class Unfolding:
    """A parser's states with their stacks spelled out.

    Equal stacks are one object: spelled out anew wherever they stand, those of an ambiguous grammar would be a tree that
    doubles with each frame.
    """

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._by_frames: dict[Stack, Stack] = {}
        self._by_number: dict[int, Stack] = {}

    def items(self, state: int) -> frozenset[Item]:
        """The items of a state."""
        return frozenset(
            (position, self._spelled(stack)) for position, stack in self._parser.items(state)
        )

    def stack(self, frames: Iterable[tuple[int, Stack | None]]) -> Stack:
        """The stack of some frames."""
        found = frozenset(frames)
        return self._by_frames.setdefault(found, found)

    def _spelled(self, stack: int) -> Stack:
        found = self._by_number.get(stack)
        if found is None:
            found = self._by_number[stack] = self.stack(
                (back, None if back == OUTPUT_ENDS else self._spelled(below))
                for back, below in self._parser.frames(stack)
            )
        return found


def lowered(automata: RuleAutomata, items: Iterable[Item], unfolding: Unfolding) -> NaiveState:
    """What may follow some positions on stacks."""
    reached, can_end = set(items), False
    waiting = list(reached)
    while waiting:
        position, stack = waiting.pop()
        if not automata.moves_of(position).is_end:
            continue
        for back, below in stack:
            if below is None:
                can_end = True
            elif (back, below) not in reached:
                reached.add((back, below))
                waiting.append((back, below))
    behind: dict[int, set[Item]] = {}
    callers: dict[int, set[tuple[int, Stack]]] = {}

    def follow(position: int, stack: Stack) -> None:
        moves = automata.moves_of(position)
        for terminal, target in moves.terminals:
            behind.setdefault(terminal, set()).add((target, stack))
        for entry, back in moves.calls:
            callers.setdefault(entry, set()).add((back, stack))

    for position, stack in reached:
        follow(position, stack)
    begun: set[int] = set()
    while ready := [
        entry
        for entry in callers
        if entry not in begun and is_last(automata, entry, callers, begun)
    ]:
        for entry in ready:
            begun.add(entry)
            frames: set[tuple[int, Stack | None]] = set()
            for back, stack in callers[entry]:
                frames |= stack if back == TAIL else {(back, stack)}
            follow(entry, unfolding.stack(frames))
    return NaiveState({t: frozenset(found) for t, found in behind.items()}, can_end)


def is_last(
    automata: RuleAutomata,
    entry: int,
    callers: dict[int, set[tuple[int, Stack]]],
    begun: set[int],
) -> bool:
    """Whether no rule that is still to begin can come to call a rule."""
    waiting = [other for other in callers if other not in begun and other != entry]
    seen = set(waiting)
    for other in waiting:
        for callee, _ in automata.moves_of(other).calls:
            if callee == entry:
                return False
            if callee not in seen:
                seen.add(callee)
                waiting.append(callee)
    return True

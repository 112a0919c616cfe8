"""What may be read at a position, and how to work it out where no rule may be empty."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from syntagma.grammar.positions import CALL, END, ENTRY, FORK, NONE, ORDER, READ, ROUND, Positions

# A call that returns here need not return: what calls it may go on in its place.
TAIL: Final = -2


class Recalled(NamedTuple):
    """A terminal that depends on the memory (see `captures`).

    Attributes:
        terminal: its id for the memory at hand.
        target: the position behind it; if it is caught, one that waits for the text it has matched.
        length: the bytes that it counts for in shortest words.
        is_doubtful: the memory is not known, and the terminal is all that it might be.
        is_caught: whether what it matches is remembered.
    """

    terminal: int
    target: int
    length: int
    is_doubtful: bool
    is_caught: bool


class Moves(NamedTuple):
    """What may follow a position.

    Attributes:
        terminals: (terminal id, position behind it).
        calls: (entry of a rule, position to return to or TAIL).
        is_end: whether the rule may end here.
        recalled: the terminals that depend on the memory.
    """

    terminals: tuple[tuple[int, int], ...]
    calls: tuple[tuple[int, int], ...]
    is_end: bool
    recalled: tuple[Recalled, ...] = ()


def moves_within_proper(
    position: int,
    positions: Positions,
    *,
    terminal_of: Callable[[int], int | None],
    start_of: Callable[[int], int],
) -> Moves:
    """The moves of a position in a proper grammar, where calls read and all ends can be reached.

    What is called last is seen through: its words come on the same stack.

    Args:
        position: the position.
        positions: what it leads to.
        terminal_of: the id of a terminal, by its language's number.
        start_of: where a rule starts; may add positions.
    """
    terminals: dict[tuple[int, int], None] = {}
    calls: dict[tuple[int, int], None] = {}
    is_end = False
    waiting = [position]
    seen = {position}
    for at in waiting:
        kind, label, target = positions.records[at]
        found: tuple[int, ...] = ()
        callee = NONE
        if kind == READ:
            terminal = terminal_of(label)
            if terminal is not None:
                terminals[terminal, target] = None
        elif kind == CALL:
            callee = label
        elif kind == FORK:
            found = positions.forks[label]
        elif kind == ORDER:
            found = positions.branches(at)
        elif kind == ENTRY:
            found = (start_of(label),)
        elif kind == ROUND:
            loop = positions.loops[label]
            if target >= loop.min_count:
                found = (loop.after,)
            if loop.max_count is None or target < loop.max_count:
                callee = loop.body
                target = positions.round(label, min(target + 1, loop.largest_count))
        else:
            is_end = True
        if callee != NONE:
            if _just_ends(target, positions):
                found += (start_of(callee),)
            else:
                calls[positions.add(ENTRY, callee, NONE), target] = None
        for after in found:
            if after not in seen:
                seen.add(after)
                waiting.append(after)
    if positions.records[position][0] == ENTRY:
        is_end = False
    return Moves(tuple(terminals), tuple(calls), is_end)


def _just_ends(position: int, positions: Positions) -> bool:
    """Whether nothing is read from a position on, and the rule may end there."""
    waiting = [position]
    is_end = False
    for at in waiting:
        kind, label, target = positions.records[at]
        if kind == END:
            is_end = True
        elif kind == FORK:
            waiting += [b for b in positions.forks[label] if b not in waiting]
        elif kind == ROUND and target == positions.loops[label].max_count:
            waiting.append(positions.loops[label].after)
        else:
            return False
    return is_end

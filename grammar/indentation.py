"""Automata of lines by their width: how far they are indented.

The *width* of a text is what its blanks come to: one for each space, a fixed number for each tab. So is
indentation measured by the `lark` package's indenter.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar.dfa import DEAD, START, Dfa
from syntagma.grammar.limits import Budget

SPACE = ord(" ")
TAB = ord("\t")


class Widths(NamedTuple):
    """The widths that the words of a language have, in one way to write them.

    Attributes:
        first: whether there are words of width 0, 1, ....
        again: likewise for those behind these, again and again.
    """

    first: tuple[bool, ...]
    again: tuple[bool, ...]

    @property
    def are_endless(self) -> bool:
        """Whether there is always a larger one, and the smallest is 0."""
        return (self.first + self.again)[0] and any(self.again)


def width_of(text: bytes, tab_length: int) -> int:
    """The width of a text."""
    return text.count(b" ") + tab_length * text.count(b"\t")


def of_width(dfa: Dfa, tab_length: int, width: int, *, is_more: bool) -> Dfa:
    """The words of a language that have a width or, if asked for, a larger one."""
    num_states = dfa.num_states
    byte_classes = dfa.byte_classes.astype(np.int32)
    blanks = np.array([SPACE, TAB])
    columns = np.concatenate([dfa.transitions, dfa.transitions[:, byte_classes[blanks]]], axis=1)
    byte_classes[blanks] = dfa.transitions.shape[1] + np.arange(2)
    largest = width + 1 if is_more else width
    steps = np.zeros(columns.shape[1], np.int64)
    steps[-2:] = 1, tab_length
    counts = np.arange(largest + 1)[:, np.newaxis, np.newaxis] + steps
    if is_more:
        counts = np.minimum(counts, largest)
    is_dead = (columns == DEAD) | (counts > largest)
    table = np.where(is_dead, DEAD, counts * num_states + columns)
    labels = np.zeros((largest + 1, num_states), np.int32)
    labels[-1] = dfa.accepting
    used, class_of = np.unique(byte_classes, return_inverse=True)
    return dfas.from_table(
        np.ascontiguousarray(table.reshape(-1, columns.shape[1])[:, used].astype(np.int32)),
        class_of.astype(np.uint8).reshape(-1),
        START,
        labels.reshape(-1),
    )


def widths_of(dfa: Dfa, tab_length: int, budget: Budget) -> Widths:
    """The widths of a language's words.

    Raises:
        GrammarLimitError: they come again after too many only.
    """
    others = [byte for byte in range(256) if byte not in (SPACE, TAB)]
    columns = np.unique(dfa.byte_classes[others])

    def within(states: set[int]) -> frozenset[int]:
        """All that is reached by other bytes than blanks."""
        waiting = list(states)
        while waiting:
            for target in dfa.transitions[waiting.pop(), columns].tolist():
                if target != DEAD and target not in states:
                    states.add(target)
                    waiting.append(target)
        return frozenset(states)

    reached = [within({START})]
    met: dict[tuple[frozenset[int], ...], int] = {}
    while True:
        last = tuple(reached[-tab_length:])
        before = met.setdefault(last, len(reached))
        if before != len(reached):
            break
        behind = {dfa.step(state, SPACE) for state in reached[-1]}
        if len(reached) >= tab_length:
            behind |= {dfa.step(state, TAB) for state in reached[-tab_length]}
        reached.append(within(behind - {DEAD}))
        budget.check_table(len(reached) * dfa.num_states, "widths of indentations")
        budget.check_time()
    has_word = [any(dfa.accepting[state] for state in states) for states in reached]
    return _shortest(has_word[: before - 1], has_word[before - 1 : -1])


def _shortest(first: list[bool], again: list[bool]) -> Widths:
    """The only way to write a sequence with the shortest parts."""
    count = len(again)
    period = next(
        n for n in range(1, count + 1) if count % n == 0 and again == again[:n] * (count // n)
    )
    again = again[:period]
    while first and first[-1] == again[-1]:
        again = [first.pop(), *again[:-1]]
    return Widths(tuple(first), tuple(again))

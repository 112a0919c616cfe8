"""The part of a grammar's parser that kernels read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from syntagma.grammar.kernel_types import Int32Array, kernel

# Columns of `ParserArrays.states`.
LEXER_START, LEXER_END, GOTO_START, GOTO_END, LOWEST, CAN_END = 0, 1, 2, 3, 4, 5
NUM_COLUMNS = 6

NOT_LOWERED = -1

# The height of a parser state that did not look at the stack: above all others.
NO_HEIGHT = np.iinfo(np.int32).max

FIRST_ROWS = 64

# Of the table of merged states: a free slot, an unknown pair, and what spreads the pairs.
EMPTY = -1
NOT_MERGED = -1
MERGE_FACTOR = 31


class ParserArrays(NamedTuple):
    """Parser states as flat arrays.

    Attributes:
        states: int32[num_states, 6]. The state runs the lexer states
            ``lexers[LEXER_START:LEXER_END]`` (LEXER_START is NOT_LOWERED until it is needed) and has
            the moves ``gotos[GOTO_START:GOTO_END]``. LOWEST: the height of the lowest stack whose
            frames were looked at when it was lowered, NO_HEIGHT if none was. CAN_END: whether the
            output may end here, 0 or 1.
        lexers: int32[L], lexer states.
        gotos: int32[G, 2], (terminal, parser state behind it); ascending and distinct terminals.
        merges: int32[M, 3], a hash table of merged states (`merged_state`).
    """

    states: Int32Array
    lexers: Int32Array
    gotos: Int32Array
    merges: Int32Array


class ParserTable:
    """The arrays while they grow.

    When one is full all are replaced, so arrays taken before go on to fit together: they show the
    states that were lowered until then.
    """

    def __init__(self) -> None:
        self._num_lexers = 0
        self._num_gotos = 0
        self._num_merges = 0
        self._set(
            ParserArrays(
                _new_states(FIRST_ROWS),
                np.zeros(FIRST_ROWS, np.int32),
                np.zeros((FIRST_ROWS, 2), np.int32),
                _new_merges(FIRST_ROWS),
            )
        )

    def _set(self, arrays: ParserArrays) -> None:
        self.arrays = arrays
        # Single numbers are written through views: several times as fast as through an array.
        self._states = arrays.states.data.cast("B").cast("i")
        self._lexers = arrays.lexers.data
        self._gotos = arrays.gotos.data.cast("B").cast("i")

    def lower(
        self,
        state: int,
        lexers: tuple[int, ...],
        gotos: dict[int, int],
        lowest: int,
        can_end: bool,
        num_states: int,
    ) -> None:
        """Write a state's row.

        Args:
            state: the parser state.
            lexers: the lexer states it runs.
            gotos: the parser state behind each terminal, in ascending order of the terminals.
            lowest: the height of the lowest stack it looked at.
            can_end: whether the output may end here.
            num_states: how many states there must be room for.
        """
        first_lexer, first_goto = self._num_lexers, self._num_gotos
        self._num_lexers += len(lexers)
        self._num_gotos += len(gotos)
        arrays = self.arrays
        if (
            num_states > len(arrays.states)
            or self._num_lexers > len(arrays.lexers)
            or self._num_gotos > len(arrays.gotos)
        ):
            self._grow(num_states)
        for index, lexer in enumerate(lexers, first_lexer):
            self._lexers[index] = lexer
        at = 2 * first_goto
        for terminal, target in gotos.items():
            self._gotos[at] = terminal
            self._gotos[at + 1] = target
            at += 2
        row = NUM_COLUMNS * state
        states = self._states
        states[row + LEXER_END] = self._num_lexers
        states[row + GOTO_START] = first_goto
        states[row + GOTO_END] = self._num_gotos
        states[row + LOWEST] = lowest
        states[row + CAN_END] = can_end
        # Written last: whoever sees it may rely on the rest.
        states[row + LEXER_START] = first_lexer

    def merge(self, first: int, second: int, target: int, num_states: int) -> None:
        """Enter the state that goes on as either of two states does, once for each pair.

        Args:
            first, second: the two states, in ascending order.
            target: the state they merge into.
            num_states: how many states there must be room for.
        """
        self._num_merges += 1
        arrays = self.arrays
        if num_states > len(arrays.states) or 2 * self._num_merges > len(arrays.merges):
            self._grow(num_states)
        _enter_merge(self.arrays.merges, first, second, target)

    def _grow(self, num_states: int) -> None:
        old = self.arrays
        states = _new_states(_size_for(num_states, len(old.states)))
        states[: len(old.states)] = old.states
        lexers = np.zeros(_size_for(self._num_lexers, len(old.lexers)), np.int32)
        lexers[: len(old.lexers)] = old.lexers
        gotos = np.zeros((_size_for(self._num_gotos, len(old.gotos)), 2), np.int32)
        gotos[: len(old.gotos)] = old.gotos
        merges = old.merges
        if 2 * self._num_merges > len(merges):
            num_slots = len(merges)
            while 2 * self._num_merges > num_slots:
                num_slots *= 4
            merges = _new_merges(num_slots)
            for first, second, target in old.merges[old.merges[:, 0] != EMPTY].tolist():
                _enter_merge(merges, first, second, target)
        self._set(ParserArrays(states, lexers, gotos, merges))


def _size_for(needed: int, size: int) -> int:
    return size if needed <= size else 2 * needed


def _new_states(count: int) -> Int32Array:
    states = np.zeros((count, NUM_COLUMNS), np.int32)
    states[:, LEXER_START] = NOT_LOWERED
    states[:, LOWEST] = NO_HEIGHT
    return states


def _new_merges(num_slots: int) -> Int32Array:
    return np.full((num_slots, 3), EMPTY, np.int32)


def _enter_merge(merges: Int32Array, first: int, second: int, target: int) -> None:
    last = len(merges) - 1
    slot = (first * MERGE_FACTOR + second) & last
    while merges[slot, 0] != EMPTY:
        slot = (slot + 1) & last
    merges[slot, 1] = second
    merges[slot, 2] = target
    # Written last: whoever sees it may rely on the rest.
    merges[slot, 0] = first


@kernel
def merged_state(parser: ParserArrays, first: int, second: int) -> int:
    """The state that goes on as either of two states does, NOT_MERGED if it is not known yet."""
    if first == second:
        return first
    low, high = min(first, second), max(first, second)
    merges = parser.merges
    last = merges.shape[0] - 1
    slot = (low * MERGE_FACTOR + high) & last
    while merges[slot, 0] != EMPTY:
        if merges[slot, 0] == low and merges[slot, 1] == high:
            found: int = merges[slot, 2]
            return found
        slot = (slot + 1) & last
    return NOT_MERGED

"""The arrays of parser states while they grow."""

from __future__ import annotations

from typing import Final

import numpy as np

from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.parser_arrays import (
    CAN_END,
    EMPTY,
    GOTO_END,
    GOTO_START,
    LEXER_END,
    LEXER_START,
    LOWEST,
    MERGE_FACTOR,
    NO_HEIGHT,
    NOT_LOWERED,
    NUM_COLUMNS,
    ParserArrays,
)

FIRST_ROWS: Final = 64


class ParserTable:
    """The parser states of one grammar as flat arrays.

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
        self._states: memoryview = arrays.states.data.cast("B").cast("i")
        self._lexers: memoryview = arrays.lexers.data
        self._gotos: memoryview = arrays.gotos.data.cast("B").cast("i")

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

    def lowest(self, state: int) -> int:
        """The height of the lowest stack that a lowered state looked at, NO_HEIGHT if none."""
        return self._states[NUM_COLUMNS * state + LOWEST]

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

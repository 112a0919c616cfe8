"""The part of a grammar's parser that kernels read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from syntagma.grammar.kernel_types import Int32Array

NOT_LOWERED = -1

# The height of a parser state that did not look at the stack: above all others.
NO_HEIGHT = np.iinfo(np.int32).max

FIRST_ROWS = 64


class ParserArrays(NamedTuple):
    """Parser states as flat arrays.

    Parser state ``p`` runs the lexer states ``lexers[lexer_start[p]:lexer_end[p]]``
    (``lexer_start[p] == NOT_LOWERED`` until it is needed). When terminal ``goto_terminal[g]`` is
    complete, for ``goto_start[p] <= g < goto_end[p]``, the parser goes on in ``goto_target[g]``; no
    terminal occurs twice. ``lowest[p]`` is the height of the lowest stack whose frames were looked at
    when ``p`` was lowered, NO_HEIGHT if none was.
    """

    lexer_start: Int32Array
    lexer_end: Int32Array
    lexers: Int32Array
    goto_start: Int32Array
    goto_end: Int32Array
    goto_terminal: Int32Array
    goto_target: Int32Array
    lowest: Int32Array


class ParserTable:
    """The arrays while they grow.

    When one is full all are replaced, so arrays taken before go on to fit together: they show the
    states that were lowered until then.
    """

    def __init__(self) -> None:
        self._num_lexers = 0
        self._num_gotos = 0
        self.arrays = _new_arrays(FIRST_ROWS, FIRST_ROWS, FIRST_ROWS)

    def lower(
        self,
        state: int,
        lexers: tuple[int, ...],
        gotos: dict[int, int],
        lowest: int,
        num_states: int,
    ) -> None:
        """Write a state's row.

        Args:
            state: the parser state.
            lexers: the lexer states it runs.
            gotos: the parser state behind each terminal.
            lowest: the height of the lowest stack it looked at.
            num_states: how many states there must be room for.
        """
        first_lexer, first_goto = self._num_lexers, self._num_gotos
        self._num_lexers += len(lexers)
        self._num_gotos += len(gotos)
        arrays = self.arrays
        if (
            num_states > arrays.lexer_start.size
            or self._num_lexers > arrays.lexers.size
            or self._num_gotos > arrays.goto_target.size
        ):
            arrays = self._grow(num_states)
        for index, lexer in enumerate(lexers, first_lexer):
            arrays.lexers[index] = lexer
        for index, (terminal, target) in enumerate(gotos.items(), first_goto):
            arrays.goto_terminal[index] = terminal
            arrays.goto_target[index] = target
        arrays.lexer_end[state] = self._num_lexers
        arrays.goto_start[state] = first_goto
        arrays.goto_end[state] = self._num_gotos
        arrays.lowest[state] = lowest
        # Written last: whoever sees it may rely on the rest.
        arrays.lexer_start[state] = first_lexer

    def _grow(self, num_states: int) -> ParserArrays:
        old = self.arrays
        new = _new_arrays(
            max(2 * num_states, old.lexer_start.size),
            max(2 * self._num_lexers, old.lexers.size),
            max(2 * self._num_gotos, old.goto_target.size),
        )
        for before, after in zip(old, new, strict=True):
            after[: before.size] = before
        self.arrays = new
        return new


def _new_arrays(num_states: int, num_lexers: int, num_gotos: int) -> ParserArrays:
    # In one block: an allocation costs more than all that is in a small grammar's arrays.
    block = np.zeros(5 * num_states + num_lexers + 2 * num_gotos, np.int32)
    sizes = [num_states, num_states, num_lexers, num_states, num_states, num_gotos, num_gotos]
    columns = []
    first = 0
    for size in (*sizes, num_states):
        columns.append(block[first : first + size])
        first += size
    arrays = ParserArrays(*columns)
    arrays.lexer_start.fill(NOT_LOWERED)
    arrays.lowest.fill(NO_HEIGHT)
    return arrays

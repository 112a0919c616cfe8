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
        self.arrays = ParserArrays(
            lexer_start=np.full(FIRST_ROWS, NOT_LOWERED, np.int32),
            lexer_end=np.zeros(FIRST_ROWS, np.int32),
            lexers=np.zeros(FIRST_ROWS, np.int32),
            goto_start=np.zeros(FIRST_ROWS, np.int32),
            goto_end=np.zeros(FIRST_ROWS, np.int32),
            goto_terminal=np.zeros(FIRST_ROWS, np.int32),
            goto_target=np.zeros(FIRST_ROWS, np.int32),
            lowest=np.full(FIRST_ROWS, NO_HEIGHT, np.int32),
        )

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
        self._make_room(num_states)
        arrays = self.arrays
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

    def _make_room(self, num_states: int) -> None:
        arrays = self.arrays
        sizes = {name: column.size for name, column in arrays._asdict().items()}
        wanted = dict.fromkeys(sizes, num_states)
        wanted["lexers"] = self._num_lexers
        wanted["goto_terminal"] = wanted["goto_target"] = self._num_gotos
        if all(wanted[name] <= sizes[name] for name in sizes):
            return
        columns = {}
        for name, column in arrays._asdict().items():
            fill = {"lexer_start": NOT_LOWERED, "lowest": NO_HEIGHT}.get(name, 0)
            size = column.size if wanted[name] <= column.size else 2 * wanted[name]
            columns[name] = np.full(size, fill, np.int32)
            columns[name][: column.size] = column
        self.arrays = ParserArrays(**columns)

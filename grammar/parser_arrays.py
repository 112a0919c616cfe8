"""The part of a grammar's parser that kernels read."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from syntagma.grammar.kernel_types import Int32Array, kernel

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

    Parser state ``p`` runs the lexer states ``lexers[lexer_start[p]:lexer_end[p]]``
    (``lexer_start[p] == NOT_LOWERED`` until it is needed). When terminal ``goto_terminal[g]`` is
    complete, for ``goto_start[p] <= g < goto_end[p]``, the parser goes on in ``goto_target[g]``; no
    terminal occurs twice. ``lowest[p]`` is the height of the lowest stack whose frames were looked at
    when ``p`` was lowered, NO_HEIGHT if none was. The ``merge_*`` columns are a hash table of merged
    states (`merged_state`).
    """

    lexer_start: Int32Array
    lexer_end: Int32Array
    lexers: Int32Array
    goto_start: Int32Array
    goto_end: Int32Array
    goto_terminal: Int32Array
    goto_target: Int32Array
    lowest: Int32Array
    merge_first: Int32Array
    merge_second: Int32Array
    merge_target: Int32Array


class ParserTable:
    """The arrays while they grow.

    When one is full all are replaced, so arrays taken before go on to fit together: they show the
    states that were lowered until then.
    """

    def __init__(self) -> None:
        self._num_lexers = 0
        self._num_gotos = 0
        self._num_merges = 0
        self.arrays = _new_arrays(FIRST_ROWS, FIRST_ROWS, FIRST_ROWS, FIRST_ROWS)

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

    def merge(self, first: int, second: int, target: int, num_states: int) -> None:
        """Enter the state that goes on as either of two states does, once for each pair.

        Args:
            first, second: the two states, in ascending order.
            target: the state they merge into.
            num_states: how many states there must be room for.
        """
        self._num_merges += 1
        arrays = self.arrays
        if num_states > arrays.lexer_start.size or 2 * self._num_merges > arrays.merge_first.size:
            arrays = self._grow(num_states)
        _enter_merge(arrays, first, second, target)

    def _grow(self, num_states: int) -> ParserArrays:
        old = self.arrays
        num_slots = old.merge_first.size
        while 2 * self._num_merges > num_slots:
            num_slots *= 4
        new = _new_arrays(
            max(2 * num_states, old.lexer_start.size),
            max(2 * self._num_lexers, old.lexers.size),
            max(2 * self._num_gotos, old.goto_target.size),
            num_slots,
        )
        for name in ParserArrays._fields:
            if not name.startswith("merge_"):
                before = getattr(old, name)
                getattr(new, name)[: before.size] = before
        for slot in np.flatnonzero(old.merge_first != EMPTY).tolist():
            _enter_merge(
                new,
                int(old.merge_first[slot]),
                int(old.merge_second[slot]),
                int(old.merge_target[slot]),
            )
        self.arrays = new
        return new


def _new_arrays(num_states: int, num_lexers: int, num_gotos: int, num_slots: int) -> ParserArrays:
    sizes = dict.fromkeys(ParserArrays._fields, num_states)
    sizes["lexers"] = num_lexers
    sizes["goto_terminal"] = sizes["goto_target"] = num_gotos
    sizes["merge_first"] = sizes["merge_second"] = sizes["merge_target"] = num_slots
    # In one block: an allocation costs more than all that is in a small grammar's arrays.
    block = np.zeros(sum(sizes.values()), np.int32)
    columns = {}
    first = 0
    for name, size in sizes.items():
        columns[name] = block[first : first + size]
        first += size
    arrays = ParserArrays(**columns)
    arrays.lexer_start.fill(NOT_LOWERED)
    arrays.lowest.fill(NO_HEIGHT)
    arrays.merge_first.fill(EMPTY)
    return arrays


def _enter_merge(arrays: ParserArrays, first: int, second: int, target: int) -> None:
    last = arrays.merge_first.size - 1
    slot = (first * MERGE_FACTOR + second) & last
    while arrays.merge_first[slot] != EMPTY:
        slot = (slot + 1) & last
    arrays.merge_second[slot] = second
    arrays.merge_target[slot] = target
    # Written last: whoever sees it may rely on the rest.
    arrays.merge_first[slot] = first


@kernel
def merged_state(parser: ParserArrays, first: int, second: int) -> int:
    """The state that goes on as either of two states does, NOT_MERGED if it is not known yet."""
    if first == second:
        return first
    low, high = min(first, second), max(first, second)
    last = parser.merge_first.size - 1
    slot = (low * MERGE_FACTOR + high) & last
    while parser.merge_first[slot] != EMPTY:
        if parser.merge_first[slot] == low and parser.merge_second[slot] == high:
            found: int = parser.merge_target[slot]
            return found
        slot = (slot + 1) & last
    return NOT_MERGED

"""The part of a grammar's parser that kernels read."""

from __future__ import annotations

from typing import Final, NamedTuple

from syntagma.grammar.kernel_types import Int32Array, lean_kernel

# Columns of `ParserArrays.states`.
LEXER_START: Final = 0
LEXER_END: Final = 1
GOTO_START: Final = 2
GOTO_END: Final = 3
LOWEST: Final = 4
CAN_END: Final = 5
NUM_COLUMNS: Final = 6

NOT_LOWERED: Final = -1

# The height of a parser state that did not look at the stack: above all others.
NO_HEIGHT: Final = 2**31 - 1

# Of the table of merged states: a free slot, an unknown pair, and what spreads the pairs.
EMPTY: Final = -1
NOT_MERGED: Final = -1
MERGE_FACTOR: Final = 31


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


@lean_kernel
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

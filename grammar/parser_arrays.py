"""The parser states of one grammar as kernels that walk read them."""

from __future__ import annotations

from typing import Final, NamedTuple

from syntagma.grammar.kernel_types import Int32Array, Int64Array, lean_kernel

# Columns of states and of other sets of pairs: where their pairs begin and end.
FIRST_PAIR: Final = 0
LAST_PAIR: Final = 1
# More columns of states.
LEXER_START: Final = 2
LEXER_END: Final = 3
GOTO_START: Final = 4
GOTO_END: Final = 5
IS_DOUBTFUL: Final = 6
CAN_END: Final = 7
NUM_COLUMNS: Final = 8

NOT_LOWERED: Final = -1

# Of the hash tables: a free slot, an unknown pair, and what spreads the pairs.
EMPTY: Final = -1
NOT_MERGED: Final = -1
MERGE_FACTOR: Final = 31


class ParserArrays(NamedTuple):
    """What kernels that walk read.

    Attributes:
        states: int32[num_states, 8]. The state has the (position, stack) pairs
            ``items[FIRST_PAIR:LAST_PAIR]`` (`lowering_arrays`), runs the lexer states
            ``lexers[LEXER_START:LEXER_END]`` (LEXER_START is NOT_LOWERED until it is needed) and has the
            moves ``gotos[GOTO_START:GOTO_END]``. IS_DOUBTFUL: 1 if it asks for a text that is not
            known (see `captures`). CAN_END: 1 if the output may end here.
        lexers: int32[L], lexer states.
        gotos: int32[G, 2], (terminal, parser state behind it); ascending and distinct terminals.
        merges: int32[M, 3], a hash table of merged states (`merged_state`).
        context: int64[2 * CONTEXT_SIZE], a parser's context, for `state_kernels`; empty if kernels cannot
            lower states.
    """

    states: Int32Array
    lexers: Int32Array
    gotos: Int32Array
    merges: Int32Array
    context: Int64Array


@lean_kernel
def merged_state(merges: Int32Array, first: int, second: int) -> int:
    """The state that goes on as either of two states does, NOT_MERGED if it is not known yet."""
    if first == second:
        return first
    low, high = min(first, second), max(first, second)
    last = merges.shape[0] - 1
    slot = (low * MERGE_FACTOR + high) & last
    while merges[slot, 0] != EMPTY:
        if merges[slot, 0] == low and merges[slot, 1] == high:
            found: int = merges[slot, 2]
            return found
        slot = (slot + 1) & last
    return NOT_MERGED


@lean_kernel
def enter_merge(merges: Int32Array, merged: Int32Array, number: int) -> None:
    """Enter a pair of states and what they merge into; there must be a free slot.

    Args:
        merges: int32[M, 3], the hash table, M a power of two.
        merged: int32[N, 3], (first state, second state, target), the states ascending.
        number: which row of ``merged``.
    """
    last = merges.shape[0] - 1
    slot = (int(merged[number, 0]) * MERGE_FACTOR + merged[number, 1]) & last
    while merges[slot, 0] != EMPTY:
        slot = (slot + 1) & last
    merges[slot, 1] = merged[number, 1]
    merges[slot, 2] = merged[number, 2]
    # Written last: whoever sees it may rely on the rest.
    merges[slot, 0] = merged[number, 0]

"""Numba kernels on configs.

A *config* is a parser state and a lexer state; a matcher state is a set of configs. Reading a byte
moves the lexer; where a terminal is complete, the byte may instead begin the next terminal, in the
parser states behind the complete one. So configs are *opened* before a byte is read: those that begin
behind complete terminals join them. Because grammars are pruned, whatever is alive can be completed, so a
token is allowed exactly when a config survives its last byte.
"""

from __future__ import annotations

from typing import Final

from syntagma.grammar.kernel_types import (
    Int32Array,
    Int64Array,
    inlined_kernel,
    kernel,
    lean_kernel,
)
from syntagma.grammar.lexer_arrays import ACCEPTS, DEAD_STATE, LexerArrays, next_state
from syntagma.grammar.lowering_kernels import DONE
from syntagma.grammar.parser_arrays import (
    CAN_END,
    GOTO_END,
    GOTO_START,
    IS_DOUBTFUL,
    LEXER_END,
    LEXER_START,
    NOT_LOWERED,
    NOT_MERGED,
    ParserArrays,
    merged_state,
)
from syntagma.grammar.state_kernels import lower_state, merge_states

FIRST_CONFIGS: Final = 64
NO_ROOM: Final = -1
INCOMPLETE: Final = -2
NO_STATE: Final = -1

# More parser states than these that begin behind one byte go on as one, or an ambiguous grammar's
# configs would multiply with every byte.
MERGE_ABOVE: Final = 4

# Places in the array of a walk's progress.
NUM_MISSING: Final = 0
HAS_DOUBTED: Final = 1
NUM_INCOMPLETE: Final = 2
NUM_WIDE: Final = 3
MAY_END: Final = 4
NUM_VISITED: Final = 5
NUM_BORN: Final = 6
NUM_NARROW: Final = 7
PROGRESS_SIZE: Final = 8


@lean_kernel
def state_behind(parser: ParserArrays, parser_state: int, terminal: int) -> int:
    """The parser state behind a terminal, NO_STATE if it may not come."""
    low: int = parser.states[parser_state, GOTO_START]
    end: int = parser.states[parser_state, GOTO_END]
    high = end
    while low < high:
        middle = (low + high) >> 1
        if parser.gotos[middle, 0] < terminal:
            low = middle + 1
        else:
            high = middle
    if low == end or parser.gotos[low, 0] != terminal:
        return NO_STATE
    behind: int = parser.gotos[low, 1]
    return behind


@kernel
def _report(missing: Int32Array, progress: Int64Array, states: Int32Array, count: int) -> None:
    """Note states that must be merged: minus their number, then the states, as many as there is room."""
    room = missing.size - progress[NUM_MISSING]
    count = min(count, room - 1)
    if count < 2:
        return
    at = progress[NUM_MISSING]
    missing[at] = -count
    missing[at + 1 : at + 1 + count] = states[:count]
    progress[NUM_MISSING] += 1 + count


@kernel
def _merge_born(
    parser: ParserArrays, born: Int32Array, num_born: int, missing: Int32Array, progress: Int64Array
) -> int:
    """Merge the parser states that begin behind one byte into the first; 1, or 0 if that is to come."""
    born[:num_born].sort()
    for i in range(1, num_born):
        result = merged_state(parser.merges, born[0], born[i])
        if result == NOT_MERGED and parser.context.size > 0:
            result = merge_states(parser.context, born[0], born[i])
        if result < 0:
            born[i - 1] = born[0]
            _report(missing, progress, born[i - 1 :], num_born - i + 1)
            return 0
        born[0] = result
    return 1


@lean_kernel
def is_lowered(parser: ParserArrays, state: int) -> bool:
    """Whether it is known what may follow a parser state, now if it can be."""
    if parser.states[state, LEXER_START] != NOT_LOWERED:
        return True
    return parser.context.size > 0 and lower_state(parser.context, state) == DONE


@inlined_kernel
def open_configs(
    lexer: LexerArrays,
    parser: ParserArrays,
    configs: Int32Array,
    begin: int,
    end: int,
    born: Int32Array,
    missing: Int32Array,
    progress: Int64Array,
) -> int:
    """Write the configs that begin behind complete terminals behind ``end``.

    Returns:
        Where they end, NO_ROOM, or INCOMPLETE if parser states are missing. ``born`` gets the
        parser states behind the terminals, progress[NUM_BORN] how many.
    """
    num_born = 0
    is_incomplete = False
    for i in range(begin, end):
        listed = lexer.states[configs[i, 1], ACCEPTS]
        for a in range(listed + 1, listed + 1 + lexer.accepts[listed]):
            behind = state_behind(parser, configs[i, 0], lexer.accepts[a])
            is_new = behind != NO_STATE
            for b in range(num_born):
                if born[b] == behind:
                    is_new = False
                    break
            if is_new:
                if num_born == born.size:
                    return NO_ROOM
                born[num_born] = behind
                num_born += 1
    if num_born > MERGE_ABOVE:
        num_born = _merge_born(parser, born, num_born, missing, progress)
        is_incomplete = num_born == 0
    opened = end
    for b in range(num_born):
        target = born[b]
        if not is_lowered(parser, target):
            is_incomplete = True
            if progress[NUM_MISSING] < missing.size:
                missing[progress[NUM_MISSING]] = target
                progress[NUM_MISSING] += 1
            continue
        first = parser.states[target, LEXER_START]
        progress[HAS_DOUBTED] |= parser.states[target, IS_DOUBTFUL]
        last = parser.states[target, LEXER_END]
        if opened + last - first > configs.shape[0]:
            return NO_ROOM
        for s in range(first, last):
            configs[opened, 0] = target
            configs[opened, 1] = parser.lexers[s]
            opened += 1
    progress[NUM_BORN] = num_born
    return INCOMPLETE if is_incomplete else opened


@lean_kernel
def may_end(
    lexer: LexerArrays,
    parser: ParserArrays,
    configs: Int32Array,
    count: int,
    missing: Int32Array,
    progress: Int64Array,
) -> int:
    """Whether the output may end behind a terminal that is complete in some configs: 1 or 0.

    INCOMPLETE if a parser state is missing that it depends on.
    """
    is_incomplete = False
    for i in range(count):
        listed = lexer.states[configs[i, 1], ACCEPTS]
        for a in range(listed + 1, listed + 1 + lexer.accepts[listed]):
            behind = state_behind(parser, configs[i, 0], lexer.accepts[a])
            if behind == NO_STATE:
                continue
            if is_lowered(parser, behind):
                if parser.states[behind, CAN_END] == 1:
                    return 1
            else:
                is_incomplete = True
                if progress[NUM_MISSING] < missing.size:
                    missing[progress[NUM_MISSING]] = behind
                    progress[NUM_MISSING] += 1
    return INCOMPLETE if is_incomplete else 0


@inlined_kernel
def step_configs(lexer: LexerArrays, configs: Int32Array, begin: int, end: int, byte: int) -> int:
    """Write the configs after one byte behind ``end``; returns how many, or NO_ROOM.

    Args:
        begin, end: opened configs.
    """
    if 2 * end - begin > configs.shape[0]:
        return NO_ROOM
    after_last = end
    for i in range(begin, end):
        after = next_state(lexer, configs[i, 1], byte)
        if after == DEAD_STATE:
            continue
        is_new = True
        for k in range(end, after_last):
            if configs[k, 1] == after and configs[k, 0] == configs[i, 0]:
                is_new = False
                break
        if is_new:
            configs[after_last, 0] = configs[i, 0]
            configs[after_last, 1] = after
            after_last += 1
    return after_last - end


@inlined_kernel
def move_configs(configs: Int32Array, begin: int, count: int, to: int) -> None:
    """Copy some configs to an earlier place."""
    for i in range(count):
        configs[to + i, 0] = configs[begin + i, 0]
        configs[to + i, 1] = configs[begin + i, 1]

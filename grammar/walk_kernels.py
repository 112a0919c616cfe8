"""Numba kernels that walk tries with parser configs.

A *config* is a parser state and a lexer state; a matcher state is a set of configs. Reading a byte
moves the lexer; where a terminal is complete, the byte may instead begin the next terminal, in the
parser states behind the complete one. Because grammars are pruned, whatever is alive can be
completed, so a token is allowed exactly when a config survives its last byte.
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar.bitmask_kernels import set_bit
from syntagma.grammar.kernel_types import Int32Array, UInt8Array, kernel
from syntagma.grammar.lexer_arrays import (
    DEAD_STATE,
    LexerArrays,
    first_accept,
    next_state,
    num_accepts,
)
from syntagma.grammar.parser_arrays import NOT_LOWERED, ParserArrays

FIRST_CONFIGS = 64
NO_ROOM = -1


@kernel
def _add_config(configs: Int32Array, first: int, count: int, parser: int, state: int) -> int:
    for i in range(first, first + count):
        if configs[i, 0] == parser and configs[i, 1] == state:
            return count
    configs[first + count, 0] = parser
    configs[first + count, 1] = state
    return count + 1


@kernel
def _with_more_room(configs: Int32Array) -> Int32Array:
    bigger = np.zeros((2 * configs.shape[0], 2), np.int32)
    bigger[: configs.shape[0]] = configs
    return bigger


@kernel
def _first_goto(parser: ParserArrays, parser_state: int, terminal: int) -> int:
    """The first of a parser state's moves, which are sorted, that is not below a terminal."""
    low: int = parser.goto_start[parser_state]
    high: int = parser.goto_end[parser_state]
    while low < high:
        middle = (low + high) >> 1
        if parser.goto_terminal[middle] < terminal:
            low = middle + 1
        else:
            high = middle
    return low


@kernel
def _read_byte(
    lexer: LexerArrays,
    parser: ParserArrays,
    configs: Int32Array,
    begin: int,
    end: int,
    byte: int,
    missing: Int32Array,
    num_missing: int,
) -> tuple[int, int]:
    """Write the configs after one byte behind ``end``.

    Returns:
        (how many, or NO_ROOM if they do not fit; number of parser states met that are not lowered).
    """
    count = 0
    for i in range(begin, end):
        parser_state = configs[i, 0]
        state = configs[i, 1]
        if end + count + 1 >= configs.shape[0]:
            return NO_ROOM, num_missing
        after = next_state(lexer, state, byte)
        if after != DEAD_STATE:
            count = _add_config(configs, end, count, parser_state, after)
        first = first_accept(lexer, state)
        for a in range(first, first + num_accepts(lexer, state)):
            terminal = lexer.accepts[a]
            g = _first_goto(parser, parser_state, terminal)
            while g < parser.goto_end[parser_state] and parser.goto_terminal[g] == terminal:
                target = parser.goto_target[g]
                g += 1
                if parser.lexer_start[target] == NOT_LOWERED:
                    if num_missing < missing.size:
                        missing[num_missing] = target
                        num_missing += 1
                    continue
                room = configs.shape[0] - end - count
                if parser.lexer_end[target] - parser.lexer_start[target] >= room:
                    return NO_ROOM, num_missing
                for s in range(parser.lexer_start[target], parser.lexer_end[target]):
                    after = next_state(lexer, parser.lexers[s], byte)
                    if after != DEAD_STATE:
                        count = _add_config(configs, end, count, target, after)
    return count, num_missing


@kernel
def walk_configs(
    byte: UInt8Array,
    depth: Int32Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    max_depth: int,
    lexer: LexerArrays,
    parser: ParserArrays,
    initial: Int32Array,
    row: Int32Array,
    missing: Int32Array,
) -> int:
    """Allow the tokens that configs at the root of a trie can read.

    Args:
        byte .. max_depth: a trie.
        initial: int32[K, 2], the configs at the root.
        row: int32[words], gets a bit for each surviving token.
        missing: int32[M], gets parser states that were met but are not lowered; their subtrees are
            skipped and the caller walks again.

    Returns:
        The number of missing parser states.
    """
    configs = np.zeros((FIRST_CONFIGS + 2 * initial.shape[0], 2), np.int32)
    configs[: initial.shape[0]] = initial
    # The configs of level k are those from level_start[k] to level_start[k + 1].
    level_start = np.zeros(max_depth + 2, np.int32)
    level_start[1] = initial.shape[0]
    num_missing = 0
    node = 1
    while node < byte.size:
        level = depth[node]
        end = level_start[level]
        count, num_missing = _read_byte(
            lexer, parser, configs, level_start[level - 1], end, byte[node], missing, num_missing
        )
        if count == NO_ROOM:
            configs = _with_more_room(configs)
            continue
        if count == 0:
            node = subtree_end[node]
            continue
        level_start[level + 1] = end + count
        for t in range(token_start[node], token_start[node + 1]):
            set_bit(row, token_ids[t])
        node += 1
    return num_missing


@kernel
def read_bytes(
    text: UInt8Array,
    lexer: LexerArrays,
    parser: ParserArrays,
    initial: Int32Array,
    missing: Int32Array,
) -> tuple[int, Int32Array]:
    """The configs after a text.

    Args:
        initial: int32[K, 2], configs to start in.
        missing: as in `walk_configs`.

    Returns:
        (number of missing parser states, configs int32[C, 2]).
    """
    configs = np.zeros((FIRST_CONFIGS + 2 * initial.shape[0], 2), np.int32)
    count = initial.shape[0]
    configs[:count] = initial
    num_missing = 0
    position = 0
    while position < text.size and count > 0:
        after, num_missing = _read_byte(
            lexer, parser, configs, 0, count, text[position], missing, num_missing
        )
        if after == NO_ROOM:
            configs = _with_more_room(configs)
            continue
        for i in range(after):
            configs[i] = configs[count + i]
        count = after
        position += 1
    return num_missing, configs[:count].copy()

"""Numba kernels that walk tries with lexer states and parser configs.

A *config* is a parser state and a lexer state; a matcher state is a set of configs. Reading a byte
moves the lexer; where a terminal is complete, the byte may instead begin the next terminal, in the
parser states behind the complete one. Because grammars are pruned, whatever is alive can be
completed, so a token is allowed exactly when a config survives its last byte.
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import grown
from syntagma.grammar.kernel_types import Int32Array, UInt8Array, kernel
from syntagma.grammar.lexer_pool import LexerArrays
from syntagma.grammar.parser_arrays import NOT_LOWERED, ParserArrays

FIRST_CONFIGS = 64
NO_ROOM = -1


@kernel
def set_bit(row: Int32Array, token_id: int) -> None:
    """Allow one token in a packed row."""
    row[token_id >> 5] |= np.int32(1) << np.int32(token_id & 31)


@kernel
def has_bit(row: Int32Array, token_id: int) -> bool:
    """Whether a token is allowed in a packed row."""
    return bool((row[token_id >> 5] >> np.int32(token_id & 31)) & np.int32(1))


@kernel
def clear_bit(row: Int32Array, token_id: int) -> None:
    """Forbid one token in a packed row."""
    row[token_id >> 5] &= ~(np.int32(1) << np.int32(token_id & 31))


@kernel
def next_state(lexer: LexerArrays, state: int, byte: int) -> int:
    """The lexer state after one byte, 0 if dead."""
    column = lexer.class_maps[lexer.class_map_of[state], byte]
    after: int = lexer.table[lexer.row_of[state] + column]
    return after


@kernel
def walk_interior(
    byte: UInt8Array,
    depth: Int32Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    max_depth: int,
    lexer: LexerArrays,
    state: int,
    row: Int32Array,
) -> tuple[Int32Array, Int32Array]:
    """Allow the tokens that keep a lexer state alive; report where terminals end inside tokens.

    Args:
        byte .. token_ids: the token trie.
        max_depth: of the trie.
        state: the lexer state to start in.
        row: int32[words], gets a bit for each surviving token.

    Returns:
        (nodes, terminals): at each node, which has more below it, the terminal may be complete.
    """
    states = np.zeros(max_depth + 1, np.int32)
    states[0] = state
    exit_nodes = np.empty(64, np.int32)
    exit_terminals = np.empty(64, np.int32)
    num_exits = 0
    node = 1
    while node < byte.size:
        level = depth[node]
        after = next_state(lexer, states[level - 1], byte[node])
        if after == 0:
            node = subtree_end[node]
            continue
        states[level] = after
        for t in range(token_start[node], token_start[node + 1]):
            set_bit(row, token_ids[t])
        if subtree_end[node] > node + 1:
            for a in range(lexer.accept_start[after], lexer.accept_start[after + 1]):
                exit_nodes = grown(exit_nodes, num_exits + 1)
                exit_terminals = grown(exit_terminals, num_exits + 1)
                exit_nodes[num_exits] = node
                exit_terminals[num_exits] = lexer.accepts[a]
                num_exits += 1
        node += 1
    return exit_nodes[:num_exits].copy(), exit_terminals[:num_exits].copy()


@kernel
def walk_against_base(
    byte: UInt8Array,
    depth: Int32Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    max_depth: int,
    lexer: LexerArrays,
    state: int,
    base: int,
    row: Int32Array,
) -> tuple[Int32Array, Int32Array, Int32Array]:
    """`walk_interior` for a state that soon behaves like another one, whose row is known.

    Both states read along; where they have become the same state, the rest of the subtree is as in
    the base's row. So only the tokens on which the two differ are visited.

    Args:
        state, base: the lexer states.
        row: int32[words], a copy of the base's interior row; gets corrected.

    Returns:
        (nodes, terminals, disputed): exits as in `walk_interior`, of ``state`` and where the two
        differ only; the tokens below nodes where they differ and the base's terminal may be complete.
    """
    states = np.zeros(max_depth + 1, np.int32)
    bases = np.zeros(max_depth + 1, np.int32)
    states[0] = state
    bases[0] = base
    exit_nodes = np.empty(16, np.int32)
    exit_terminals = np.empty(16, np.int32)
    disputed = np.empty(16, np.int32)
    num_exits = 0
    num_disputed = 0
    node = 1
    while node < byte.size:
        level = depth[node]
        after = 0
        base_after = 0
        if states[level - 1] != 0:
            after = next_state(lexer, states[level - 1], byte[node])
        if bases[level - 1] != 0:
            base_after = next_state(lexer, bases[level - 1], byte[node])
        if after == base_after:
            node = subtree_end[node]
            continue
        states[level] = after
        bases[level] = base_after
        for t in range(token_start[node], token_start[node + 1]):
            if after != 0:
                set_bit(row, token_ids[t])
            else:
                clear_bit(row, token_ids[t])
        if subtree_end[node] > node + 1:
            for a in range(lexer.accept_start[after], lexer.accept_start[after + 1]):
                exit_nodes = grown(exit_nodes, num_exits + 1)
                exit_terminals = grown(exit_terminals, num_exits + 1)
                exit_nodes[num_exits] = node
                exit_terminals[num_exits] = lexer.accepts[a]
                num_exits += 1
            if lexer.accept_start[base_after] < lexer.accept_start[base_after + 1]:
                first = token_start[node + 1]
                last = token_start[subtree_end[node]]
                disputed = grown(disputed, num_disputed + last - first)
                disputed[num_disputed : num_disputed + last - first] = token_ids[first:last]
                num_disputed += last - first
        node += 1
    return exit_nodes[:num_exits].copy(), exit_terminals[:num_exits].copy(), disputed[:num_disputed]


@kernel
def _add_config(configs: Int32Array, first: int, count: int, parser: int, state: int) -> int:
    for i in range(first, first + count):
        if configs[i, 0] == parser and configs[i, 1] == state:
            return count
    configs[first + count, 0] = parser
    configs[first + count, 1] = state
    return count + 1


@kernel
def _start_parser(
    lexer: LexerArrays,
    parser: ParserArrays,
    parser_state: int,
    byte: int,
    configs: Int32Array,
    first: int,
    count: int,
) -> int:
    """Begin the terminals of a lowered parser state with one byte."""
    for s in range(parser.lexer_start[parser_state], parser.lexer_end[parser_state]):
        after = next_state(lexer, parser.lexers[s], byte)
        if after != 0:
            count = _add_config(configs, first, count, parser_state, after)
    return count


@kernel
def _start_all(
    lexer: LexerArrays,
    parser: ParserArrays,
    parser_states: Int32Array,
    byte: int,
    configs: Int32Array,
) -> int:
    count = 0
    for parser_state in parser_states:
        num_lexers = parser.lexer_end[parser_state] - parser.lexer_start[parser_state]
        if count + num_lexers > configs.shape[0]:
            return NO_ROOM
        count = _start_parser(lexer, parser, parser_state, byte, configs, 0, count)
    return count


@kernel
def _with_more_room(configs: Int32Array) -> Int32Array:
    bigger = np.zeros((2 * configs.shape[0], 2), np.int32)
    bigger[: configs.shape[0]] = configs
    return bigger


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
        if after != 0:
            count = _add_config(configs, end, count, parser_state, after)
        for a in range(lexer.accept_start[state], lexer.accept_start[state + 1]):
            terminal = lexer.accepts[a]
            for g in range(parser.goto_start[parser_state], parser.goto_end[parser_state]):
                if parser.goto_terminal[g] != terminal:
                    continue
                target = parser.goto_target[g]
                if parser.lexer_start[target] == NOT_LOWERED:
                    if num_missing < missing.size:
                        missing[num_missing] = target
                        num_missing += 1
                    continue
                room = configs.shape[0] - end - count
                if parser.lexer_end[target] - parser.lexer_start[target] >= room:
                    return NO_ROOM, num_missing
                count = _start_parser(lexer, parser, target, byte, configs, end, count)
    return count, num_missing


@kernel
def walk_residual(
    byte: UInt8Array,
    depth: Int32Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    max_depth: int,
    lexer: LexerArrays,
    parser: ParserArrays,
    parser_states: Int32Array,
    row: Int32Array,
    missing: Int32Array,
) -> int:
    """Allow the tokens whose rest, behind a complete terminal, the parser can read.

    Args:
        byte .. max_depth: the residual trie of a lexer state and terminal.
        parser_states: int32[K], the lowered parser states behind the terminal.
        row: int32[words], gets a bit for each surviving token.
        missing: int32[M], gets parser states that were met but are not lowered; their subtrees are
            skipped and the caller walks again.

    Returns:
        The number of missing parser states.
    """
    configs = np.zeros((FIRST_CONFIGS, 2), np.int32)
    # Level k's configs are those from level_start[k] to level_start[k + 1]; level 0 has none, since
    # the root stands between two terminals: nothing to continue there, only to begin.
    level_start = np.zeros(max_depth + 2, np.int32)
    num_missing = 0
    node = 1
    while node < byte.size:
        level = depth[node]
        end = level_start[level]
        if level == 1:
            count = _start_all(lexer, parser, parser_states, byte[node], configs)
        else:
            count, num_missing = _read_byte(
                lexer,
                parser,
                configs,
                level_start[level - 1],
                end,
                byte[node],
                missing,
                num_missing,
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
        missing: as in `walk_residual`.

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
        configs[:after] = configs[count : count + after].copy()
        count = after
        position += 1
    return num_missing, configs[:count].copy()

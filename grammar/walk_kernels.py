"""Numba kernels that walk tries with lexer states and parser configs.

A *config* is a parser state and a lexer state; a matcher state is a set of configs. Reading a byte
moves the lexer; where a terminal is complete, the byte may instead begin the next terminal, in the
parser states behind the complete one. Because grammars are pruned, whatever is alive can be
completed, so a token is allowed exactly when a config survives its last byte.
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import grown
from syntagma.grammar.bitmask_kernels import clear_bit, set_bit
from syntagma.grammar.kernel_types import BoolArray, Int32Array, UInt8Array, kernel
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
        if after == DEAD_STATE:
            node = subtree_end[node]
            continue
        states[level] = after
        for t in range(token_start[node], token_start[node + 1]):
            set_bit(row, token_ids[t])
        if subtree_end[node] > node + 1 and num_accepts(lexer, after):
            first = first_accept(lexer, after)
            for a in range(first, first + num_accepts(lexer, after)):
                exit_nodes = grown(exit_nodes, num_exits + 1)
                exit_terminals = grown(exit_terminals, num_exits + 1)
                exit_nodes[num_exits] = node
                exit_terminals[num_exits] = lexer.accepts[a]
                num_exits += 1
        node += 1
    return exit_nodes[:num_exits].copy(), exit_terminals[:num_exits].copy()


@kernel
def _same_accepts(lexer: LexerArrays, state: int, other: int) -> bool:
    count = num_accepts(lexer, state)
    if count != num_accepts(lexer, other):
        return False
    for a in range(count):
        same: bool = (
            lexer.accepts[first_accept(lexer, state) + a]
            == lexer.accepts[first_accept(lexer, other) + a]
        )
        if not same:
            return False
    return True


@kernel
def walk_against_base(
    byte: UInt8Array,
    depth: Int32Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    max_depth: int,
    height: Int32Array,
    has_mark: BoolArray,
    lexer: LexerArrays,
    state: int,
    base: int,
    first_state: int,
    partner: Int32Array,
    distance: Int32Array,
    row: Int32Array,
) -> tuple[Int32Array, Int32Array, Int32Array]:
    """`walk_interior` for a state that behaves much like another one, whose row is known.

    Both states read along; where they have become the same state, or are known to behave alike for
    as long as tokens go on there, the rest of the subtree is as in the base's row. So only the
    tokens on which the two may differ are visited.

    Args:
        height, has_mark: per node, see `subtree_heights`; distances hold where there is no mark.
        state, base: the lexer states.
        first_state, partner, distance: what `pair_distances` found out, states counted from
            ``first_state``; empty: nothing is known, and terminals must be the same to count as equal.
        row: int32[words], a copy of the base's interior row; gets corrected.

    Returns:
        (nodes, terminals, removed): exits as in `walk_interior` where they are not the base's, and
        the nodes of those exits of the base that are not the state's.
    """
    states = np.zeros(max_depth + 1, np.int32)
    bases = np.zeros(max_depth + 1, np.int32)
    states[0] = state
    bases[0] = base
    exit_nodes = np.empty(16, np.int32)
    exit_terminals = np.empty(16, np.int32)
    removed = np.empty(16, np.int32)
    num_exits = 0
    num_removed = 0
    node = 1
    while node < byte.size:
        level = depth[node]
        after = 0
        base_after = 0
        if states[level - 1] != DEAD_STATE:
            after = next_state(lexer, states[level - 1], byte[node])
        if bases[level - 1] != DEAD_STATE:
            base_after = next_state(lexer, bases[level - 1], byte[node])
        if after == base_after:
            node = subtree_end[node]
            continue
        if partner.size > 0 and after != DEAD_STATE and base_after != DEAD_STATE:
            known = after - first_state
            if (
                partner[known] == base_after
                and distance[known] > height[node]
                and not has_mark[node]
            ):
                node = subtree_end[node]
                continue
        states[level] = after
        bases[level] = base_after
        if (after == DEAD_STATE) != (base_after == DEAD_STATE):
            for t in range(token_start[node], token_start[node + 1]):
                if after != DEAD_STATE:
                    set_bit(row, token_ids[t])
                else:
                    clear_bit(row, token_ids[t])
        if subtree_end[node] > node + 1:
            is_complete = num_accepts(lexer, after) > 0
            base_is_complete = num_accepts(lexer, base_after) > 0
            is_same = is_complete == base_is_complete
            if is_same and is_complete and partner.size == 0:
                is_same = _same_accepts(lexer, after, base_after)
            if not is_same:
                if base_is_complete:
                    removed = grown(removed, num_removed + 1)
                    removed[num_removed] = node
                    num_removed += 1
                first = first_accept(lexer, after)
                for a in range(first, first + num_accepts(lexer, after)):
                    exit_nodes = grown(exit_nodes, num_exits + 1)
                    exit_terminals = grown(exit_terminals, num_exits + 1)
                    exit_nodes[num_exits] = node
                    exit_terminals[num_exits] = lexer.accepts[a]
                    num_exits += 1
        node += 1
    return (
        exit_nodes[:num_exits].copy(),
        exit_terminals[:num_exits].copy(),
        removed[:num_removed].copy(),
    )


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

"""Numba kernels that walk tries with parser configs.

A *config* is a parser state and a lexer state; a matcher state is a set of configs. Reading a byte
moves the lexer; where a terminal is complete, the byte may instead begin the next terminal, in the
parser states behind the complete one. Because grammars are pruned, whatever is alive can be
completed, so a token is allowed exactly when a config survives its last byte.
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar.bitmask_kernels import set_bit
from syntagma.grammar.kernel_types import Int32Array, Int64Array, UInt8Array, inlined_kernel, kernel
from syntagma.grammar.lexer_arrays import (
    DEAD_STATE,
    LexerArrays,
    first_accept,
    next_state,
    num_accepts,
)
from syntagma.grammar.parser_arrays import (
    NOT_LOWERED,
    NOT_MERGED,
    ParserArrays,
    merged_state,
)

FIRST_CONFIGS = 64
NO_ROOM = -1

# More parser states than these that begin behind one byte go on as one, or an ambiguous grammar's
# configs would multiply with every byte.
MERGE_ABOVE = 4

# Places in the array of a walk's progress.
NUM_MISSING, LOWEST, NUM_SKIPPED, NUM_INCOMPLETE = 0, 1, 2, 3
TOO_MANY = -1


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
    """Merge the parser states that begin behind one byte into the first; returns how many are left."""
    born[:num_born].sort()
    for i in range(1, num_born):
        result = merged_state(parser, born[0], born[i])
        if result == NOT_MERGED:
            progress[NUM_SKIPPED] += 1
            born[i - 1] = born[0]
            _report(missing, progress, born[i - 1 :], num_born - i + 1)
            return 0
        born[0] = result
    return 1


@inlined_kernel
def _read_byte(
    lexer: LexerArrays,
    parser: ParserArrays,
    configs: Int32Array,
    born: Int32Array,
    begin: int,
    end: int,
    byte: int,
    missing: Int32Array,
    progress: Int64Array,
) -> int:
    """Write the configs after one byte behind ``end``; returns how many, or NO_ROOM."""
    count = 0
    num_born = 0
    for i in range(begin, end):
        parser_state = configs[i, 0]
        state = configs[i, 1]
        if end + count + 1 >= configs.shape[0]:
            return NO_ROOM
        after = next_state(lexer, state, byte)
        if after != DEAD_STATE:
            count = _add_config(configs, end, count, parser_state, after)
        first = first_accept(lexer, state)
        for a in range(first, first + num_accepts(lexer, state)):
            g = _first_goto(parser, parser_state, lexer.accepts[a])
            if g == parser.goto_end[parser_state] or parser.goto_terminal[g] != lexer.accepts[a]:
                continue
            is_new = True
            for b in range(num_born):
                if born[b] == parser.goto_target[g]:
                    is_new = False
                    break
            if is_new:
                if num_born == born.size:
                    return NO_ROOM
                born[num_born] = parser.goto_target[g]
                num_born += 1
    if num_born > MERGE_ABOVE:
        num_born = _merge_born(parser, born, num_born, missing, progress)
    for b in range(num_born):
        target = born[b]
        if parser.lexer_start[target] == NOT_LOWERED:
            progress[NUM_SKIPPED] += 1
            if progress[NUM_MISSING] < missing.size:
                missing[progress[NUM_MISSING]] = target
                progress[NUM_MISSING] += 1
            continue
        progress[LOWEST] = min(progress[LOWEST], parser.lowest[target])
        if parser.lexer_end[target] - parser.lexer_start[target] >= configs.shape[0] - end - count:
            return NO_ROOM
        for s in range(parser.lexer_start[target], parser.lexer_end[target]):
            after = next_state(lexer, parser.lexers[s], byte)
            if after != DEAD_STATE:
                count = _add_config(configs, end, count, target, after)
    return count


@kernel
def _configs_above(
    byte: UInt8Array,
    subtree_end: Int32Array,
    node: int,
    lexer: LexerArrays,
    parser: ParserArrays,
    configs: Int32Array,
    born: Int32Array,
    count: int,
    missing: Int32Array,
    progress: Int64Array,
) -> int:
    """Read the bytes from the root to a node's parent; the configs replace those at the front.

    Returns:
        How many there are, or NO_ROOM.
    """
    current = 1
    while count > 0:
        while subtree_end[current] <= node:
            current = subtree_end[current]
        if current == node:
            break
        after = _read_byte(lexer, parser, configs, born, 0, count, byte[current], missing, progress)
        if after == NO_ROOM:
            return NO_ROOM
        for i in range(after):
            configs[i] = configs[count + i]
        count = after
        current += 1
    return count


@kernel
def walk_configs(
    byte: UInt8Array,
    depth: Int32Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    max_depth: int,
    nodes: Int32Array,
    lexer: LexerArrays,
    parser: ParserArrays,
    initial: Int32Array,
    row: Int32Array,
    missing: Int32Array,
    progress: Int64Array,
) -> None:
    """Allow the tokens that configs at the root of a trie can read.

    Where the parser has not gone yet the walk goes on without; the nodes at which it did are reported,
    so that another walk, when the parser is ready, need only look there.

    Args:
        byte .. max_depth: a trie.
        nodes: int32[N], ascending; only these and what is below them are walked. Gets the nodes that
            are incomplete, as many as it has room for.
        initial: int32[K, 2], the configs at the root.
        row: int32[words], gets a bit for each surviving token.
        missing: int32[M], gets what the parser must do before the walk is complete: states that
            are not lowered yet, and groups to merge (minus their number, then the states).
        progress: int64[4]. [NUM_MISSING] must be 0 and becomes how much of ``missing`` is in use;
            [LOWEST] is lowered to the lowest height at which a parser state met looked at its stack;
            [NUM_INCOMPLETE] is how many of ``nodes`` to walk and becomes how many are incomplete, or
            TOO_MANY; [NUM_SKIPPED] grows with all that is skipped.
    """
    configs = np.zeros((FIRST_CONFIGS + 2 * initial.shape[0], 2), np.int32)
    born = np.zeros(configs.shape[0], np.int32)
    # The configs of level k are those from level_start[k] to level_start[k + 1].
    level_start = np.zeros(max_depth + 2, np.int32)
    num_nodes = progress[NUM_INCOMPLETE]
    tops = nodes[:num_nodes].copy()
    num_incomplete = 0
    done_until = 0
    t = 0
    while t < num_nodes:
        top = tops[t]
        if top < done_until:
            t += 1
            continue
        configs[: initial.shape[0]] = initial
        skipped_before = progress[NUM_SKIPPED]
        count = _configs_above(
            byte,
            subtree_end,
            top,
            lexer,
            parser,
            configs,
            born,
            initial.shape[0],
            missing,
            progress,
        )
        if count == NO_ROOM:
            configs = _with_more_room(configs)
            born = np.zeros(configs.shape[0], np.int32)
            continue
        is_incomplete = progress[NUM_SKIPPED] != skipped_before
        level_start[depth[top] - 1] = 0
        level_start[depth[top]] = count
        node = top
        while node < subtree_end[top]:
            level = depth[node]
            end = level_start[level]
            skipped_before = progress[NUM_SKIPPED]
            count = _read_byte(
                lexer,
                parser,
                configs,
                born,
                level_start[level - 1],
                end,
                byte[node],
                missing,
                progress,
            )
            if count == NO_ROOM:
                configs = _with_more_room(configs)
                born = np.zeros(configs.shape[0], np.int32)
                continue
            if progress[NUM_SKIPPED] != skipped_before or is_incomplete:
                is_incomplete = False
                if num_incomplete < nodes.size:
                    nodes[num_incomplete] = node
                num_incomplete += 1
            if count == 0:
                node = subtree_end[node]
                continue
            level_start[level + 1] = end + count
            for i in range(token_start[node], token_start[node + 1]):
                set_bit(row, token_ids[i])
            node += 1
        done_until = subtree_end[top]
        t += 1
    progress[NUM_INCOMPLETE] = num_incomplete if num_incomplete <= nodes.size else TOO_MANY


@kernel
def read_bytes(
    text: UInt8Array,
    lexer: LexerArrays,
    parser: ParserArrays,
    initial: Int32Array,
    missing: Int32Array,
    progress: Int64Array,
) -> Int32Array:
    """The configs after a text, int32[C, 2].

    Args:
        initial: int32[K, 2], configs to start in.
        missing, progress: as in `walk_configs`.
    """
    configs = np.zeros((FIRST_CONFIGS + 2 * initial.shape[0], 2), np.int32)
    born = np.zeros(configs.shape[0], np.int32)
    count = initial.shape[0]
    configs[:count] = initial
    position = 0
    while position < text.size and count > 0:
        after = _read_byte(
            lexer, parser, configs, born, 0, count, text[position], missing, progress
        )
        if after == NO_ROOM:
            configs = _with_more_room(configs)
            born = np.zeros(configs.shape[0], np.int32)
            continue
        for i in range(after):
            configs[i] = configs[count + i]
        count = after
        position += 1
    return configs[:count].copy()

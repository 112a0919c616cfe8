"""Numba kernels that walk tries with parser configs (`config_kernels`).

Where a config would lead to many nodes, at the root or further down, it is left out and reported: what is
below there comes from the mask store.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from syntagma.grammar.alive_kernels import (
    KNOWLEDGE,
    NOT_KNOWN,
    ChildTrie,
    has_byte,
    is_wide,
    know_bytes,
)
from syntagma.grammar.bitmask_kernels import set_bit
from syntagma.grammar.config_kernels import (
    FIRST_CONFIGS,
    INCOMPLETE,
    MAY_END,
    NO_ROOM,
    NUM_BORN,
    NUM_INCOMPLETE,
    NUM_NARROW,
    NUM_VISITED,
    NUM_WIDE,
    move_configs,
    open_configs,
    step_configs,
)
from syntagma.grammar.kernel_types import (
    Int32Array,
    Int64Array,
    UInt64Array,
    kernel,
    lean_kernel,
)
from syntagma.grammar.lexer_arrays import LexerArrays
from syntagma.grammar.parser_arrays import CAN_END, ParserArrays

# Fewer children are tried one by one.
MANY_CHILDREN: Final = 3

TOO_MANY: Final = -1

# Columns of a walk's levels: the configs of the node that is open there, and its children to come.
BEGIN, END, NEXT, LAST = range(4)
# Columns of what is left out.
PARSER_STATE, LEXER_STATE, NODE = range(3)
WIDE_COLUMNS: Final = 3


@lean_kernel
def _is_left_out(wide: Int32Array, num_wide: int, parser: int, lexer: int, node: int) -> bool:
    for i in range(num_wide):
        if (
            wide[i, NODE] == node
            and wide[i, LEXER_STATE] == lexer
            and wide[i, PARSER_STATE] == parser
        ):
            return True
    return False


@lean_kernel
def _without_wide(
    trie: ChildTrie,
    lexer: LexerArrays,
    alive: UInt64Array,
    configs: Int32Array,
    begin: int,
    end: int,
    node: int,
    max_width: int,
    wide: Int32Array,
    progress: Int64Array,
    is_visit: bool,
) -> int:
    """Move the configs that lead to more than ``max_width`` nodes below a node to ``wide``.

    Args:
        begin, end: opened configs.
        is_visit: whether the node is visited; if it is only passed, on the way to one that was incomplete,
            the configs that were left out there before are left out again.

    Returns:
        Where those that stay end.
    """
    kept = begin
    num_wide = progress[NUM_WIDE]
    for i in range(begin, end):
        parser_state = configs[i, 0]
        lexer_state = configs[i, 1]
        if is_visit:
            is_out = num_wide < wide.shape[0] and is_wide(
                trie, lexer, alive, node, lexer_state, max_width
            )
            if is_out:
                wide[num_wide, PARSER_STATE] = parser_state
                wide[num_wide, LEXER_STATE] = lexer_state
                wide[num_wide, NODE] = node
                num_wide += 1
        else:
            is_out = _is_left_out(wide, num_wide, parser_state, lexer_state, node)
        if not is_out:
            configs[kept, 0] = parser_state
            configs[kept, 1] = lexer_state
            kept += 1
    progress[NUM_WIDE] = num_wide
    return kept


@lean_kernel
def _allowed_bytes(
    lexer: LexerArrays,
    alive: UInt64Array,
    configs: Int32Array,
    begin: int,
    end: int,
    allowed: UInt64Array,
    level: int,
) -> None:
    """Collect the bytes with which some opened configs go on."""
    for w in range(4):
        allowed[level, w] = 0
    for i in range(begin, end):
        state = configs[i, 1]
        if alive[state, KNOWLEDGE] == NOT_KNOWN:
            know_bytes(lexer, alive, state)
        for w in range(4):
            allowed[level, w] |= alive[state, w]


@lean_kernel
def _walk_below(
    trie: ChildTrie,
    top: int,
    nodes: Int32Array,
    num_incomplete: int,
    lexer: LexerArrays,
    alive: UInt64Array,
    parser: ParserArrays,
    initial: Int32Array,
    max_width: int,
    wide: Int32Array,
    configs: Int32Array,
    born: Int32Array,
    levels: Int64Array,
    allowed: UInt64Array,
    row: Int32Array,
    missing: Int32Array,
    progress: Int64Array,
) -> int:
    """Walk one node and what is below it; returns how many nodes are incomplete by now, or NO_ROOM."""
    count = initial.shape[0]
    for i in range(count):
        configs[i, 0] = initial[i, 0]
        configs[i, 1] = initial[i, 1]
    node = 0
    while count > 0 and node != top:
        opened = open_configs(lexer, parser, configs, 0, count, born, missing, progress)
        if opened < 0:
            return NO_ROOM
        if trie.subtree_end[node] - node > max_width:
            opened = _without_wide(
                trie, lexer, alive, configs, 0, opened, node, max_width, wide, progress, False
            )
        child = node + 1
        while trie.subtree_end[child] <= top:
            child = trie.subtree_end[child]
        count = step_configs(lexer, configs, 0, opened, trie.byte[child])
        if count == NO_ROOM:
            return NO_ROOM
        move_configs(configs, opened, count, 0)
        node = child
    level = 0 if count > 0 else -1
    levels[0, BEGIN] = 0
    levels[0, END] = count
    is_new = True
    while level >= 0:
        if is_new:
            opened = open_configs(
                lexer,
                parser,
                configs,
                levels[level, BEGIN],
                levels[level, END],
                born,
                missing,
                progress,
            )
            if opened == NO_ROOM:
                return NO_ROOM
            is_new = False
            if opened == INCOMPLETE:
                if num_incomplete < nodes.size:
                    nodes[num_incomplete] = node
                num_incomplete += 1
                level -= 1
                continue
            progress[NUM_VISITED] += 1
            if node == 0:
                progress[MAY_END] = 0
                for b in range(progress[NUM_BORN]):
                    progress[MAY_END] |= parser.states[born[b], CAN_END]
            if trie.subtree_end[node] - node > max_width:
                opened = _without_wide(
                    trie,
                    lexer,
                    alive,
                    configs,
                    levels[level, BEGIN],
                    opened,
                    node,
                    max_width,
                    wide,
                    progress,
                    True,
                )
            if node == 0:
                progress[NUM_NARROW] = opened
            if opened == levels[level, BEGIN]:
                level -= 1
                continue
            levels[level, END] = opened
            levels[level, NEXT] = trie.child_start[node]
            levels[level, LAST] = trie.child_start[node + 1]
            if levels[level, LAST] - levels[level, NEXT] > MANY_CHILDREN:
                _allowed_bytes(lexer, alive, configs, levels[level, BEGIN], opened, allowed, level)
            else:
                for w in range(4):
                    allowed[level, w] = ~np.uint64(0)
            continue
        place = levels[level, NEXT]
        if place == levels[level, LAST]:
            level -= 1
            continue
        levels[level, NEXT] = place + 1
        byte = trie.child_byte[place]
        if not has_byte(allowed, level, byte):
            continue
        last = levels[level, END]
        count = step_configs(lexer, configs, levels[level, BEGIN], last, byte)
        if count == NO_ROOM:
            return NO_ROOM
        if count == 0:
            continue
        node = trie.child_node[place]
        for t in range(trie.token_start[node], trie.token_start[node + 1]):
            set_bit(row, trie.token_ids[t])
        if trie.subtree_end[node] > node + 1:
            level += 1
            levels[level, BEGIN] = last
            levels[level, END] = last + count
            is_new = True
    return num_incomplete


@kernel
def walk_tokens(
    trie: ChildTrie,
    max_depth: int,
    nodes: Int32Array,
    lexer: LexerArrays,
    alive: UInt64Array,
    parser: ParserArrays,
    initial: Int32Array,
    max_width: int,
    wide: Int32Array,
    row: Int32Array,
    missing: Int32Array,
    progress: Int64Array,
) -> None:
    """Allow the tokens that configs at the root of a trie can read.

    Where the parser has not gone yet the walk leaves the subtree out and reports its node, so that
    another walk, when the parser is ready, need only look there.

    Args:
        trie: the trie, ``max_depth`` deep.
        nodes: int32[N], ascending; only these and what is below them are walked. Gets the nodes that
            are incomplete, as many as it has room for.
        alive: uint64[S, 5], what is known of lexer states (`alive_kernels`); gets more.
        initial: int32[K, 2], the configs at the root.
        max_width: configs from which a walk would visit more nodes below a node than this are left
            out there and reported.
        wide: int32[W, 3], gets those configs, each with its node, as many as it has room for; no more
            are left out.
        row: int32[words], gets a bit for each surviving token.
        missing: int32[M], gets what the parser must do before the walk is complete: states that
            are not lowered yet, and groups to merge (minus their number, then the states).
        progress: int64[8]. [NUM_MISSING] must be 0 and becomes how much of ``missing`` is in use;
            [HAS_DOUBTED] becomes 1 if a parser state is met that asks for a text that is not known;
            [NUM_INCOMPLETE] is how many of ``nodes`` to walk, none below an incomplete one, and
            becomes how many are incomplete, or TOO_MANY; [NUM_WIDE] is how many configs are left out
            and grows; if the root is walked, [NUM_NARROW] becomes how many are not left out there, and
            [MAY_END] whether the output may end behind a terminal that is complete there;
            [NUM_VISITED] grows by the nodes at which configs were opened.
    """
    configs = np.empty((FIRST_CONFIGS + 3 * initial.shape[0], 2), np.int32)
    born = np.empty(configs.shape[0], np.int32)
    levels = np.empty((max_depth + 2, 4), np.int64)
    allowed = np.empty((max_depth + 2, 4), np.uint64)
    num_nodes = progress[NUM_INCOMPLETE]
    tops = nodes[:num_nodes].copy()
    num_incomplete = 0
    done_until = 0
    for top in tops:
        if top < done_until:
            continue
        done_until = trie.subtree_end[top]
        found = NO_ROOM
        num_wide = progress[NUM_WIDE]
        while found == NO_ROOM:
            found = _walk_below(
                trie,
                top,
                nodes,
                num_incomplete,
                lexer,
                alive,
                parser,
                initial,
                max_width,
                wide,
                configs,
                born,
                levels,
                allowed,
                row,
                missing,
                progress,
            )
            if found == NO_ROOM:
                progress[NUM_WIDE] = num_wide
                configs = np.empty((2 * configs.shape[0], 2), np.int32)
                born = np.empty(configs.shape[0], np.int32)
        num_incomplete = found
    progress[NUM_INCOMPLETE] = num_incomplete if num_incomplete <= nodes.size else TOO_MANY

"""Numba kernels that walk the token trie with a lexer state, for the entries of the mask store."""

from __future__ import annotations

from typing import NamedTuple

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
    same_accepts,
)


class DenseTerminal(NamedTuple):
    """A terminal whose states are rows of one table.

    Attributes:
        first_state: id of the first state in the pool; the others follow.
        width: byte classes.
        table: int32[num_states * width], the pool's ids.
        class_map: uint8[256].
        is_accepting: bool[num_states].
    """

    first_state: int
    width: int
    table: Int32Array
    class_map: UInt8Array
    is_accepting: BoolArray


@kernel
def walk_interior(
    byte: UInt8Array,
    depth: Int32Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    max_depth: int,
    top: int,
    lexer: LexerArrays,
    state: int,
    row: Int32Array,
) -> tuple[Int32Array, Int32Array]:
    """Allow the tokens that keep a lexer state alive; report where terminals end inside tokens.

    Args:
        byte .. token_ids: the token trie.
        max_depth: of the trie.
        top: a node of the trie; only what is below it is walked.
        state: the lexer state there.
        row: int32[words], gets a bit for each surviving token.

    Returns:
        (nodes, terminals): at each node, which has more below it, the terminal may be complete.
    """
    states = np.zeros(max_depth + 1, np.int32)
    states[depth[top]] = state
    exit_nodes = np.empty(64, np.int32)
    exit_terminals = np.empty(64, np.int32)
    num_exits = 0
    node = top + 1
    while node < subtree_end[top]:
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
    """`walk_interior` for a state that behaves much like another one, whose row is known.

    Both states read along; where they have become the same state, the rest of the subtree is as in
    the base's row. So only the tokens on which the two differ are visited.

    Args:
        state, base: the lexer states.
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
        states[level] = after
        bases[level] = base_after
        if (after == DEAD_STATE) != (base_after == DEAD_STATE):
            for t in range(token_start[node], token_start[node + 1]):
                if after != DEAD_STATE:
                    set_bit(row, token_ids[t])
                else:
                    clear_bit(row, token_ids[t])
        if subtree_end[node] > node + 1 and not same_accepts(lexer, after, base_after):
            if num_accepts(lexer, base_after):
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
def walk_dense(
    byte: UInt8Array,
    depth: Int32Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    max_depth: int,
    top: int,
    terminal: DenseTerminal,
    state: int,
    row: Int32Array,
) -> Int32Array:
    """`walk_interior` in a terminal whose states are rows of one table: several times as fast.

    Returns:
        The nodes, with more below them, at which the terminal may be complete.
    """
    # Cells instead of states, so that a step is one read that waits for the step before; unsigned
    # indices, for which no wrap-around is checked; room for exits everywhere, because an array that
    # may be replaced in the loop makes it three times as slow.
    cells = np.zeros(max_depth + 1, np.int64)
    cells[depth[top]] = (state - terminal.first_state) * terminal.width
    exit_nodes = np.empty(subtree_end[top] - top, np.int32)
    num_exits = 0
    table = terminal.table
    class_map = terminal.class_map
    one = np.uint64(1)
    node = np.uint64(top + 1)
    end = np.uint64(subtree_end[top])
    while node < end:
        level = np.uint64(depth[node])
        after = table[np.uint64(cells[level - one] + class_map[byte[node]])]
        if after == DEAD_STATE:
            node = np.uint64(subtree_end[node])
            continue
        index = after - terminal.first_state
        cells[level] = index * terminal.width
        for t in range(token_start[node], token_start[node + one]):
            set_bit(row, token_ids[t])
        if terminal.is_accepting[index] and subtree_end[node] > node + one:
            exit_nodes[num_exits] = node
            num_exits += 1
        node += one
    return exit_nodes[:num_exits].copy()


@kernel
def walk_dense_against_base(
    byte: UInt8Array,
    depth: Int32Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    max_depth: int,
    height: Int32Array,
    below: Int32Array,
    groups: int,
    terminal: DenseTerminal,
    state: int,
    base_terminal: DenseTerminal,
    base: int,
    partner: Int32Array,
    distance: Int32Array,
    row: Int32Array,
) -> tuple[Int32Array, Int32Array]:
    """`walk_dense` for a state that behaves much like another one, whose row is known.

    Both read along; where they are known to behave alike for as long as tokens go on, the rest of
    the subtree is as in the base's row.

    Args:
        height, below: per node, see `subtree_groups`.
        groups: bits; the distances hold for bytes of these groups.
        partner, distance: what `pair_up` and `parting_distances` found out about the terminal's states.
        row: int32[words], a copy of the base's interior row; gets corrected.

    Returns:
        (added, removed): nodes of exits that only the state has, and that only the base has.
    """
    cells = np.zeros(max_depth + 1, np.int64)
    base_cells = np.zeros(max_depth + 1, np.int64)
    cells[0] = (state - terminal.first_state) * terminal.width
    base_cells[0] = (base - base_terminal.first_state) * base_terminal.width
    added = np.empty(byte.size, np.int32)
    removed = np.empty(byte.size, np.int32)
    num_added = 0
    num_removed = 0
    node = 1
    num_nodes = byte.size
    while node < num_nodes:
        level = depth[node]
        after = 0
        base_after = 0
        # Behind a dead state, -1 stands for no cell.
        if cells[level - 1] >= 0:
            after = terminal.table[cells[level - 1] + terminal.class_map[byte[node]]]
        if base_cells[level - 1] >= 0:
            base_after = base_terminal.table[
                base_cells[level - 1] + base_terminal.class_map[byte[node]]
            ]
        if after == base_after:
            node = subtree_end[node]
            continue
        is_complete = False
        base_is_complete = False
        if after == DEAD_STATE:
            cells[level] = -1
        else:
            index = after - terminal.first_state
            if (
                partner[index] == base_after
                and distance[index] > height[node]
                and below[node] & ~groups == 0
            ):
                node = subtree_end[node]
                continue
            cells[level] = index * terminal.width
            is_complete = terminal.is_accepting[index]
        if base_after == DEAD_STATE:
            base_cells[level] = -1
            for t in range(token_start[node], token_start[node + 1]):
                set_bit(row, token_ids[t])
        else:
            index = base_after - base_terminal.first_state
            base_cells[level] = index * base_terminal.width
            base_is_complete = base_terminal.is_accepting[index]
            if after == DEAD_STATE:
                for t in range(token_start[node], token_start[node + 1]):
                    clear_bit(row, token_ids[t])
        if is_complete != base_is_complete and subtree_end[node] > node + 1:
            if is_complete:
                added[num_added] = node
                num_added += 1
            else:
                removed[num_removed] = node
                num_removed += 1
        node += 1
    return added[:num_added].copy(), removed[:num_removed].copy()

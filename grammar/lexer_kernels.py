"""Numba kernel that runs several terminals side by side."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import (
    LIMIT_REACHED,
    grown,
    subset_slot,
    with_spare_buckets,
)
from syntagma.grammar.kernel_types import BoolArray, Int32Array, UInt8Array, kernel
from syntagma.grammar.lexer_arrays import (
    ACCEPTS,
    CELL,
    DEAD_STATE,
    FALLBACK,
    KIND,
    LexerArrays,
    dense_root,
    first_accept,
    next_state,
    num_accepts,
)


@kernel
def _sort_and_merge(items: Int32Array, first: int, count: int) -> int:
    """Sort a short slice in place and drop doubles; returns how many are left."""
    items[first : first + count].sort()
    kept = 0
    for i in range(first, first + count):
        if kept == 0 or items[i] != items[first + kept - 1]:
            items[first + kept] = items[i]
            kept += 1
    return kept


@kernel
def _mark_edges(
    lexer: LexerArrays, members: Int32Array, first: int, end: int, has_edge: BoolArray
) -> None:
    """Note the bytes on which the sparse members, or what they fall back on, have edges."""
    has_edge[:] = False
    for m in range(first, end):
        state = members[m]
        while state != DEAD_STATE and lexer.states[state, KIND] < 0:
            cell = lexer.states[state, CELL]
            for edge in range(cell, cell - 2 * (lexer.states[state, KIND] + 1), 2):
                has_edge[lexer.table[edge]] = True
            state = lexer.states[state, FALLBACK]


@kernel
def _interned(
    members: Int32Array,
    first: int,
    count: int,
    num_states: int,
    offsets: Int32Array,
    buckets: Int32Array,
) -> tuple[int, Int32Array, Int32Array]:
    """The number of a subset, ``num_states`` if it is new; and the tables it is entered in."""
    slot = subset_slot(buckets, offsets, members, first, count)
    if buckets[slot] >= 0:
        return buckets[slot], offsets, buckets
    buckets[slot] = num_states
    offsets = grown(offsets, num_states + 2)
    offsets[num_states + 1] = first + count
    return num_states, offsets, with_spare_buckets(buckets, offsets, members, 0, num_states + 1)


@kernel
def union_of_lexers(
    starts: Int32Array,
    lexer: LexerArrays,
    class_map: int,
    representative: UInt8Array,
    first_state: int,
    first_cell: int,
    first_free_accept: int,
    max_states: int,
) -> tuple[int, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array]:
    """Subset construction over lexer states, down to states where one terminal is left.

    A set of states with at most one dense state below its sparse ones needs edges only where its
    members have some; a set of several dense states gets a row of its own.

    Args:
        starts: int32[K], K >= 2 distinct ascending lexer states to run together.
        class_map, representative: id of the joint byte classes of all that is dense, and a byte of
            each class.
        first_state, first_cell, first_free_accept: ids that the first new entries will get.
        max_states: new states at most.

    Returns:
        (number of new states or LIMIT_REACHED, states int32[N, 4], cells, accepts, offsets, members). The
        first new state is the start; new state ``i`` runs ``members[offsets[i]:offsets[i + 1]]``.
    """
    members = np.zeros(max(1024, 4 * starts.size), np.int32)
    members[: starts.size] = starts
    offsets = np.zeros(64, np.int32)
    offsets[1] = starts.size
    buckets = np.full(256, -1, np.int32)
    states = np.zeros(4 * 64, np.int32)
    cells = np.zeros(1024, np.int32)
    accepts = np.zeros(64, np.int32)
    num_cells = 0
    num_listed = 0
    has_edge = np.zeros(256, np.bool_)
    num_states = 1
    num_used = starts.size
    buckets[subset_slot(buckets, offsets, members, 0, num_used)] = 0
    current = 0
    while current < num_states:
        if num_states > max_states:
            return LIMIT_REACHED, np.zeros((0, 4), np.int32), cells, accepts, offsets, members
        length = offsets[current + 1] - offsets[current]
        members = grown(members, num_used + 2 * length)
        states = grown(states, 4 * (current + 1))
        cells = grown(cells, num_cells + 512)
        kept = 0
        num_sparse = 0
        for m in range(offsets[current], offsets[current + 1]):
            if lexer.states[members[m], KIND] < 0:
                num_sparse += 1
            root = dense_root(lexer, members[m])
            if root != DEAD_STATE:
                members[num_used + kept] = root
                kept += 1
        kept = _sort_and_merge(members, num_used, kept)
        states[4 * current + CELL] = first_cell + num_cells
        is_dense = num_sparse == 0
        fallback = 0
        if is_dense:
            states[4 * current + KIND] = class_map
            num_symbols = representative.size
        else:
            if kept == 1:
                fallback = members[num_used]
            elif kept > 1:
                found, offsets, buckets = _interned(
                    members, num_used, kept, num_states, offsets, buckets
                )
                if found == num_states:
                    num_states += 1
                    num_used += kept
                fallback = first_state + found
            states[4 * current + FALLBACK] = fallback
            _mark_edges(lexer, members, offsets[current], offsets[current + 1], has_edge)
            num_symbols = 256
        num_edges = 0
        for symbol in range(num_symbols):
            if not is_dense and not has_edge[symbol]:
                continue
            byte: int = representative[symbol] if is_dense else symbol
            members = grown(members, num_used + length)
            kept = 0
            for m in range(offsets[current], offsets[current + 1]):
                target = next_state(lexer, members[m], byte)
                if target != DEAD_STATE:
                    members[num_used + kept] = target
                    kept += 1
            kept = _sort_and_merge(members, num_used, kept)
            after = 0
            if kept == 1:
                after = members[num_used]
            elif kept > 1:
                found, offsets, buckets = _interned(
                    members, num_used, kept, num_states, offsets, buckets
                )
                if found == num_states:
                    num_states += 1
                    num_used += kept
                after = first_state + found
            if is_dense:
                cells[num_cells] = after
                num_cells += 1
            else:
                cells[num_cells] = byte
                cells[num_cells + 1] = after
                num_cells += 2
                num_edges += 1
        if not is_dense:
            states[4 * current + KIND] = -1 - num_edges
        count = 0
        for m in range(offsets[current], offsets[current + 1]):
            count += num_accepts(lexer, members[m])
        if count > 0:
            accepts = grown(accepts, num_listed + 1 + count)
            at = num_listed + 1
            for m in range(offsets[current], offsets[current + 1]):
                first = first_accept(lexer, members[m])
                for a in range(first, first + num_accepts(lexer, members[m])):
                    accepts[at] = lexer.accepts[a]
                    at += 1
            kept = _sort_and_merge(accepts, num_listed + 1, count)
            accepts[num_listed] = kept
            states[4 * current + ACCEPTS] = first_free_accept + num_listed
            num_listed += 1 + kept
        current += 1
    return (
        num_states,
        states[: 4 * num_states].copy().reshape(num_states, 4),
        cells[:num_cells].copy(),
        accepts[:num_listed].copy(),
        offsets[: num_states + 1].copy(),
        members[:num_used].copy(),
    )

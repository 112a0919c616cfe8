"""Numba kernel that puts the spellings of symbols in their place in an automaton."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import LIMIT_REACHED, grown
from syntagma.grammar.kernel_types import BoolArray, Int32Array, UInt8Array, kernel
from syntagma.grammar.spelling_kernels import NO_CLASS, byte_automaton, spelling_nodes


@kernel
def _nodes_above(
    num_symbols: int, edge_start: Int32Array, edge_target: Int32Array
) -> tuple[Int32Array, Int32Array]:
    """CSR by symbol: the nodes from which it can be spelled."""
    num_nodes = edge_start.size - 1
    # Targets in one numbering: symbols first, then nodes.
    start = np.zeros(num_symbols + num_nodes + 1, np.int32)
    for target in edge_target:
        start[(-1 - target if target < 0 else num_symbols + target) + 1] += 1
    for i in range(start.size - 1):
        start[i + 1] += start[i]
    fill = start[:-1].copy()
    parent = np.empty(edge_target.size, np.int32)
    for node in range(1, num_nodes):
        for e in range(edge_start[node], edge_start[node + 1]):
            target = edge_target[e]
            target = -1 - target if target < 0 else num_symbols + target
            parent[fill[target]] = node
            fill[target] += 1
    above_start = np.zeros(num_symbols + 1, np.int32)
    above = np.empty(max(64, num_nodes), np.int32)
    stamp = np.full(num_nodes, -1, np.int32)
    size = 0
    for symbol in range(num_symbols):
        above_start[symbol] = size
        above = grown(above, size + num_nodes)
        done = size
        current = symbol
        while True:
            for e in range(start[current], start[current + 1]):
                if stamp[parent[e]] != symbol:
                    stamp[parent[e]] = symbol
                    above[size] = parent[e]
                    size += 1
            if done == size:
                break
            current = num_symbols + above[done]
            done += 1
    above_start[num_symbols] = size
    return above_start, above[:size]


@kernel
def _row_slot(buckets: Int32Array, begin: Int32Array, row: Int32Array, first: int, end: int) -> int:
    """Where the row ``row[first:end]`` stands in a hash table, or would stand."""
    value = np.uint64(1469598103934665603)
    for i in range(first, end):
        value = (value ^ np.uint64(row[i])) * np.uint64(1099511628211)
    value ^= value >> np.uint64(31)
    slot: int = np.int64(value & np.uint64(buckets.size - 1))  # type: ignore[assignment]
    while buckets[slot] >= 0:
        other = begin[buckets[slot]]
        same = begin[buckets[slot] + 1] - other == end - first
        if same:
            for i in range(end - first):
                if row[other + i] != row[first + i]:
                    same = False
                    break
        if same:
            break
        slot = (slot + 1) & (buckets.size - 1)
    return slot


@kernel
def substitute(
    outer: Int32Array,
    labels: Int32Array,
    edge_start: Int32Array,
    edge_class: Int32Array,
    edge_target: Int32Array,
    num_classes: int,
    quote_class: int,
    max_states: int,
    max_steps: int,
) -> tuple[int, Int32Array, BoolArray]:
    """The minimal automaton over bytes of a minimal automaton over symbols.

    No word of bytes is the beginning of another symbol's spelling, and what remains of a spelling is
    never the beginning of a whole one. So a state inside a symbol equals no state between symbols, and
    two states inside are equal if their moves are: it is enough to look rows up, from the last byte
    of a spelling backwards, and nothing is left to minimise.

    Args:
        outer: int32[Q, K], canonical; labels: int32[Q].
        edge_start, edge_class, edge_target: nodes of the spellings, as `spelling_kernels` makes
            them, targets before sources, the root last.
        num_classes: classes of bytes.
        quote_class: class of the byte to be put around the words, -1: none. No symbol may begin with
            that byte.
        max_states, max_steps: states, and edges followed, at most.

    Returns:
        (number of states or LIMIT_REACHED, table int32[S, num_classes], accepting bool[S]), numbered
        breadth-first.
    """
    num_outer, num_symbols = outer.shape
    num_nodes = edge_start.size - 1
    root = num_nodes - 1
    above_start, above = _nodes_above(num_symbols, edge_start, edge_target)
    live_in = np.zeros(num_nodes, np.int32)
    where = np.zeros(num_nodes, np.int32)

    # States are numbered: those between symbols, the two outside of the quotes, those inside of
    # symbols. Rows are pairs (class, target), one after another; roots has those of the first kind.
    first_inside = num_outer + 2
    begin = np.zeros(64, np.int32)
    rows = np.empty(1024, np.int32)
    num_inside = 0
    used = 0
    root_begin = np.zeros(num_outer + 1, np.int32)
    roots = np.empty(1024, np.int32)
    roots_used = 0
    buckets = np.full(256, -1, np.int32)
    num_steps = 0
    nothing = np.zeros(2, np.bool_)
    for q in range(1, num_outer):
        root_begin[q] = roots_used
        for symbol in range(num_symbols):
            if outer[q, symbol] != 0:
                num_steps += above_start[symbol + 1] - above_start[symbol]
                for i in range(above_start[symbol], above_start[symbol + 1]):
                    live_in[above[i]] = q
        num_steps += num_nodes
        for node in range(1, num_nodes):
            if live_in[node] != q and not (node == root and quote_class >= 0):
                continue
            degree = edge_start[node + 1] - edge_start[node]
            num_steps += degree
            rows = grown(rows, used + 2 * degree + 2)
            end = used
            waits_for_quote = node == root and quote_class >= 0 and labels[q] != 0
            for e in range(edge_start[node], edge_start[node + 1]):
                target = edge_target[e]
                if target < 0:
                    target = outer[q, -1 - target]
                elif live_in[target] == q:
                    target = where[target]
                else:
                    target = 0
                if waits_for_quote and edge_class[e] > quote_class:
                    rows[end] = quote_class
                    rows[end + 1] = num_outer + 1
                    end += 2
                    waits_for_quote = False
                if target != 0:
                    rows[end] = edge_class[e]
                    rows[end + 1] = target
                    end += 2
            if waits_for_quote:
                rows[end] = quote_class
                rows[end + 1] = num_outer + 1
                end += 2
            if node == root:
                roots = grown(roots, roots_used + end - used)
                roots[roots_used : roots_used + end - used] = rows[used:end]
                roots_used += end - used
                continue
            slot = _row_slot(buckets, begin, rows, used, end)
            if buckets[slot] < 0:
                buckets[slot] = num_inside
                num_inside += 1
                begin = grown(begin, num_inside + 1)
                begin[num_inside] = end
                used = end
                if 2 * num_inside > buckets.size:
                    buckets = np.full(4 * buckets.size, -1, np.int32)
                    for n in range(num_inside):
                        buckets[_row_slot(buckets, begin, rows, begin[n], begin[n + 1])] = n
                where[node] = first_inside + num_inside - 1
            else:
                where[node] = first_inside + buckets[slot]
        if num_outer + num_inside > max_states or num_steps > max_steps:
            return LIMIT_REACHED, outer, nothing
    root_begin[num_outer] = roots_used

    # Breadth-first over the classes of bytes, which the rows hold in order.
    number = np.zeros(first_inside + num_inside, np.int32)
    order = np.empty(first_inside + num_inside + 1, np.int32)
    first = 1 if quote_class < 0 else num_outer
    order[1] = first
    number[first] = 1
    length = 2
    done = 1
    while done < length:
        state = order[done]
        done += 1
        if state < num_outer:
            for i in range(root_begin[state], root_begin[state + 1], 2):
                if number[roots[i + 1]] == 0:
                    number[roots[i + 1]] = length
                    order[length] = roots[i + 1]
                    length += 1
        elif state >= first_inside:
            n = state - first_inside
            for i in range(begin[n], begin[n + 1], 2):
                if number[rows[i + 1]] == 0:
                    number[rows[i + 1]] = length
                    order[length] = rows[i + 1]
                    length += 1
        elif state == num_outer:
            number[1] = length
            order[length] = 1
            length += 1
    table = np.zeros((length, num_classes), np.int32)
    accepting = np.zeros(length, np.bool_)
    for i in range(1, length):
        state = order[i]
        if state < num_outer:
            accepting[i] = quote_class < 0 and labels[state] != 0
            for k in range(root_begin[state], root_begin[state + 1], 2):
                table[i, roots[k]] = number[roots[k + 1]]
        elif state >= first_inside:
            n = state - first_inside
            for k in range(begin[n], begin[n + 1], 2):
                table[i, rows[k]] = number[rows[k + 1]]
        elif state == num_outer:
            table[i, quote_class] = number[1]
        else:
            accepting[i] = True
    return length, table, accepting


@kernel
def spell(
    outer: Int32Array,
    labels: Int32Array,
    bounds: Int32Array,
    class_of: Int32Array,
    is_json: bool,
    quote: int,
    max_states: int,
    max_steps: int,
) -> tuple[int, Int32Array, UInt8Array, BoolArray]:
    """The minimal automaton over bytes of a canonical one over classes of code points.

    Args:
        outer: int32[Q, K]; labels: int32[Q].
        bounds, class_of: int32[M], first code points of runs and their classes.
        is_json: whether code points are spelled as in a JSON string, not as plain UTF-8.
        quote: byte to be put around the words (none may begin with it), -1: none.
        max_states, max_steps: states, and moves followed, at most.

    Returns:
        (number of states or LIMIT_REACHED, table, byte_classes uint8[256], accepting), canonical.
    """
    dead_class = NO_CLASS
    for symbol in range(outer.shape[1]):
        if not outer[:, symbol].any():
            dead_class = symbol
    count, nodes, escape, root = spelling_nodes(bounds, class_of, dead_class, is_json, max_states)
    if count == LIMIT_REACHED:
        return count, outer, np.zeros(256, np.uint8), np.zeros(2, np.bool_)
    byte_classes, edge_start, edge_class, edge_target = byte_automaton(
        count, nodes, escape, root, quote
    )
    num_classes = int(byte_classes.max()) + 1
    num_states, table, accepting = substitute(
        outer,
        labels,
        edge_start,
        edge_class,
        edge_target,
        num_classes,
        -1 if quote < 0 else int(byte_classes[quote]),
        min(max_states, 128 * max_states // num_classes),
        max_steps,
    )
    return num_states, table, byte_classes, accepting

"""Numba kernels that shrink and measure one automaton (tables as in `automata_kernels`)."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import grown
from syntagma.grammar.kernel_types import BoolArray, Int32Array, Int64Array, kernel


@kernel
def _reversed_edges(table: Int32Array) -> tuple[Int32Array, Int32Array, Int32Array]:
    """CSR of (source, class) by target, over all edges of a table."""
    num_states, num_classes = table.shape
    start = np.zeros(num_states + 1, np.int32)
    for s in range(num_states):
        for c in range(num_classes):
            start[table[s, c] + 1] += 1
    for s in range(num_states):
        start[s + 1] += start[s]
    fill = start[:-1].copy()
    source = np.empty(num_states * num_classes, np.int32)
    symbol = np.empty(num_states * num_classes, np.int32)
    for s in range(num_states):
        for c in range(num_classes):
            position = fill[table[s, c]]
            fill[table[s, c]] += 1
            source[position] = s
            symbol[position] = c
    return start, source, symbol


@kernel
def trim(table: Int32Array, start: int, labels: Int32Array) -> tuple[Int32Array, Int32Array]:
    """Drop what cannot be reached from ``start`` or cannot reach a label.

    Args:
        table: int32[S, C]; labels: int32[S], 0 = not accepting.

    Returns:
        (table, labels) renumbered in breadth-first order, 0 dead and 1 the start. If nothing is
        accepted, the two states 0 and 1 without edges.
    """
    num_states, num_classes = table.shape
    reverse_start, source, _ = _reversed_edges(table)
    alive = np.zeros(num_states, np.bool_)
    queue = np.empty(num_states, np.int32)
    length = 0
    for s in range(num_states):
        if labels[s] != 0:
            alive[s] = True
            queue[length] = s
            length += 1
    done = 0
    while done < length:
        s = queue[done]
        done += 1
        for e in range(reverse_start[s], reverse_start[s + 1]):
            if not alive[source[e]]:
                alive[source[e]] = True
                queue[length] = source[e]
                length += 1
    alive[0] = False

    number = np.zeros(num_states, np.int32)
    queue[0] = start
    number[start] = 1
    length = 1
    done = 0
    while done < length:
        s = queue[done]
        done += 1
        for c in range(num_classes):
            target = table[s, c]
            if alive[target] and number[target] == 0:
                number[target] = length + 1
                queue[length] = target
                length += 1
    trimmed = np.zeros((length + 1, num_classes), np.int32)
    new_labels = np.zeros(length + 1, np.int32)
    for i in range(length):
        s = queue[i]
        new_labels[i + 1] = labels[s]
        for c in range(num_classes):
            target = table[s, c]
            if alive[target]:
                trimmed[i + 1, c] = number[target]
    return trimmed, new_labels


@kernel
def minimise(table: Int32Array, labels: Int32Array) -> Int32Array:
    """The coarsest partition that agrees with labels and edges (Hopcroft 1971).

    Args:
        table: int32[S, C]; labels: int32[S].

    Returns:
        int32[S]: the block of each state; equal block, equal language and labels.
    """
    num_states, num_classes = table.shape
    reverse_start, source, symbol = _reversed_edges(table)

    # Blocks are slices [first, first + size) of `order`; the marked states stand in front.
    order = np.argsort(labels, kind="mergesort").astype(np.int32)
    where = np.empty(num_states, np.int32)
    block = np.empty(num_states, np.int32)
    first = np.zeros(num_states + 1, np.int32)
    size = np.zeros(num_states + 1, np.int32)
    num_marked = np.zeros(num_states + 1, np.int32)
    num_blocks = 0
    for i in range(num_states):
        if i == 0 or labels[order[i]] != labels[order[i - 1]]:
            first[num_blocks] = i
            num_blocks += 1
        where[order[i]] = i
        block[order[i]] = num_blocks - 1
        size[num_blocks - 1] += 1

    # Splitters are whole blocks (for all symbols at once).
    waiting = np.zeros(num_states + 1, np.bool_)
    stack = np.empty(num_states + 1, np.int32)
    depth = 0
    for b in range(num_blocks):
        waiting[b] = True
        stack[depth] = b
        depth += 1
    by_symbol = np.full(num_classes, -1, np.int32)
    link_source = np.empty(64, np.int32)
    link_next = np.empty(64, np.int32)
    touched = np.empty(num_states + 1, np.int32)

    while depth > 0:
        depth -= 1
        splitter = stack[depth]
        waiting[splitter] = False
        by_symbol[:] = -1
        num_links = 0
        for i in range(first[splitter], first[splitter] + size[splitter]):
            target = order[i]
            degree = reverse_start[target + 1] - reverse_start[target]
            link_source = grown(link_source, num_links + degree)
            link_next = grown(link_next, num_links + degree)
            for e in range(reverse_start[target], reverse_start[target + 1]):
                link_source[num_links] = source[e]
                link_next[num_links] = by_symbol[symbol[e]]
                by_symbol[symbol[e]] = num_links
                num_links += 1
        for c in range(num_classes):
            num_touched = 0
            link = by_symbol[c]
            while link >= 0:
                s = link_source[link]
                link = link_next[link]
                b = block[s]
                if num_marked[b] == 0:
                    touched[num_touched] = b
                    num_touched += 1
                swap_with = first[b] + num_marked[b]
                other = order[swap_with]
                order[swap_with] = s
                order[where[s]] = other
                where[other] = where[s]
                where[s] = swap_with
                num_marked[b] += 1
            for t in range(num_touched):
                b = touched[t]
                marked = num_marked[b]
                num_marked[b] = 0
                if marked == size[b]:
                    continue
                # The smaller half becomes the new block.
                new = num_blocks
                num_blocks += 1
                if marked <= size[b] - marked:
                    first[new] = first[b]
                    size[new] = marked
                    first[b] += marked
                else:
                    first[new] = first[b] + marked
                    size[new] = size[b] - marked
                size[b] -= size[new]
                for i in range(first[new], first[new] + size[new]):
                    block[order[i]] = new
                if not waiting[new]:
                    waiting[new] = True
                    stack[depth] = new
                    depth += 1
    return block


@kernel
def equal_columns(table: Int32Array) -> Int32Array:
    """int32[C]: for each column, the first one that equals it."""
    num_states, num_classes = table.shape
    hashes = np.full(num_classes, np.uint64(1469598103934665603), np.uint64)
    for s in range(num_states):
        for c in range(num_classes):
            hashes[c] = (hashes[c] ^ np.uint64(table[s, c])) * np.uint64(1099511628211)
    num_buckets = 4
    while num_buckets < 2 * num_classes:
        num_buckets *= 2
    buckets = np.full(num_buckets, -1, np.int32)
    first = np.empty(num_classes, np.int32)
    for c in range(num_classes):
        value = hashes[c] ^ (hashes[c] >> np.uint64(31))
        slot = np.int64(value & np.uint64(num_buckets - 1))
        while buckets[slot] >= 0:
            other = buckets[slot]
            same = hashes[other] == hashes[c]
            if same:
                for s in range(num_states):
                    if table[s, other] != table[s, c]:
                        same = False
                        break
            if same:
                break
            slot = (slot + 1) & (num_buckets - 1)
        if buckets[slot] < 0:
            buckets[slot] = c
        first[c] = buckets[slot]
    return first


@kernel
def quotient(table: Int32Array, labels: Int32Array) -> tuple[Int32Array, Int32Array]:
    """Merge equivalent states of a trimmed automaton; the dead state and the start keep their places."""
    num_states, num_classes = table.shape
    block = minimise(table, labels)
    number = np.full(num_states, -1, np.int32)
    first = np.empty(num_states, np.int32)
    num_blocks = 0
    for s in range(num_states):
        if number[block[s]] < 0:
            number[block[s]] = num_blocks
            first[num_blocks] = s
            num_blocks += 1
    if num_blocks == num_states:
        return table, labels
    merged = np.empty((num_blocks, num_classes), np.int32)
    merged_labels = np.empty(num_blocks, np.int32)
    for b in range(num_blocks):
        merged_labels[b] = labels[first[b]]
        for c in range(num_classes):
            merged[b, c] = number[block[table[first[b], c]]]
    return merged, merged_labels


@kernel
def canonical(
    table: Int32Array, class_of: Int32Array, start: int, labels: Int32Array
) -> tuple[Int32Array, Int32Array, Int32Array]:
    """Trim, minimise and number a labelled automaton so that equal languages get equal arrays.

    Args:
        table: int32[S, C]; class_of: int32[N], the column of each symbol (byte, or interval of code
            points); labels: int32[S], 0 = not accepting.

    Returns:
        (table, class_of, labels): no two columns are alike, and they are numbered by their first
        symbol; states are numbered breadth-first over them, 0 dead, 1 the start. If nothing is
        accepted, two states and one class.
    """
    table, labels = trim(table, start, labels)
    if not labels.any():
        return np.zeros((2, 1), np.int32), np.zeros(class_of.size, np.int32), np.zeros(2, np.int32)
    table, labels = quotient(table, labels)
    first = equal_columns(table)
    rank = np.full(table.shape[1], -1, np.int32)
    columns = np.empty(table.shape[1], np.int32)
    num_columns = 0
    new_class_of = np.empty(class_of.size, np.int32)
    for symbol in range(class_of.size):
        column = first[class_of[symbol]]
        if rank[column] < 0:
            rank[column] = num_columns
            columns[num_columns] = column
            num_columns += 1
        new_class_of[symbol] = rank[column]

    num_states = table.shape[0]
    number = np.zeros(num_states, np.int32)
    order = np.empty(num_states, np.int32)
    order[0] = 0
    order[1] = 1
    number[1] = 1
    length = 2
    result = np.empty((num_states, num_columns), np.int32)
    result[0] = 0
    for i in range(1, num_states):
        for c in range(num_columns):
            target = table[order[i], columns[c]]
            if target != 0 and number[target] == 0:
                number[target] = length
                order[length] = target
                length += 1
            result[i, c] = number[target]
    return result, new_class_of, labels[order]


@kernel
def shortest_distances(table: Int32Array, accepting: BoolArray) -> Int64Array:
    """Symbols on a shortest way from each state to an accepting one; -1 where there is none."""
    num_states = table.shape[0]
    reverse_start, source, _ = _reversed_edges(table)
    distance = np.full(num_states, -1, np.int64)
    queue = np.empty(num_states, np.int32)
    length = 0
    for s in range(1, num_states):
        if accepting[s]:
            distance[s] = 0
            queue[length] = s
            length += 1
    done = 0
    while done < length:
        s = queue[done]
        done += 1
        for e in range(reverse_start[s], reverse_start[s + 1]):
            if source[e] != 0 and distance[source[e]] < 0:
                distance[source[e]] = distance[s] + 1
                queue[length] = source[e]
                length += 1
    return distance

"""Numba kernels over automata as flat arrays: determinise, expand, intersect, trim, minimise.

Deterministic tables are ``int32[num_states, num_classes]`` with state 0 dead (all its edges lead to
0) and state 1 the start. Non-deterministic edges come as CSR lists. Kernels that can grow return a
negative status instead of a result when a bound is met, so that the caller raises the error.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from syntagma.grammar.kernel_types import BoolArray, Int32Array, Int64Array, UInt8Array, kernel

LIMIT_REACHED = -1
# Members of all subsets together; optional parts in a row make each subset as long as the pattern.
MAX_MEMBERS = 1 << 24


@kernel
def _hash_items(items: Int32Array, start: int, end: int) -> int:
    value = np.uint64(1469598103934665603)
    for i in range(start, end):
        value = (value ^ np.uint64(items[i])) * np.uint64(1099511628211)
    value ^= value >> np.uint64(29)
    hashed: int = np.int64(value & np.uint64(0x7FFFFFFFFFFFFFFF))  # type: ignore[assignment]
    return hashed


@kernel
def _same_items(items: Int32Array, first: int, second: int, length: int) -> bool:
    for i in range(length):  # noqa: SIM110 - a loop is what numba compiles well
        if items[first + i] != items[second + i]:
            return False
    return True


@kernel
def grown(array: Int32Array, needed: int) -> Int32Array:
    if needed <= array.size:
        return array
    bigger = np.zeros(max(needed, 2 * array.size), np.int32)
    bigger[: array.size] = array
    return bigger


@kernel
def _close(
    members: Int32Array,
    num_members: int,
    stamp: Int32Array,
    mark: int,
    epsilon_start: Int32Array,
    epsilon_target: Int32Array,
) -> int:
    """Extend a list of distinct, stamped states by everything reachable without reading."""
    done = 0
    while done < num_members:
        state = members[done]
        done += 1
        for e in range(epsilon_start[state], epsilon_start[state + 1]):
            target = epsilon_target[e]
            if stamp[target] != mark:
                stamp[target] = mark
                members[num_members] = target
                num_members += 1
    return num_members


@kernel
def determinise(
    epsilon_start: Int32Array,
    epsilon_target: Int32Array,
    edge_start: Int32Array,
    edge_class: Int32Array,
    edge_target: Int32Array,
    is_important: BoolArray,
    initial: Int32Array,
    num_classes: int,
    max_states: int,
) -> tuple[int, Int32Array, Int32Array, Int32Array]:
    """Subset construction (Rabin and Scott 1959).

    Args:
        epsilon_start, epsilon_target: CSR of moves that read nothing.
        edge_start, edge_class, edge_target: CSR of moves that read one symbol class.
        is_important: states that tell subsets apart (those with edges or a label).
        initial: the states of the start subset; not re-entered, so it may hold states that are
            only valid at the beginning of the text.
        num_classes, max_states: size of the alphabet; states at most.

    Returns:
        (number of states or LIMIT_REACHED, table, offsets, members): the important members of
        subset ``s`` are ``members[offsets[s]:offsets[s + 1]]``, sorted. The limit is also met where
        the subsets together have more than MAX_MEMBERS.
    """
    num_nfa = is_important.size
    stamp = np.full(num_nfa, -1, np.int32)
    scratch = np.empty(num_nfa + 1, np.int32)
    mark = 0

    table = np.zeros(64 * num_classes, np.int32)
    offsets = np.zeros(64, np.int32)
    members = np.zeros(1024, np.int32)
    buckets = np.full(256, -1, np.int32)
    num_states = 1
    num_used = 0
    offsets[1] = 0

    head = np.full(num_classes, -1, np.int32)
    link_next = np.empty(64, np.int32)
    link_target = np.empty(64, np.int32)

    # The start subset.
    count = 0
    for state in initial:
        if stamp[state] != mark:
            stamp[state] = mark
            scratch[count] = state
            count += 1
    count = _close(scratch, count, stamp, mark, epsilon_start, epsilon_target)
    mark += 1
    members = grown(members, num_used + count)
    kept = 0
    for i in range(count):
        if is_important[scratch[i]]:
            members[num_used + kept] = scratch[i]
            kept += 1
    members[num_used : num_used + kept].sort()
    num_used += kept
    num_states = 2
    offsets[2] = num_used

    current = 1
    while current < num_states:
        head[:] = -1
        num_links = 0
        for m in range(offsets[current], offsets[current + 1]):
            state = members[m]
            degree = edge_start[state + 1] - edge_start[state]
            link_next = grown(link_next, num_links + degree)
            link_target = grown(link_target, num_links + degree)
            for e in range(edge_start[state], edge_start[state + 1]):
                link_target[num_links] = edge_target[e]
                link_next[num_links] = head[edge_class[e]]
                head[edge_class[e]] = num_links
                num_links += 1
        for symbol in range(num_classes):
            link = head[symbol]
            if link < 0:
                continue
            count = 0
            while link >= 0:
                target = link_target[link]
                if stamp[target] != mark:
                    stamp[target] = mark
                    scratch[count] = target
                    count += 1
                link = link_next[link]
            count = _close(scratch, count, stamp, mark, epsilon_start, epsilon_target)
            mark += 1
            members = grown(members, num_used + count)
            kept = 0
            for i in range(count):
                if is_important[scratch[i]]:
                    members[num_used + kept] = scratch[i]
                    kept += 1
            if kept == 0:
                continue
            members[num_used : num_used + kept].sort()

            slot = _hash_items(members, num_used, num_used + kept) % buckets.size
            found = -1
            while buckets[slot] >= 0:
                other = buckets[slot]
                if offsets[other + 1] - offsets[other] == kept and _same_items(
                    members, offsets[other], num_used, kept
                ):
                    found = other
                    break
                slot = (slot + 1) % buckets.size
            if found < 0:
                if num_states >= max_states or num_used + kept > MAX_MEMBERS:
                    return LIMIT_REACHED, table, offsets, members
                found = num_states
                num_states += 1
                num_used += kept
                offsets = grown(offsets, num_states + 1)
                offsets[num_states] = num_used
                table = grown(table, num_states * num_classes)
                buckets[slot] = found
                if 2 * num_states > buckets.size:
                    buckets = np.full(4 * buckets.size, -1, np.int32)
                    for s in range(2, num_states):
                        slot = _hash_items(members, offsets[s], offsets[s + 1]) % buckets.size
                        while buckets[slot] >= 0:
                            slot = (slot + 1) % buckets.size
                        buckets[slot] = s
            table[current * num_classes + symbol] = found
        current += 1
    return num_states, table[: num_states * num_classes], offsets[: num_states + 1], members


@kernel
def expand(
    outer: Int32Array, encoder: Int32Array, leaf_class: Int32Array, num_classes: int
) -> Int32Array:
    """Replace each symbol of one automaton by the words an encoder spells it with.

    Args:
        outer: int32[Q, K], an automaton over K symbol classes.
        encoder: int32[E, num_classes], a prefix-free automaton over bytes; state 1 is its root.
        leaf_class: int32[E], the symbol class spelled by an encoder state, -1 inside a spelling.
        num_classes: byte classes.

    Returns:
        int32[Q * E, num_classes]: state ``q * E + e`` is "in q, having read part e of a symbol";
        entries are such states, 0 dead. The root of q is ``q * E + 1``.
    """
    num_outer = outer.shape[0]
    num_encoder = encoder.shape[0]
    table = np.zeros((num_outer * num_encoder, num_classes), np.int32)
    for q in range(1, num_outer):
        for e in range(1, num_encoder):
            if leaf_class[e] >= 0:
                continue
            row = q * num_encoder + e
            for b in range(num_classes):
                inside = encoder[e, b]
                if inside == 0:
                    continue
                symbol = leaf_class[inside]
                if symbol < 0:
                    table[row, b] = q * num_encoder + inside
                elif outer[q, symbol] != 0:
                    table[row, b] = outer[q, symbol] * num_encoder + 1
    return table


@kernel
def _pair_slot(buckets: Int32Array, lefts: Int32Array, rights: Int32Array, a: int, b: int) -> int:
    """Where a pair of states stands in a hash table, or would stand."""
    value = (np.uint64(a) ^ np.uint64(1469598103934665603)) * np.uint64(1099511628211)
    value = (value ^ np.uint64(b)) * np.uint64(1099511628211)
    value ^= value >> np.uint64(31)
    slot: int = np.int64(value & np.uint64(buckets.size - 1))  # type: ignore[assignment]
    while buckets[slot] >= 0 and (lefts[buckets[slot]] != a or rights[buckets[slot]] != b):
        slot = (slot + 1) & (buckets.size - 1)
    return slot


@kernel
def intersect(
    left: Int32Array, right: Int32Array, max_states: int
) -> tuple[int, Int32Array, Int32Array, Int32Array]:
    """The product of two tables over the same classes; a pair with a dead *left* state is dead.

    A dead right state is kept, so that the caller can form differences as well.

    Returns:
        (number of states or LIMIT_REACHED, table, lefts, rights): state ``s`` is the pair
        ``(lefts[s], rights[s])``.
    """
    num_classes = left.shape[1]
    table = np.zeros(64 * num_classes, np.int32)
    lefts = np.zeros(64, np.int32)
    rights = np.zeros(64, np.int32)
    buckets = np.full(256, -1, np.int32)
    lefts[1] = 1
    rights[1] = 1
    buckets[_pair_slot(buckets, lefts, rights, 1, 1)] = 1
    num_states = 2
    current = 1
    while current < num_states:
        for symbol in range(num_classes):
            next_left = left[lefts[current], symbol]
            if next_left == 0:
                continue
            next_right = right[rights[current], symbol]
            slot = _pair_slot(buckets, lefts, rights, next_left, next_right)
            found = buckets[slot]
            if found < 0:
                if num_states >= max_states:
                    return LIMIT_REACHED, table, lefts, rights
                found = num_states
                num_states += 1
                buckets[slot] = found
                lefts = grown(lefts, num_states)
                rights = grown(rights, num_states)
                lefts[found] = next_left
                rights[found] = next_right
                table = grown(table, num_states * num_classes)
                if 2 * num_states > buckets.size:
                    buckets = np.full(4 * buckets.size, -1, np.int32)
                    for s in range(1, num_states):
                        buckets[_pair_slot(buckets, lefts, rights, lefts[s], rights[s])] = s
            table[current * num_classes + symbol] = found
        current += 1
    return num_states, table[: num_states * num_classes], lefts[:num_states], rights[:num_states]


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
def bounded_classes(table: Int32Array, labels: Int32Array, max_length: int) -> Int32Array:
    """Which states no word of bounded length can tell apart (Moore 1956, stopped early).

    Each round looks only at states with a successor that changed its class in the round before, so a
    long chain, of which only the end is special, costs little more than one round.

    Args:
        table: int32[S, C]; labels: int32[S], told apart from the start.
        max_length: symbols of the words.

    Returns:
        int32[S]: the smallest state of each state's class.
    """
    num_states = table.shape[0]
    reverse_start, source, _ = _reversed_edges(table)
    block_of_label = np.full(labels.max() + 1, -1, np.int32)
    block = np.empty(num_states, np.int32)
    size = np.zeros(num_states + 1, np.int32)
    num_blocks = 0
    for s in range(num_states):
        if block_of_label[labels[s]] < 0:
            block_of_label[labels[s]] = num_blocks
            num_blocks += 1
        block[s] = block_of_label[labels[s]]
        size[block[s]] += 1
    changed = np.arange(num_states).astype(np.int32)
    num_changed = num_states
    stamp = np.full(num_states, -1, np.int32)
    affected = np.empty(num_states, np.int32)
    group = np.empty(num_states, np.int32)
    new_name = np.empty(num_states, np.int32)
    num_affected_in = np.zeros(num_states + 1, np.int32)
    heir = np.full(num_states + 1, -1, np.int32)
    for length in range(max_length):
        num_affected = 0
        for i in range(num_changed):
            for e in range(reverse_start[changed[i]], reverse_start[changed[i] + 1]):
                s = source[e]
                if stamp[s] != length:
                    stamp[s] = length
                    affected[num_affected] = s
                    num_affected += 1
                    num_affected_in[block[s]] += 1
        _group_by_successors(table, block, affected[:num_affected], group)
        # A block that is affected as a whole hands its name on to one of its groups.
        for i in range(num_affected):
            s = affected[i]
            new_name[s] = -1
            if num_affected_in[block[s]] == size[block[s]] and heir[block[s]] < 0:
                heir[block[s]] = group[s]
        num_changed = 0
        for i in range(num_affected):
            s = affected[i]
            if heir[block[s]] != group[s]:
                changed[num_changed] = s
                num_changed += 1
        for i in range(num_affected):
            num_affected_in[block[affected[i]]] = 0
            heir[block[affected[i]]] = -1
        for i in range(num_changed):
            s = changed[i]
            if new_name[group[s]] < 0:
                new_name[group[s]] = num_blocks
                num_blocks += 1
            size[block[s]] -= 1
        for i in range(num_changed):
            s = changed[i]
            block[s] = new_name[group[s]]
            size[block[s]] += 1
        if num_changed == 0:
            break
    first = np.full(num_blocks, -1, np.int32)
    for s in range(num_states - 1, -1, -1):
        first[block[s]] = s
    return first[block]


@kernel
def _group_by_successors(
    table: Int32Array, block: Int32Array, states: Int32Array, group: Int32Array
) -> None:
    """Set ``group[s]`` to one state among those that share block and successors' blocks with s."""
    num_classes = table.shape[1]
    num_buckets = 4
    while num_buckets < 2 * states.size:
        num_buckets *= 2
    buckets = np.full(num_buckets, -1, np.int32)
    for s in states:
        value = np.uint64(block[s] + 1)
        for c in range(num_classes):
            value = (value ^ np.uint64(block[table[s, c]])) * np.uint64(1099511628211)
        value ^= value >> np.uint64(31)
        slot = np.int64(value & np.uint64(0x7FFFFFFFFFFFFFFF)) % num_buckets
        while buckets[slot] >= 0:
            other = buckets[slot]
            same = block[other] == block[s]
            for c in range(num_classes):
                if block[table[other, c]] != block[table[s, c]]:
                    same = False
                    break
            if same:
                break
            slot = (slot + 1) % num_buckets
        if buckets[slot] < 0:
            buckets[slot] = s
        group[s] = buckets[slot]


@kernel
def equal_columns(table: Int32Array) -> Int32Array:
    """int32[C]: for each column, the first one that equals it."""
    num_states, num_classes = table.shape
    hashes = np.full(num_classes, np.uint64(1469598103934665603), np.uint64)
    for s in range(num_states):
        for c in range(num_classes):
            hashes[c] = (hashes[c] ^ np.uint64(table[s, c])) * np.uint64(1099511628211)
    first = np.arange(num_classes).astype(np.int32)
    for c in range(num_classes):
        for other in range(c):
            if first[other] != other or hashes[other] != hashes[c]:
                continue
            same = True
            for s in range(num_states):
                if table[s, other] != table[s, c]:
                    same = False
                    break
            if same:
                first[c] = other
                break
    return first


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


@kernel
def _hash_state(table: Int32Array, labels: Int32Array, state: int) -> int:
    value = np.uint64(labels[state] + 1)
    for c in range(table.shape[1]):
        value = (value ^ np.uint64(table[state, c])) * np.uint64(1099511628211)
    value ^= value >> np.uint64(31)
    hashed: int = np.int64(value & np.uint64(0x7FFFFFFFFFFFFFFF))  # type: ignore[assignment]
    return hashed


@kernel
def _same_state(table: Int32Array, labels: Int32Array, first: int, second: int) -> bool:
    if labels[first] != labels[second]:
        return False
    for c in range(table.shape[1]):  # noqa: SIM110 - a loop is what numba compiles well
        if table[first, c] != table[second, c]:
            return False
    return True


@kernel
def trie_of_sorted(
    text: UInt8Array, ends: Int64Array, num_classes: int, max_states: int
) -> tuple[Int32Array, Int32Array]:
    """The minimal acyclic automaton of sorted, distinct words (Daciuk et al. 2000, section 3).

    States that cannot change any more are looked up in a register and merged, so that the table
    stays as small as the result plus one word.

    Args:
        text: the words' symbols one after another; ends: int64[W], where each word ends.
        num_classes: size of the alphabet; max_states: capacity that surely suffices.

    Returns:
        (table, labels) with 0 dead, 1 the start; labels are 1 where a word ends. The start state is
        not registered.
    """
    capacity = 64
    table = np.zeros((capacity, num_classes), np.int32)
    labels = np.zeros(capacity, np.int32)
    free = np.empty(capacity, np.int32)
    num_free = 0
    num_states = 2
    buckets = np.full(256, -1, np.int32)
    num_registered = 0
    path = np.empty(max_states + 1, np.int32)
    path[0] = 1
    depth = 0
    begin = 0
    previous = 0
    for w in range(ends.size + 1):
        # Symbols shared with the word before; behind them that word's states are final.
        shared = 0
        if w < ends.size:
            end = ends[w]
            while (
                shared < depth
                and begin + shared < end
                and text[begin + shared] == text[previous + shared]
            ):
                shared += 1
        for level in range(depth, shared, -1):
            state = path[level]
            slot = _hash_state(table, labels, state) % buckets.size
            while buckets[slot] >= 0 and not _same_state(table, labels, buckets[slot], state):
                slot = (slot + 1) % buckets.size
            twin = buckets[slot]
            if twin >= 0:
                table[path[level - 1], text[previous + level - 1]] = twin
                table[state, :] = 0
                labels[state] = 0
                free[num_free] = state
                num_free += 1
            else:
                buckets[slot] = state
                num_registered += 1
                if 2 * num_registered > buckets.size:
                    old = buckets
                    buckets = np.full(4 * old.size, -1, np.int32)
                    for member in old:
                        if member < 0:
                            continue
                        slot = _hash_state(table, labels, int(member)) % buckets.size
                        while buckets[slot] >= 0:
                            slot = (slot + 1) % buckets.size
                        buckets[slot] = member
        if w == ends.size:
            break
        depth = shared
        for position in range(begin + shared, ends[w]):
            if num_free > 0:
                num_free -= 1
                state = free[num_free]
            else:
                if num_states == capacity:
                    capacity *= 2
                    bigger = np.zeros((capacity, num_classes), np.int32)
                    bigger[:num_states] = table
                    table = bigger
                    more_labels = np.zeros(capacity, np.int32)
                    more_labels[:num_states] = labels
                    labels = more_labels
                    more_free = np.empty(capacity, np.int32)
                    more_free[:num_free] = free[:num_free]
                    free = more_free
                state = num_states
                num_states += 1
            table[path[depth], text[position]] = state
            depth += 1
            path[depth] = state
        labels[path[depth]] = 1
        previous = begin
        begin = ends[w]
    return table[:num_states].copy(), labels[:num_states].copy()


def csr(sources: list[int], num_sources: int) -> tuple[Int32Array, NDArray[np.intp]]:
    """Offsets and the stable order that groups items by source."""
    values = np.asarray(sources, np.int32)
    start = np.zeros(num_sources + 1, np.int32)
    np.cumsum(np.bincount(values, minlength=num_sources), out=start[1:])
    return start, np.argsort(values, kind="stable")

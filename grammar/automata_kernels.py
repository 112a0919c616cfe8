"""Numba kernel of the subset construction, and what the automata kernels share.

Deterministic tables are ``int32[num_states, num_classes]`` with state 0 dead (all its edges lead to
0) and state 1 the start. Non-deterministic edges come as CSR lists. Kernels that can grow return a
negative status instead of a result when a bound is met, so that the caller raises the error.
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar.kernel_types import BoolArray, Int32Array, kernel

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
def subset_slot(
    buckets: Int32Array, offsets: Int32Array, members: Int32Array, first: int, count: int
) -> int:
    """Where the subset ``members[first:first + count]`` stands in a hash table, or would stand."""
    slot = _hash_items(members, first, first + count) % buckets.size
    while buckets[slot] >= 0:
        start = offsets[buckets[slot]]
        size = offsets[buckets[slot] + 1] - start
        if size == count and _same_items(members, start, first, count):
            break
        slot = (slot + 1) % buckets.size
    return slot


@kernel
def with_spare_buckets(
    buckets: Int32Array, offsets: Int32Array, members: Int32Array, first_state: int, end_state: int
) -> Int32Array:
    """The hash table of the subsets ``first_state .. end_state``, enlarged once it is half full."""
    if 2 * end_state <= buckets.size:
        return buckets
    larger = np.full(4 * buckets.size, -1, np.int32)
    for state in range(first_state, end_state):
        count = offsets[state + 1] - offsets[state]
        larger[subset_slot(larger, offsets, members, offsets[state], count)] = state
    return larger


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
    max_steps: int,
) -> tuple[int, Int32Array, Int32Array, Int32Array]:
    """Subset construction (Rabin and Scott 1959).

    Args:
        epsilon_start, epsilon_target: CSR of moves that read nothing.
        edge_start, edge_class, edge_target: CSR of moves that read one symbol class.
        is_important: states that tell subsets apart (those with edges or a label).
        initial: the states of the start subset; not re-entered, so it may hold states that are
            only valid at the beginning of the text.
        num_classes, max_states: size of the alphabet; states at most.
        max_steps: moves followed at most, over all subsets (a new subset counts for several).

    Returns:
        (number of states or LIMIT_REACHED, table, offsets, members): the important members of
        subset ``s`` are ``members[offsets[s]:offsets[s + 1]]``, sorted. The limit is also met where
        the subsets together have more than MAX_MEMBERS.
    """
    num_nfa = is_important.size
    num_steps = 0
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
        if num_steps > max_steps:
            return LIMIT_REACHED, table, offsets, members
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
        num_steps += num_links + num_classes
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
            num_steps += 16 + 4 * count  # closing, sorting and looking up
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

            slot = subset_slot(buckets, offsets, members, num_used, kept)
            found = buckets[slot]
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
                buckets = with_spare_buckets(buckets, offsets, members, 2, num_states)
            table[current * num_classes + symbol] = found
        current += 1
    return num_states, table[: num_states * num_classes], offsets[: num_states + 1], members


@kernel
def determinise_labelled(
    epsilon_start: Int32Array,
    epsilon_target: Int32Array,
    edge_start: Int32Array,
    edge_class: Int32Array,
    edge_target: Int32Array,
    accepts: BoolArray,
    initial: Int32Array,
    num_classes: int,
    max_states: int,
    max_steps: int,
) -> tuple[int, Int32Array, Int32Array]:
    """`determinise`, and which subsets accept.

    Returns:
        (number of states or LIMIT_REACHED, table int32[S, num_classes], labels int32[S]: 1 where a
        member accepts).
    """
    is_important = accepts.copy()
    for state in range(accepts.size):
        if edge_start[state + 1] > edge_start[state]:
            is_important[state] = True
    num_states, flat, offsets, members = determinise(
        epsilon_start,
        epsilon_target,
        edge_start,
        edge_class,
        edge_target,
        is_important,
        initial,
        num_classes,
        max_states,
        max_steps,
    )
    if num_states == LIMIT_REACHED:
        return num_states, np.zeros((2, num_classes), np.int32), offsets
    labels = np.zeros(num_states, np.int32)
    for s in range(1, num_states):
        for m in range(offsets[s], offsets[s + 1]):
            if accepts[members[m]]:
                labels[s] = 1
                break
    return num_states, flat.reshape(num_states, num_classes), labels


@kernel
def move_runs(table: Int32Array) -> Int32Array:
    """The table in short: for each state a count, then where runs of one target begin, and the target.

    Classes before the first run are dead.
    """
    num_states, num_classes = table.shape
    runs = np.empty(num_states + 64, np.int32)
    size = 0
    for s in range(num_states):
        runs = grown(runs, size + 1 + 2 * num_classes)
        head = size
        size += 1
        before = 0
        for c in range(num_classes):
            if table[s, c] != before:
                before = table[s, c]
                runs[size] = c
                runs[size + 1] = before
                size += 2
        runs[head] = (size - head) // 2
    return runs[:size]


@kernel
def shortest_length(table: Int32Array, accepting: BoolArray, start: int) -> int:
    """Symbols of a shortest word from a state on, -1 if there is none."""
    level = np.full(accepting.size, -1, np.int32)
    queue = np.empty(accepting.size, np.int32)
    level[start] = 0
    queue[0] = start
    length = 1
    done = 0
    while done < length:
        state = queue[done]
        done += 1
        if accepting[state]:
            found: int = level[state]
            return found
        for target in table[state]:
            if target != 0 and level[target] < 0:
                level[target] = level[state] + 1
                queue[length] = target
                length += 1
    return -1

"""Kernels of suffix automata: growth, matching, and the tree of likely continuations.

Layout, all int32 but ``sizes``:

    states[s]  link, length of the longest string, first edge, occurrences (saturated)
    edges[e]   source, token, target, next edge of the same source
    slots[h]   open addressing by (source, token): an edge, or NONE
    sizes      states, edges, last state, work done so far

State 0 is the root, which has no link. A state stands for strings with the same ends; a state's link for
its longest strings that have more ends. Counts: the walk up the links that adds an occurrence stops at a
saturated state, because all above it are saturated too. So no state is counted more than `MAX_COUNT`
times, and counting is amortised O(1) as growth itself is.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from syntagma.grammar.kernel_types import Int32Array, Int64Array, lean_kernel

Float64Array = NDArray[np.float64]

NONE: Final = -1
ROOT_STATE: Final = 0
MAX_COUNT: Final = 1023

LINK, LENGTH, FIRST_EDGE, COUNT, STATE_WIDTH = 0, 1, 2, 3, 4
SOURCE, TOKEN, TARGET, NEXT, EDGE_WIDTH = 0, 1, 2, 3, 4
NUM_STATES, NUM_EDGES, LAST, WORK, SIZES_WIDTH = 0, 1, 2, 3, 4
POOL_TOKEN, POOL_STATE, POOL_LENGTH, POOL_PARENT, POOL_DEPTH, POOL_WIDTH = 0, 1, 2, 3, 4, 5

MAX_CONTEXTS: Final = 3
"""A token is looked for behind the longest match and behind so many matches in all."""

MAX_EDGES: Final = 64
"""Of a state with more continuations only so many are looked at, newest first."""

NUM_CLASSES: Final = 10
"""Lengths of matches in classes: 1, 2, 3, 4-5, 6-7, 8-11, 12-15, 16-23, 24-31, longer."""


@lean_kernel
def length_class(length: int) -> int:
    """The class of a match, 0 to NUM_CLASSES - 1."""
    if length < 4:
        return length - 1
    power = 2
    while length >> (power + 1):
        power += 1
    return min(2 * power - 1 + (length >> (power - 1) & 1), NUM_CLASSES - 1)


@lean_kernel
def slot_of(edges: Int32Array, slots: Int32Array, source: int, token: int) -> int:
    """The slot of an edge, or the empty slot where it belongs."""
    mask = slots.size - 1
    mixed = ((np.int64(source) * 0x9E3779B1) ^ (np.int64(token) * 0x85EBCA77)) & 0x7FFFFFFF
    slot = int(mixed ^ (mixed >> 15)) & mask
    while True:
        edge = slots[slot]
        if edge == NONE or (edges[edge, SOURCE] == source and edges[edge, TOKEN] == token):
            return slot
        slot = (slot + 1) & mask


@lean_kernel
def edge_of(edges: Int32Array, slots: Int32Array, source: int, token: int) -> int:
    """The edge by which a state goes on with a token; NONE if it does not."""
    return int(slots[slot_of(edges, slots, source, token)])


@lean_kernel
def put_edge(
    states: Int32Array,
    edges: Int32Array,
    slots: Int32Array,
    sizes: Int64Array,
    source: int,
    token: int,
    target: int,
) -> None:
    """A new edge; there must be room."""
    edge = sizes[NUM_EDGES]
    sizes[NUM_EDGES] = edge + 1
    edges[edge, SOURCE] = source
    edges[edge, TOKEN] = token
    edges[edge, TARGET] = target
    edges[edge, NEXT] = states[source, FIRST_EDGE]
    states[source, FIRST_EDGE] = edge
    slots[slot_of(edges, slots, source, token)] = edge


@lean_kernel
def rehash(edges: Int32Array, slots: Int32Array, num_edges: int) -> None:
    """Enter all edges into empty slots."""
    for edge in range(num_edges):
        slots[slot_of(edges, slots, edges[edge, SOURCE], edges[edge, TOKEN])] = edge


@lean_kernel
def new_state(states: Int32Array, sizes: Int64Array, length: int, link: int, count: int) -> int:
    """A new state without edges; there must be room."""
    state = int(sizes[NUM_STATES])
    sizes[NUM_STATES] = state + 1
    states[state, LINK] = link
    states[state, LENGTH] = length
    states[state, FIRST_EDGE] = NONE
    states[state, COUNT] = count
    return state


@lean_kernel
def note_token(
    states: Int32Array,
    edges: Int32Array,
    slots: Int32Array,
    state: int,
    length: int,
    token: int,
    tally: Float64Array,
) -> None:
    """Count whether a token was known behind a match and, where it was not, behind shorter ones.

    Args:
        tally: float64[NUM_CLASSES, 2], how often it was known, and how often looked for.
    """
    for _ in range(MAX_CONTEXTS):
        if state == ROOT_STATE:
            return
        row = length_class(length)
        tally[row, 1] += 1.0
        if edge_of(edges, slots, state, token) != NONE:
            tally[row, 0] += 1.0
            return
        state = states[state, LINK]
        length = states[state, LENGTH]


@lean_kernel
def append(
    states: Int32Array,
    edges: Int32Array,
    slots: Int32Array,
    sizes: Int64Array,
    tokens: Int32Array,
    start: int,
    tally: Float64Array,
) -> int:
    """Go on by tokens, beginning with the start-th.

    Blumer et al. (1985), with the case of generalised automata that a document may begin like an earlier one.

    Args:
        tally: as in `note_token`, for what followed the document's own repetitions; not counted if it has no rows.

    Returns:
        The first token for which there was no room; nothing of it has been written.
    """
    max_edges = min(edges.shape[0], slots.size // 4 * 3)
    for i in range(start, tokens.size):
        token = tokens[i]
        last = sizes[LAST]
        # The states that must learn of the token, up to the first that knows it.
        num_new, work = 0, 0
        p = last
        edge = NONE
        while p != NONE:
            edge = edge_of(edges, slots, p, token)
            if edge != NONE:
                break
            num_new += 1
            p = states[p, LINK]
        target = ROOT_STATE
        is_split = False
        if p != NONE:
            target = edges[edge, TARGET]
            is_split = states[target, LENGTH] != states[p, LENGTH] + 1
        num_copied = 0
        if is_split:
            num_copied = 1  # it may be one of those that learn of the token
            e = states[target, FIRST_EDGE]
            while e != NONE:
                num_copied += 1
                e = edges[e, NEXT]
        if (
            sizes[NUM_EDGES] + num_new + num_copied > max_edges
            or sizes[NUM_STATES] + 2 > states.shape[0]
        ):
            return i
        if tally.shape[0] and last != ROOT_STATE:
            match = states[last, LINK]
            note_token(states, edges, slots, match, states[match, LENGTH], token, tally)
        current = NONE
        if num_new:
            current = new_state(states, sizes, states[last, LENGTH] + 1, target, 0)
            learner = last
            for _ in range(num_new):
                put_edge(states, edges, slots, sizes, learner, token, current)
                learner = states[learner, LINK]
        if is_split:
            # After the new edges, which it may have to share.
            whole = target
            target = new_state(
                states, sizes, states[p, LENGTH] + 1, states[whole, LINK], states[whole, COUNT]
            )
            e = states[whole, FIRST_EDGE]
            while e != NONE:
                put_edge(states, edges, slots, sizes, target, edges[e, TOKEN], edges[e, TARGET])
                e = edges[e, NEXT]
            states[whole, LINK] = target
            while p != NONE:
                edge = edge_of(edges, slots, p, token)
                if edges[edge, TARGET] != whole:
                    break
                edges[edge, TARGET] = target
                work += 1
                p = states[p, LINK]
        if current == NONE:
            current = target
        else:
            states[current, LINK] = target
        sizes[LAST] = current
        s = current
        while s != ROOT_STATE and states[s, COUNT] < MAX_COUNT:
            states[s, COUNT] += 1
            work += 1
            s = states[s, LINK]
        sizes[WORK] += 1 + num_new + num_copied + work
    return tokens.size


@lean_kernel
def narrowed(states: Int32Array, state: int, length: int) -> int:
    """The state of a match of this length, of which an earlier split may have made another state."""
    while state != ROOT_STATE and length <= states[states[state, LINK], LENGTH]:
        state = states[state, LINK]
    return state


@lean_kernel
def advance(
    states: Int32Array,
    edges: Int32Array,
    slots: Int32Array,
    match: Int64Array,
    tokens: Int32Array,
    tally: Float64Array,
    max_length: int,
) -> int:
    """Follow tokens through an automaton that they are not part of.

    Args:
        match: int64[2], the state and the length of the longest match; changed.
        tally: as in `note_token`; not counted if it has no rows.
        max_length: longer matches count as so long.

    Returns:
        Steps along links and edges.
    """
    work = 0
    for i in range(tokens.size):
        token = tokens[i]
        state = narrowed(states, match[0], match[1])
        length = match[1]
        if tally.shape[0]:
            note_token(states, edges, slots, state, length, token, tally)
        edge = edge_of(edges, slots, state, token)
        while edge == NONE and state != ROOT_STATE:
            state = states[state, LINK]
            length = states[state, LENGTH]
            edge = edge_of(edges, slots, state, token)
            work += 1
        if edge != NONE:
            length = min(length + 1, max_length)
            state = narrowed(states, edges[edge, TARGET], length)
        match[0] = state
        match[1] = length
        work += 1
    return work


@lean_kernel
def continuations(
    states: Int32Array,
    edges: Int32Array,
    slots: Int32Array,
    state: int,
    length: int,
    coverage: Float64Array,
    pool: Int32Array,
    probabilities: Float64Array,
    first: int,
) -> int:
    """Estimates of the next token behind a match (prediction by partial matching).

    A match of a class is followed by a token that it knows with probability ``coverage[class]``, and by
    each of these in proportion to how often it was; else the same holds for the next shorter match.

    Args:
        coverage: float64[NUM_CLASSES].
        pool: int32[N, POOL_WIDTH], written from row ``first`` on: the token, the state behind it, the length of
            the match there.
        probabilities: float64[N], written likewise: the estimates.

    Returns:
        The row behind the last one written, N at most.
    """
    end = first
    rest = 1.0
    for _ in range(MAX_CONTEXTS):
        if state == ROOT_STATE:
            break
        total = 0.0
        edge = states[state, FIRST_EDGE]
        num_seen = 0
        while edge != NONE and num_seen < MAX_EDGES:
            total += states[edges[edge, TARGET], COUNT]
            edge = edges[edge, NEXT]
            num_seen += 1
        share = coverage[length_class(length)] if num_seen else 0.0
        edge = states[state, FIRST_EDGE]
        for _ in range(num_seen):
            token, target = edges[edge, TOKEN], edges[edge, TARGET]
            probability = rest * share * states[target, COUNT] / total
            known = first
            while known < end and pool[known, POOL_TOKEN] != token:
                known += 1
            if known < end:
                probabilities[known] += probability
            elif end < pool.shape[0]:
                pool[end, POOL_TOKEN] = token
                pool[end, POOL_STATE] = target
                pool[end, POOL_LENGTH] = length + 1
                probabilities[end] = probability
                end += 1
            edge = edges[edge, NEXT]
        rest *= 1.0 - share
        state = states[state, LINK]
        length = states[state, LENGTH]
    return end


@lean_kernel
def likely_tree(
    states: Int32Array,
    edges: Int32Array,
    slots: Int32Array,
    state: int,
    length: int,
    coverage: Float64Array,
    max_nodes: int,
    max_depth: int,
    min_path: float,
    pool: Int32Array,
    estimates: Float64Array,
    nodes: Int32Array,
    probabilities: Float64Array,
) -> int:
    """The likeliest continuations behind a match, best first.

    Args:
        coverage: as in `continuations`.
        min_path: paths less likely than this are left out.
        pool, estimates: int32[N, POOL_WIDTH] and float64[2, N], scratch.
        nodes: int32[max_nodes, 2], written: token and parent.
        probabilities: float64[max_nodes], written: of a node given its parent.

    Returns:
        The number of nodes.
    """
    num_nodes, end = 0, 0
    parent, depth, path = NONE, 0, 1.0
    while True:
        if depth < max_depth:
            first = end
            found = continuations(
                states, edges, slots, state, length, coverage, pool, estimates[0], first
            )
            for row in range(first, found):
                if path * estimates[0, row] >= min_path:
                    pool[end, POOL_TOKEN] = pool[row, POOL_TOKEN]
                    pool[end, POOL_STATE] = pool[row, POOL_STATE]
                    pool[end, POOL_LENGTH] = pool[row, POOL_LENGTH]
                    pool[end, POOL_PARENT] = parent
                    pool[end, POOL_DEPTH] = depth + 1
                    estimates[0, end] = estimates[0, row]
                    estimates[1, end] = path * estimates[0, row]
                    end += 1
        if num_nodes == max_nodes:
            return num_nodes
        best = NONE
        for row in range(end):
            if estimates[1, row] > 0.0 and (best == NONE or estimates[1, row] > estimates[1, best]):
                best = row
        if best == NONE:
            return num_nodes
        path = estimates[1, best]
        estimates[1, best] = 0.0  # taken
        parent, depth = num_nodes, pool[best, POOL_DEPTH]
        state, length = pool[best, POOL_STATE], pool[best, POOL_LENGTH]
        nodes[num_nodes, 0] = pool[best, POOL_TOKEN]
        nodes[num_nodes, 1] = pool[best, POOL_PARENT]
        probabilities[num_nodes] = estimates[0, best]
        num_nodes += 1

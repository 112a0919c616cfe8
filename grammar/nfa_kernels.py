"""Numba kernels from a flattened syntax tree to the edges of an automaton with empty moves."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import LIMIT_REACHED, grown
from syntagma.grammar.kernel_types import BoolArray, Int32Array, kernel

# What a node of a flattened tree is; its three operands are behind it.
CHAR_SET = 0  # set id, -1 for the empty set
CONCAT = 1  # children[a : b]
UNION = 2  # children[a : b]
REPEAT = 3  # child, minimum, maximum or -1
BEGIN = 4
END = 5
AUTOMATON = 6  # automaton_edges[a : b], number of states

# Labels of moves that read nothing; other labels are set ids.
EPSILON = -1
AT_BEGIN = -2
AT_END = -3

START = 0
ACCEPT = 1


@kernel
def _with_move(moves: Int32Array, size: int, source: int, label: int, target: int) -> Int32Array:
    moves = grown(moves, size + 3)
    moves[size] = source
    moves[size + 1] = label
    moves[size + 2] = target
    return moves


@kernel
def thompson(
    nodes: Int32Array,
    children: Int32Array,
    automaton_edges: Int32Array,
    max_states: int,
) -> tuple[int, Int32Array]:
    """Thompson's construction (1968); repetition is unrolled.

    Anchors become moves that hold only at one end of the text.

    Args:
        nodes: int32[N, 4], kind and operands; node 0 is the root.
        children: int32[..], operands of concatenations and unions.
        automaton_edges: int32[.., 3], (state, set id, state) of embedded automata, whose start is
            state 1; set id EPSILON and state 0: may end here.
        max_states: states at most; there may be 4 times as many unfinished parts.

    Returns:
        (number of states or LIMIT_REACHED, moves int32[3 M]: source, label, target).
    """
    moves = np.empty(192, np.int32)
    size = 0
    num_states = 2
    waiting = np.empty(96, np.int32)
    waiting[0] = 0
    waiting[1] = START
    waiting[2] = ACCEPT
    depth = 3
    while depth > 0:
        depth -= 3
        node = waiting[depth]
        source = waiting[depth + 1]
        target = waiting[depth + 2]
        kind = nodes[node, 0]
        first = nodes[node, 1]
        second = nodes[node, 2]
        if kind == CHAR_SET:
            if first >= 0:
                moves = _with_move(moves, size, source, first, target)
                size += 3
        elif kind == CONCAT:
            if first == second:
                moves = _with_move(moves, size, source, EPSILON, target)
                size += 3
            waiting = grown(waiting, depth + 3 * (second - first))
            for i in range(first, second):
                after = target
                if i < second - 1:
                    after = num_states
                    num_states += 1
                waiting[depth] = children[i]
                waiting[depth + 1] = source
                waiting[depth + 2] = after
                depth += 3
                source = after
        elif kind == UNION:
            waiting = grown(waiting, depth + 3 * (second - first))
            for i in range(first, second):
                waiting[depth] = children[i]
                waiting[depth + 1] = source
                waiting[depth + 2] = target
                depth += 3
        elif kind == REPEAT:
            highest = nodes[node, 3]
            copies = second if highest >= 0 else max(second - 1, 0)
            optional = highest - second if highest >= 0 else 0
            if num_states + copies + optional > max_states:
                return LIMIT_REACHED, moves
            waiting = grown(waiting, depth + 3 * (copies + optional + 1))
            for i in range(copies + optional):
                if i == copies:
                    moves = _with_move(moves, size, source, EPSILON, target)
                    size += 3
                after = num_states
                num_states += 1
                waiting[depth] = first
                waiting[depth + 1] = source
                waiting[depth + 2] = after
                depth += 3
                if i >= copies:
                    moves = _with_move(moves, size, after, EPSILON, target)
                    size += 3
                source = after
            if highest < 0:
                # The last copy is the loop, so that nested ``+`` does not double the automaton.
                loop = num_states
                after = loop
                num_states += 1
                if second > 0:
                    after = num_states
                    num_states += 1
                waiting[depth] = first
                waiting[depth + 1] = loop
                waiting[depth + 2] = after
                depth += 3
                moves = _with_move(moves, size, source, EPSILON, loop)
                moves = _with_move(moves, size + 3, after, EPSILON, loop)
                moves = _with_move(moves, size + 6, after, EPSILON, target)
                size += 9
            elif optional == 0:
                moves = _with_move(moves, size, source, EPSILON, target)
                size += 3
        elif kind in (BEGIN, END):
            label = AT_BEGIN if kind == BEGIN else AT_END
            moves = _with_move(moves, size, source, label, target)
            size += 3
        else:
            base = num_states - 1
            num_states += nodes[node, 3] - 1
            moves = _with_move(moves, size, source, EPSILON, base + 1)
            size += 3
            for i in range(first, second):
                after = base + automaton_edges[i, 2]
                if automaton_edges[i, 1] == EPSILON:
                    after = target
                moves = _with_move(
                    moves, size, base + automaton_edges[i, 0], automaton_edges[i, 1], after
                )
                size += 3
        if num_states > max_states or depth > 12 * max_states:
            return LIMIT_REACHED, moves
    return num_states, moves[:size]


@kernel
def _grouped(
    moves: Int32Array, num_states: int, kinds: int, backwards: bool
) -> tuple[Int32Array, Int32Array]:
    """CSR of the moves that read nothing, by source (or by target, if backwards).

    ``kinds`` has the bit ``-label`` set for each label to be taken.
    """
    near, far = (2, 0) if backwards else (0, 2)
    start = np.zeros(num_states + 1, np.int32)
    for m in range(0, moves.size, 3):
        if moves[m + 1] < 0 and kinds >> -moves[m + 1] & 1:
            start[moves[m + near] + 1] += 1
    for s in range(num_states):
        start[s + 1] += start[s]
    fill = start[:-1].copy()
    ends = np.empty(start[num_states], np.int32)
    for m in range(0, moves.size, 3):
        if moves[m + 1] < 0 and kinds >> -moves[m + 1] & 1:
            ends[fill[moves[m + near]]] = moves[m + far]
            fill[moves[m + near]] += 1
    return start, ends


@kernel
def _reach(state: int, start: Int32Array, ends: Int32Array) -> BoolArray:
    """bool[states]: what can be reached from a state."""
    is_reached = np.zeros(start.size - 1, np.bool_)
    queue = np.empty(start.size - 1, np.int32)
    is_reached[state] = True
    queue[0] = state
    length = 1
    done = 0
    while done < length:
        for e in range(start[queue[done]], start[queue[done] + 1]):
            if not is_reached[ends[e]]:
                is_reached[ends[e]] = True
                queue[length] = ends[e]
                length += 1
        done += 1
    return is_reached


@kernel
def ends_of_text(moves: Int32Array, num_states: int) -> tuple[Int32Array, BoolArray, bool]:
    """Where a text may begin and end.

    Returns:
        (states before the first symbol, bool[states]: the text may end in a state, whether the
        empty text is accepted). Begin moves are taken for the first, End moves for the second, both
        for the last; no other state ever needs them.
    """
    start, targets = _grouped(moves, num_states, 0b0110, False)
    initial = np.flatnonzero(_reach(START, start, targets)).astype(np.int32)
    start, sources = _grouped(moves, num_states, 0b1010, True)
    accepts = _reach(ACCEPT, start, sources)
    start, targets = _grouped(moves, num_states, 0b1110, False)
    return initial, accepts, _reach(START, start, targets)[ACCEPT]


@kernel
def class_edges(
    moves: Int32Array,
    num_states: int,
    set_start: Int32Array,
    set_classes: Int32Array,
    max_edges: int,
) -> tuple[int, Int32Array, Int32Array, Int32Array, Int32Array, Int32Array]:
    """The moves in the form that `automata_kernels.determinise` reads.

    Args:
        set_start, set_classes: CSR of the symbol classes of each set.
        max_edges: edges at most.

    Returns:
        (number of edges or LIMIT_REACHED, epsilon_start, epsilon_target, edge_start, edge_class,
        edge_target).
    """
    epsilon_start, epsilon_target = _grouped(moves, num_states, 0b0010, False)
    edge_start = np.zeros(num_states + 1, np.int32)
    num_edges = 0
    for m in range(0, moves.size, 3):
        if moves[m + 1] >= 0:
            degree = set_start[moves[m + 1] + 1] - set_start[moves[m + 1]]
            edge_start[moves[m] + 1] += degree
            num_edges += degree
            if num_edges > max_edges:
                return LIMIT_REACHED, epsilon_start, epsilon_target, edge_start, moves, moves
    for s in range(num_states):
        edge_start[s + 1] += edge_start[s]
    fill = edge_start[:-1].copy()
    edge_class = np.empty(num_edges, np.int32)
    edge_target = np.empty(num_edges, np.int32)
    for m in range(0, moves.size, 3):
        if moves[m + 1] < 0:
            continue
        for i in range(set_start[moves[m + 1]], set_start[moves[m + 1] + 1]):
            position = fill[moves[m]]
            fill[moves[m]] += 1
            edge_class[position] = set_classes[i]
            edge_target[position] = moves[m + 2]
    return num_edges, epsilon_start, epsilon_target, edge_start, edge_class, edge_target

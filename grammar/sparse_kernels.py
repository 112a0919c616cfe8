"""Numba kernels that write sparse lexer states: lists of words, and strings other than some names."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.kernel_types import (
    BoolArray,
    Int32Array,
    Int64Array,
    UInt8Array,
    brief_kernel,
    kernel,
)
from syntagma.grammar.lexer_arrays import (
    ACCEPTS,
    CELL,
    DEAD_STATE,
    FALLBACK,
    KIND,
    LexerArrays,
    next_state,
)

QUOTE = ord('"')
BACKSLASH = ord("\\")
LETTER_U = ord("u")
LONGEST_SPELLING = 12
NO_EDGE = -1


@brief_kernel
def word_states(
    text: UInt8Array, ends: Int64Array, accept: int, first_state: int, first_cell: int
) -> tuple[Int32Array, Int32Array]:
    """The trie of some words as sparse states that fall back on nothing.

    Args:
        text: distinct non-empty words in byte order, one after another.
        ends: int64[num_words], where each word ends.
        accept: offset in ``accepts`` of the list that holds the terminal.
        first_state, first_cell: ids that the first state and cell will get.

    Returns:
        (states int32[N, 4], cells); the first state is the start.
    """
    parent = np.zeros(text.size + 1, np.int32)
    byte = np.zeros(text.size + 1, np.uint8)
    path = np.zeros(text.size + 1, np.int32)
    states = np.zeros((text.size + 1, 4), np.int32)
    num_nodes = 1
    begin = 0
    previous = 0
    previous_length = 0
    for w in range(ends.size):
        length = ends[w] - begin
        shared = 0
        while (
            shared < length
            and shared < previous_length
            and text[begin + shared] == text[previous + shared]
        ):
            shared += 1
        for k in range(shared, length):
            parent[num_nodes] = path[k]
            byte[num_nodes] = text[begin + k]
            path[k + 1] = num_nodes
            num_nodes += 1
        states[path[length], ACCEPTS] = accept
        previous = begin
        previous_length = length
        begin = ends[w]
    for node in range(1, num_nodes):
        states[parent[node], KIND] -= 1
    cell = first_cell
    for node in range(num_nodes):
        states[node, CELL] = cell
        cell -= 2 * states[node, KIND]
        states[node, KIND] -= 1
    cells = np.zeros(2 * (num_nodes - 1), np.int32)
    filled = np.zeros(num_nodes, np.int32)
    for node in range(1, num_nodes):
        source = parent[node]
        at = states[source, CELL] - first_cell + 2 * filled[source]
        filled[source] += 1
        cells[at] = byte[node]
        cells[at + 1] = first_state + node
    return states[:num_nodes].copy(), cells


@kernel
def _utf8(point: int, spelling: UInt8Array) -> int:
    """Write the UTF-8 bytes of a code point; returns how many."""
    if point < 0x80:
        spelling[0] = point
        return 1
    if point < 0x800:
        spelling[0] = 0xC0 | (point >> 6)
        spelling[1] = 0x80 | (point & 0x3F)
        return 2
    if point < 0x10000:
        spelling[0] = 0xE0 | (point >> 12)
        spelling[1] = 0x80 | ((point >> 6) & 0x3F)
        spelling[2] = 0x80 | (point & 0x3F)
        return 3
    spelling[0] = 0xF0 | (point >> 18)
    spelling[1] = 0x80 | ((point >> 12) & 0x3F)
    spelling[2] = 0x80 | ((point >> 6) & 0x3F)
    spelling[3] = 0x80 | (point & 0x3F)
    return 4


@kernel
def _short_escape(point: int) -> int:
    """The byte behind the backslash of a short escape, 0 if the code point has none."""
    if point in (QUOTE, BACKSLASH, 0x2F):
        return point
    if point == 8:
        return ord("b")
    if point == 9:
        return ord("t")
    if point == 10:
        return ord("n")
    if point == 12:
        return ord("f")
    if point == 13:
        return ord("r")
    return 0


@kernel
def _write_unit(unit: int, spelling: UInt8Array, at: int) -> int:
    """Write ``\\uxxxx`` with lower-case digits; returns the offset behind it."""
    spelling[at] = BACKSLASH
    spelling[at + 1] = LETTER_U
    for digit in range(4):
        value = (unit >> (12 - 4 * digit)) & 15
        spelling[at + 2 + digit] = value + (ord("0") if value < 10 else ord("a") - 10)
    return at + 6


@kernel
def _unicode_escape(point: int, spelling: UInt8Array) -> int:
    if point < 0x10000:
        return _write_unit(point, spelling, 0)
    high = 0xD800 + ((point - 0x10000) >> 10)
    low = 0xDC00 + ((point - 0x10000) & 0x3FF)
    return _write_unit(low, spelling, _write_unit(high, spelling, 0))


@kernel
def _insert(
    spelling: UInt8Array,
    length: int,
    is_escape: bool,
    source: int,
    target: int,
    lexer: LexerArrays,
    states: Int32Array,
    first_edge: Int32Array,
    edges: Int32Array,
    sizes: Int64Array,
) -> None:
    """Add one spelling between two states; hexadecimal digits are entered in both cases."""
    state = source
    for k in range(length):
        byte = spelling[k]
        edge = first_edge[state]
        while edge != NO_EDGE and edges[edge, 0] != byte:
            edge = edges[edge, 2]
        if edge != NO_EDGE:
            state = edges[edge, 1]
            continue
        if k == length - 1:
            after = target
        else:
            after = sizes[0]
            sizes[0] += 1
            states[after, FALLBACK] = next_state(lexer, states[state, FALLBACK], byte)
        is_digit = is_escape and k % 6 > 1 and byte >= ord("a")
        for variant in range(2 if is_digit else 1):
            edges[sizes[1], 0] = byte - 32 * variant
            edges[sizes[1], 1] = after
            edges[sizes[1], 2] = first_edge[state]
            first_edge[state] = sizes[1]
            sizes[1] += 1
            states[state, KIND] -= 1
        state = after


@kernel
def _name_trie(
    points: Int32Array, ends: Int64Array, parent: Int32Array, point: Int32Array, is_name: BoolArray
) -> int:
    """The trie of sorted names over code points, in preorder; returns the number of nodes."""
    path = np.zeros(points.size + 1, np.int32)
    num_nodes = 1
    begin = 0
    previous = 0
    previous_length = 0
    for n in range(ends.size):
        length = ends[n] - begin
        shared = 0
        while (
            shared < length
            and shared < previous_length
            and points[begin + shared] == points[previous + shared]
        ):
            shared += 1
        for k in range(shared, length):
            parent[num_nodes] = path[k]
            point[num_nodes] = points[begin + k]
            path[k + 1] = num_nodes
            num_nodes += 1
        is_name[path[length]] = True
        previous = begin
        previous_length = length
        begin = ends[n]
    return num_nodes


@kernel
def other_string_states(
    points: Int32Array,
    ends: Int64Array,
    body: int,
    lexer: LexerArrays,
    first_state: int,
    first_cell: int,
) -> tuple[Int32Array, Int32Array]:
    """JSON strings other than some names, as differences from any JSON string.

    On the way to a name, however it is spelled, a state knows where it is in the trie of names and
    falls back on the state that any string would be in there. Behind a whole name the closing quote
    is dead.

    Args:
        points: int32, the code points of distinct names in order, one name after another.
        ends: int64[num_names], where each name ends.
        body: the lexer state of any string behind its opening quote.
        first_state, first_cell: ids that the first state and cell will get.

    Returns:
        (states int32[N, 4], cells); the first state is the start, before the opening quote.
    """
    parent = np.zeros(points.size + 1, np.int32)
    point = np.zeros(points.size + 1, np.int32)
    is_name = np.zeros(points.size + 1, np.bool_)
    num_nodes = _name_trie(points, ends, parent, point, is_name)
    is_astral = points.size > 0 and points.max() >= 0x10000
    # State 0 is the start, node n is state n + 1, then come the states inside spellings.
    capacity = 2 + num_nodes * (17 if is_astral else 10)
    states = np.zeros((capacity, 4), np.int32)
    first_edge = np.full(capacity, NO_EDGE, np.int32)
    edges = np.zeros((4 + num_nodes * (28 if is_astral else 17), 3), np.int32)
    sizes = np.array([num_nodes + 1, 0])
    spelling = np.zeros(LONGEST_SPELLING, np.uint8)
    for node in range(num_nodes):
        states[node + 1, FALLBACK] = body
    spelling[0] = QUOTE
    _insert(spelling, 1, False, 0, 1, lexer, states, first_edge, edges, sizes)
    for node in range(1, num_nodes):
        value = point[node]
        source = parent[node] + 1
        if 0xD800 <= value < 0xE000:
            continue
        if value >= 0x20 and value != QUOTE and value != BACKSLASH:
            length = _utf8(value, spelling)
            _insert(
                spelling, length, False, source, node + 1, lexer, states, first_edge, edges, sizes
            )
        short = _short_escape(value)
        if short:
            spelling[0] = BACKSLASH
            spelling[1] = short
            _insert(spelling, 2, False, source, node + 1, lexer, states, first_edge, edges, sizes)
        length = _unicode_escape(value, spelling)
        _insert(spelling, length, True, source, node + 1, lexer, states, first_edge, edges, sizes)
    spelling[0] = QUOTE
    for node in range(num_nodes):
        if is_name[node]:
            _insert(
                spelling, 1, False, node + 1, -first_state, lexer, states, first_edge, edges, sizes
            )
    num_states = sizes[0]
    cells = np.zeros(2 * sizes[1], np.int32)
    at = 0
    for state in range(num_states):
        states[state, CELL] = first_cell + at
        states[state, KIND] -= 1
        edge = first_edge[state]
        while edge != NO_EDGE:
            cells[at] = edges[edge, 0]
            # The dead state was entered as -first_state.
            cells[at + 1] = first_state + edges[edge, 1]
            at += 2
            edge = edges[edge, 2]
    return states[:num_states].copy(), cells


@kernel
def dense_states(
    transitions: Int32Array,
    accepting: BoolArray,
    class_map: int,
    accept: int,
    first_state: int,
    first_cell: int,
) -> tuple[Int32Array, Int32Array]:
    """A minimal automaton's states 1, 2, ... as lexer states ``first_state``, ``first_state + 1``, ...

    Returns:
        (states int32[N, 4], cells).
    """
    num_states, num_classes = transitions.shape
    states = np.zeros((num_states - 1, 4), np.int32)
    cells = np.zeros((num_states - 1) * num_classes, np.int32)
    for state in range(1, num_states):
        states[state - 1, CELL] = first_cell + (state - 1) * num_classes
        states[state - 1, KIND] = class_map
        if accepting[state]:
            states[state - 1, ACCEPTS] = accept
        for c in range(num_classes):
            target = transitions[state, c]
            if target != DEAD_STATE:
                cells[(state - 1) * num_classes + c] = target + first_state - 1
    return states, cells

"""Numba kernels for what must come next: ways through lexer states and spellings of a text."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.automata_kernels import grown
from syntagma.grammar.interior_kernels import DenseTerminal
from syntagma.grammar.kernel_types import Int32Array, Int64Array, UInt8Array, kernel
from syntagma.grammar.lexer_arrays import DEAD_STATE, LexerArrays, next_state, num_accepts

# Columns of `reachable_states`.
STATE, PARENT, BYTE, DISTANCE = 0, 1, 2, 3
NO_PARENT = -1

MANY = -1


@kernel
def _slot(buckets: Int32Array, steps: Int32Array, state: int) -> int:
    """Where a state is entered in a table of steps, or the free slot for it."""
    slot = (state * 40503) & (buckets.size - 1)
    while buckets[slot] >= 0 and steps[4 * buckets[slot] + STATE] != state:
        slot = (slot + 1) & (buckets.size - 1)
    return slot


@kernel
def reachable_states(
    lexer: LexerArrays, start: int, max_distance: int, stops_at_end: bool
) -> Int32Array:
    """Breadth-first search from a lexer state, byte by byte.

    Args:
        max_distance: bytes from the start at most.
        stops_at_end: stop at the first state in which a terminal is complete.

    Returns:
        int32[N, 4], the states in the order met: STATE, PARENT (row it was met from, or NO_PARENT),
        BYTE that leads here from there, DISTANCE in bytes from the start. If the search stops at an
        end, that is the last row.
    """
    steps = np.zeros(4 * 64, np.int32)
    steps[STATE] = start
    steps[PARENT] = NO_PARENT
    count = 1
    buckets = np.full(128, -1, np.int32)
    buckets[_slot(buckets, steps, start)] = 0
    current = 0
    while current < count:
        state: int = steps[4 * current + STATE]
        distance = steps[4 * current + DISTANCE]
        if stops_at_end and num_accepts(lexer, state) > 0:
            count = current + 1
            break
        if distance >= max_distance:
            break
        steps = grown(steps, 4 * (count + 256))
        before = DEAD_STATE
        for byte in range(256):
            target = next_state(lexer, state, byte)
            # Neighbouring bytes mostly lead to the same state.
            if target in (DEAD_STATE, before):
                continue
            before = target
            slot = _slot(buckets, steps, target)
            if buckets[slot] >= 0:
                continue
            buckets[slot] = count
            steps[4 * count + STATE] = target
            steps[4 * count + PARENT] = current
            steps[4 * count + BYTE] = byte
            steps[4 * count + DISTANCE] = distance + 1
            count += 1
            if 2 * count > buckets.size:
                buckets = np.full(4 * buckets.size, -1, np.int32)
                for row in range(count):
                    buckets[_slot(buckets, steps, steps[4 * row + STATE])] = row
        current += 1
    return steps[: 4 * count].copy().reshape(count, 4)


@kernel
def nearest_end(
    terminal: DenseTerminal, distance: Int64Array, byte_of_class: UInt8Array, state: int
) -> tuple[UInt8Array, int]:
    """A shortest way from a dense terminal's state to its end.

    Args:
        distance: int64[N + 1], bytes to the end from the dead state and the terminal's N states.
        byte_of_class: a byte of each of the terminal's classes.

    Returns:
        (bytes of the way, state at the end).
    """
    number = state - terminal.first_state + 1
    word = np.zeros(distance[number], np.uint8)
    for i in range(word.size):
        missing = distance[number] - 1
        cell = (number - 1) * terminal.width
        for c in range(terminal.width):
            target = terminal.table[cell + c]
            if target != DEAD_STATE and distance[target - terminal.first_state + 1] == missing:
                word[i] = byte_of_class[c]
                number = target - terminal.first_state + 1
                break
    return word, number + terminal.first_state - 1


@kernel
def _only_byte(lexer: LexerArrays, states: Int32Array, count: int) -> int:
    """The byte that can follow some lexer states, or MANY (none counts as many)."""
    found = MANY
    for byte in range(256):
        for i in range(count):
            if next_state(lexer, states[i], byte) != DEAD_STATE:
                if found != MANY:
                    return MANY
                found = byte
                break
    return found


@kernel
def forced_run(lexer: LexerArrays, initial: Int32Array, run: UInt8Array) -> int:
    """Follow lexer states side by side while exactly one byte can follow.

    Args:
        initial: int32[K], states of which any may be the one.
        run: uint8[L], gets the bytes; L is the most that are followed.

    Returns:
        The number of bytes; behind the last one there is a choice, or a terminal is complete, so that
        only the parser knows more.
    """
    states = initial.copy()
    count = states.size
    for length in range(run.size):
        byte = _only_byte(lexer, states, count)
        if byte == MANY:
            return length
        run[length] = byte
        kept = 0
        is_end = False
        for i in range(count):
            target = next_state(lexer, states[i], byte)
            if target != DEAD_STATE:
                states[kept] = target
                kept += 1
                is_end |= num_accepts(lexer, target) > 0
        count = kept
        if is_end:
            return length + 1
    return run.size


@kernel
def fewest_tokens(
    byte: UInt8Array,
    subtree_end: Int32Array,
    token_start: Int32Array,
    token_ids: Int32Array,
    text: UInt8Array,
) -> tuple[bool, Int32Array]:
    """The fewest tokens that spell a text: shortest paths from its end to its beginning.

    Args:
        byte .. token_ids: the token trie.
        text: uint8[N].

    Returns:
        (whether the tokens can spell it, their ids).
    """
    unreached = text.size + 1
    first_node = np.zeros(256, np.int32)
    child = 1
    while child < subtree_end[0]:
        first_node[byte[child]] = child
        child = subtree_end[child]
    fewest = np.full(text.size + 1, unreached, np.int32)
    node_of = np.zeros(text.size + 1, np.int32)
    next_of = np.zeros(text.size + 1, np.int32)
    fewest[text.size] = 0
    for begin in range(text.size - 1, -1, -1):
        node = first_node[text[begin]]
        end = begin
        while node != 0:
            end += 1
            if token_start[node] < token_start[node + 1] and fewest[end] + 1 < fewest[begin]:
                fewest[begin] = fewest[end] + 1
                node_of[begin] = node
                next_of[begin] = end
            if end == text.size:
                break
            child = node + 1
            while child < subtree_end[node] and byte[child] != text[end]:
                child = subtree_end[child]
            node = child if child < subtree_end[node] else 0
    if fewest[0] == unreached:
        return False, np.zeros(0, np.int32)
    ids = np.zeros(fewest[0], np.int32)
    at = 0
    for i in range(ids.size):
        ids[i] = token_ids[token_start[node_of[at]]]
        at = next_of[at]
    return True, ids

"""Lexer states as flat arrays, and how to step through them.

Most states of a schema's lexers differ from some other state on one byte or two: inside a literal
from the dead state, inside a key from "any other string". Such a state is *sparse*: a few edges and a
state to fall back on. The others are *dense*: a row of a table over byte classes.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from syntagma.grammar.kernel_types import Int32Array, UInt8Array, kernel, lean_kernel

# Columns of `LexerArrays.states`.
CELL: Final = 0
KIND: Final = 1
FALLBACK: Final = 2
ACCEPTS: Final = 3
DEAD_STATE: Final = 0


class LexerArrays(NamedTuple):
    """What kernels read.

    Attributes:
        states: int32[num_states, 4]. CELL: where the state's cells begin in ``table``. KIND: the
            class map of a dense state, or ``-1 - num_edges`` of a sparse one. FALLBACK: the state
            that a sparse one behaves as on bytes without an edge (0: dead). ACCEPTS: where the
            terminals complete in the state are listed.
        table: int32; a target for each byte class (dense) or pairs (byte, target) (sparse).
        class_maps: uint8[num_maps, 256].
        accepts: int32; at each offset a count and as many terminals, ascending; at 0 none.
    """

    states: Int32Array
    table: Int32Array
    class_maps: UInt8Array
    accepts: Int32Array


@lean_kernel
def next_state(lexer: LexerArrays, state: int, byte: int) -> int:
    """The lexer state after one byte, 0 if dead."""
    while True:
        kind = lexer.states[state, KIND]
        cell = lexer.states[state, CELL]
        if kind >= 0:
            dense: int = lexer.table[cell + lexer.class_maps[kind, byte]]
            return dense
        for edge in range(cell, cell - 2 * (kind + 1), 2):
            if lexer.table[edge] == byte:
                sparse: int = lexer.table[edge + 1]
                return sparse
        state = lexer.states[state, FALLBACK]
        if state == DEAD_STATE:
            return DEAD_STATE


@lean_kernel
def dense_root(lexer: LexerArrays, state: int) -> int:
    """The dense state that a state falls back on in the end, itself if it is dense; 0 if none."""
    while state != DEAD_STATE and lexer.states[state, KIND] < 0:
        state = lexer.states[state, FALLBACK]
    return state


@kernel
def first_accept(lexer: LexerArrays, state: int) -> int:
    """Where in ``accepts`` the terminals complete in a state begin; see `num_accepts`."""
    at: int = lexer.states[state, ACCEPTS]
    return at + 1


@kernel
def num_accepts(lexer: LexerArrays, state: int) -> int:
    """How many terminals are complete in a state."""
    count: int = lexer.accepts[lexer.states[state, ACCEPTS]]
    return count


@kernel
def same_accepts(lexer: LexerArrays, state: int, other: int) -> bool:
    """Whether the same terminals are complete in two states."""
    count = num_accepts(lexer, state)
    if count != num_accepts(lexer, other):
        return False
    for a in range(count):
        same: bool = (
            lexer.accepts[first_accept(lexer, state) + a]
            == lexer.accepts[first_accept(lexer, other) + a]
        )
        if not same:
            return False
    return True


@kernel
def joint_classes(map_ids: Int32Array, class_maps: UInt8Array) -> tuple[UInt8Array, UInt8Array]:
    """The coarsest byte classes that respect all given maps.

    Returns:
        (class of each byte uint8[256], a byte of each class uint8[C]).
    """
    joint = np.zeros(256, np.uint8)
    representative = np.zeros(256, np.uint8)
    num_classes = 0
    for byte in range(256):
        found = -1
        for c in range(num_classes):
            same = True
            for m in map_ids:
                if class_maps[m, byte] != class_maps[m, representative[c]]:
                    same = False
                    break
            if same:
                found = c
                break
        if found < 0:
            found = num_classes
            representative[found] = byte
            num_classes += 1
        joint[byte] = found
    return joint, representative[:num_classes].copy()

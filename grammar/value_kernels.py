"""Numba kernels that tell how much may still follow a lexer state."""

from __future__ import annotations

import numpy as np

from syntagma.grammar.kernel_types import Int32Array, UInt8Array, kernel
from syntagma.grammar.lexer_arrays import (
    DEAD_STATE,
    LexerArrays,
    first_accept,
    next_state,
    num_accepts,
)

MAX_STEPS = 64
ZERO = ord("0")


@kernel
def num_ways(lexer: LexerArrays, state: int, symbols: UInt8Array, enough: float) -> float:
    """In how many ways some bytes may go on from a lexer state, at least; ``enough`` at most.

    Counted are ways of equal length, whether a terminal is complete there or not, and ways of any
    length to where one is, unless they end in a zero.

    Args:
        state: a lexer state; from every state that is not dead a terminal can be completed.
        symbols: distinct bytes.
        enough: more need not be counted.
    """
    index = np.full(lexer.states.shape[0], -1, np.int32)
    states = np.array([state], np.int32)
    ways = np.ones(1, np.float64)
    most = 0.0
    complete = 0.0
    for _ in range(MAX_STEPS):
        after = np.empty(states.size * symbols.size, np.int32)
        ways_after = np.zeros(states.size * symbols.size, np.float64)
        count = 0
        total = 0.0
        for i in range(states.size):
            for symbol in symbols:
                target = next_state(lexer, states[i], symbol)
                if target == DEAD_STATE:
                    continue
                if index[target] < 0:
                    index[target] = count
                    after[count] = target
                    count += 1
                ways_after[index[target]] += ways[i]
                total += ways[i]
                if symbol != ZERO and num_accepts(lexer, target) > 0:
                    complete += ways[i]
        for i in range(count):
            index[after[i]] = -1
        most = max(most, total, complete)
        if most >= enough or count == 0:
            break
        states = after[:count].copy()
        ways = ways_after[:count].copy()
    return min(most, enough)


@kernel
def states_ahead(lexer: LexerArrays, state: int, max_states: int) -> Int32Array:
    """A state and those that can be reached from it; none if there are more than ``max_states``."""
    found = np.empty(max_states, np.int32)
    is_known = np.zeros(lexer.states.shape[0], np.bool_)
    found[0] = state
    is_known[state] = True
    count = 1
    done = 0
    while done < count:
        for byte in range(256):
            target = next_state(lexer, found[done], byte)
            if target == DEAD_STATE or is_known[target]:
                continue
            if count == max_states:
                return found[:0].copy()
            is_known[target] = True
            found[count] = target
            count += 1
        done += 1
    return found[:count].copy()


@kernel
def terminals_ahead(lexer: LexerArrays, states: Int32Array) -> Int32Array:
    """The terminals that are complete in some states, each as often as it is."""
    count = 0
    for state in states:
        count += num_accepts(lexer, state)
    found = np.empty(count, np.int32)
    count = 0
    for state in states:
        first = first_accept(lexer, state)
        for at in range(first, first + num_accepts(lexer, state)):
            found[count] = lexer.accepts[at]
            count += 1
    return found

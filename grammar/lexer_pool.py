"""All lexer states of a vocabulary's grammars, in one numbering.

A terminal is registered once, under the key of its language, and its states get ids in the pool. A
*lexer* runs the terminals that a parser state can take side by side; it needs states of its own only
while two or more of them are still alive and then continues in the surviving terminal's states. So a
JSON string's body is the same states in every grammar. State 0 is dead.
"""

from __future__ import annotations

import bisect
import sys
import threading
from typing import NamedTuple

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar.automata_kernels import LIMIT_REACHED
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.growable import Growable
from syntagma.grammar.kernel_types import Int32Array, UInt8Array
from syntagma.grammar.lexer_kernels import union_of_terminals
from syntagma.grammar.minimise_kernels import bounded_classes

MAX_LEXER_STATES = 20_000
MAX_BASE_STATES = 64
MIN_TWIN_STATES = 128

# Bytes that continue free text and hardly ever begin anything in particular.
PROBES = (0x7E, 0x51, 0x7A)


class LexerArrays(NamedTuple):
    """What kernels read.

    The state after byte ``b`` in state ``s`` is
    ``table[row_of[s] + class_maps[class_map_of[s], b]]``; the terminals complete in ``s`` are
    ``accepts[accept_start[s]:accept_start[s + 1]]``.
    """

    table: Int32Array
    row_of: Int32Array
    class_map_of: Int32Array
    class_maps: UInt8Array
    accept_start: Int32Array
    accepts: Int32Array


class LexerPool:
    """Terminals and lexers, shared by all grammars over one vocabulary; append-only."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._table = Growable(np.int32, capacity=1 << 14)
        self._row_of = Growable(np.int32)
        self._class_map_of = Growable(np.int32)
        self._class_maps = Growable(np.uint8, width=256, capacity=16)
        self._accept_start = Growable(np.int32)
        self._accepts = Growable(np.int32)
        self._class_map_ids: dict[bytes, int] = {}
        self._terminal_ids: dict[bytes, int] = {}
        self._start_of_terminal: list[int] = []
        # [first, end) of each terminal's states, ascending; and their twins within a length.
        self._terminal_ranges: list[tuple[int, int]] = []
        self._twins: dict[tuple[int, int], Int32Array] = {}
        self._lexers: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._accept_start.append(0)
        self._add_states(np.zeros((1, 1), np.int32), np.zeros(256, np.uint8), [()])

    @property
    def num_states(self) -> int:
        """Lexer states, the dead one included."""
        return self._row_of.size

    @property
    def num_terminals(self) -> int:
        """Distinct terminals."""
        return len(self._start_of_terminal)

    @property
    def arrays(self) -> LexerArrays:
        """The current buffers; everything registered before this call is in them."""
        return LexerArrays(
            self._table.data,
            self._row_of.data,
            self._class_map_of.data,
            self._class_maps.data,
            self._accept_start.data,
            self._accepts.data,
        )

    @property
    def num_bytes(self) -> int:
        """Memory of the buffers."""
        return sum(array.nbytes for array in self.arrays)

    def terminal_id(self, dfa: Dfa) -> int:
        """The id of a terminal; equal languages have one id.

        Raises:
            ValueError: the terminal is empty or accepts the empty word.
        """
        if dfa.is_empty or dfa.accepts_empty_word:
            raise ValueError("a terminal must have words, none of them empty")
        with self._lock:
            known = self._terminal_ids.get(dfa.key)
            if known is not None:
                return known
            terminal = len(self._start_of_terminal)
            first = self.num_states
            # States 1, 2, ... of the terminal become first, first + 1, ... of the pool.
            table = np.where(dfa.transitions[1:] > 0, dfa.transitions[1:] + (first - 1), 0)
            accepts: list[tuple[int, ...]] = [
                (terminal,) if a else () for a in dfa.accepting[1:].tolist()
            ]
            self._add_states(table.astype(np.int32), dfa.byte_classes, accepts)
            self._start_of_terminal.append(first + dfas.START - 1)
            self._terminal_ranges.append((first, self.num_states))
            self._terminal_ids[dfa.key] = terminal
            return terminal

    def lexer(self, terminals: tuple[int, ...]) -> tuple[int, ...]:
        """Start states that together run the given terminals (sorted, distinct).

        One state as a rule; several if running the terminals side by side takes too many states.
        """
        with self._lock:
            starts = self._lexers.get(terminals)
            if starts is None:
                starts = self._build_lexer(terminals)
                self._lexers[terminals] = starts
            return starts

    def base_of(self, state: int) -> int | None:
        """A state that this one becomes on unremarkable text and that then stays the same.

        Inside a key it is the state "any other key", inside text the text itself (the state is its own
        base). None: there is no such state, or a terminal may be complete in it.
        """
        arrays = self.arrays
        after = [_step(arrays, state, byte) for byte in PROBES]
        if state in after:
            base = state
        else:
            stays = (
                s for s, byte in zip(after, PROBES, strict=True) if s == _step(arrays, s, byte)
            )
            base = next((s for s in stays if s), 0)
        is_inside = arrays.accept_start[base] == arrays.accept_start[base + 1]
        return base if base and is_inside else None

    def twin_within(self, state: int, max_bytes: int) -> int:
        """A state of the same terminal that no ``max_bytes`` bytes tell apart from this one.

        In a counted repetition most states are far from either bound and have one twin. Small
        terminals and states where several terminals are alive are their own twins.
        """
        with self._lock:
            index = bisect.bisect_right(self._terminal_ranges, (state, sys.maxsize)) - 1
            if index < 0 or state >= self._terminal_ranges[index][1]:
                return state
            first, end = self._terminal_ranges[index]
            if end - first < MIN_TWIN_STATES:
                return state
            key = (first, max_bytes)
            if key not in self._twins:
                self._twins[key] = self._bounded_twins(first, end, max_bytes)
            return int(self._twins[key][state - first])

    def _bounded_twins(self, first: int, end: int, max_bytes: int) -> Int32Array:
        arrays = self.arrays
        width = int(arrays.class_maps[arrays.class_map_of[first]].max()) + 1
        row = arrays.row_of[first]
        table = np.zeros((end - first + 1, width), np.int32)
        flat = arrays.table[row : row + (end - first) * width].reshape(-1, width)
        table[1:] = np.where(flat > 0, flat - (first - 1), 0)
        labels = np.ones(end - first + 1, np.int32)
        labels[1:] += np.diff(arrays.accept_start[first : end + 1]) > 0
        labels[0] = 0
        return bounded_classes(table, labels, max_bytes)[1:] + (first - 1)

    def language_key(self, state: int) -> bytes | None:
        """A key of what may follow a state, equal for equal futures whatever the terminal is called.

        None: more than one terminal lies ahead, or too many states.
        """
        states = self._reachable(state)
        if states is None or len(self.terminals_ahead(state)) != 1:
            return None
        arrays = self.arrays
        number = {0: 0} | {s: i for i, s in enumerate(states, start=1)}
        byte_classes, representatives = self._joint_classes(np.array(states, np.int32))
        table = np.zeros((len(number), representatives.size), np.int32)
        labels = np.zeros(len(number), np.int32)
        for s, row in number.items():
            if s:
                table[row] = [number[_step(arrays, s, byte)] for byte in representatives.tolist()]
                labels[row] = arrays.accept_start[s] < arrays.accept_start[s + 1]
        return dfas.from_table(table, byte_classes, dfas.START, labels).key

    def terminals_ahead(self, state: int) -> tuple[int, ...]:
        """The terminals that may still become complete, for a state with few states ahead."""
        arrays = self.arrays
        found = {
            terminal
            for s in self._reachable(state) or ()
            for terminal in arrays.accepts[
                arrays.accept_start[s] : arrays.accept_start[s + 1]
            ].tolist()
        }
        return tuple(sorted(found))

    def _reachable(self, state: int) -> list[int] | None:
        """The live states ahead, itself included, in breadth-first order; None: too many."""
        arrays = self.arrays
        found = {state: None}
        waiting = [state]
        for s in waiting:
            width = int(arrays.class_maps[arrays.class_map_of[s]].max()) + 1
            first = arrays.row_of[s]
            for target in arrays.table[first : first + width].tolist():
                if target and target not in found:
                    found[target] = None
                    waiting.append(target)
            if len(waiting) > MAX_BASE_STATES:
                return None
        return waiting

    def _build_lexer(self, terminals: tuple[int, ...]) -> tuple[int, ...]:
        starts = np.array([self._start_of_terminal[t] for t in terminals], np.int32)
        if len(terminals) == 1:
            return (int(starts[0]),)
        arrays = self.arrays
        byte_classes, representatives = self._joint_classes(starts)
        first = self.num_states
        num_states, flat, offsets, members = union_of_terminals(
            starts,
            representatives,
            first,
            arrays.table,
            arrays.row_of,
            arrays.class_map_of,
            arrays.class_maps,
            MAX_LEXER_STATES,
        )
        if num_states == LIMIT_REACHED:
            half = len(terminals) // 2
            return self.lexer(terminals[:half]) + self.lexer(terminals[half:])
        accepts = [
            tuple(
                int(terminal)
                for state in members[offsets[i] : offsets[i + 1]]
                for terminal in arrays.accepts[
                    arrays.accept_start[state] : arrays.accept_start[state + 1]
                ]
            )
            for i in range(num_states)
        ]
        self._add_states(flat.reshape(num_states, -1), byte_classes, accepts)
        return (first,)

    def _joint_classes(self, states: Int32Array) -> tuple[UInt8Array, UInt8Array]:
        maps = self._class_maps.data[np.unique(self._class_map_of.data[states])]
        _, first, inverse = np.unique(maps, axis=1, return_index=True, return_inverse=True)
        return inverse.reshape(-1).astype(np.uint8), first.astype(np.uint8)

    def _add_states(
        self, table: Int32Array, byte_classes: UInt8Array, accepts: list[tuple[int, ...]]
    ) -> None:
        key = byte_classes.tobytes()
        class_map = self._class_map_ids.get(key)
        if class_map is None:
            class_map = self._class_map_ids[key] = self._class_maps.append(byte_classes)
        num_states, num_classes = table.shape
        offset = self._table.extend(table.reshape(-1))
        self._accepts.extend(np.array([t for row in accepts for t in row], np.int32))
        counts = np.array([len(row) for row in accepts], np.int32)
        base = self._accept_start.data[self._accept_start.size - 1]
        self._accept_start.extend(base + np.cumsum(counts))
        self._class_map_of.extend(np.full(num_states, class_map, np.int32))
        self._row_of.extend(offset + num_classes * np.arange(num_states))


def _step(arrays: LexerArrays, state: int, byte: int) -> int:
    column = arrays.class_maps[arrays.class_map_of[state], byte]
    return int(arrays.table[arrays.row_of[state] + column])

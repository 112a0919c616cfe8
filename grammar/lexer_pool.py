"""All lexer states of a vocabulary's grammars, in one numbering.

A terminal is registered once, under the key of its language, and its states get ids in the pool. A
*lexer* runs the terminals that a parser state can take side by side; it needs states of its own only
while two or more of them are still alive and then continues in the surviving terminal's states. So a
JSON string's body is the same states in every grammar. State 0 is dead.
"""

from __future__ import annotations

import bisect
import itertools
import sys
import threading
from typing import Final

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar.automata_kernels import LIMIT_REACHED
from syntagma.grammar.growable import Growable
from syntagma.grammar.interior_kernels import DenseTerminal
from syntagma.grammar.kernel_types import Int32Array, UInt8Array
from syntagma.grammar.lexer_arrays import (
    ACCEPTS,
    CELL,
    DEAD_STATE,
    FALLBACK,
    KIND,
    LexerArrays,
    joint_classes,
    next_state,
)
from syntagma.grammar.lexer_kernels import union_of_lexers
from syntagma.grammar.sparse_kernels import dense_states, other_string_states, word_states
from syntagma.grammar.terminals import Language, OtherStrings, WordList, any_string

MAX_LEXER_STATES: Final = 512
# Longer lists are worth minimising: their words share endings.
MAX_TRIE_BYTES: Final = 50_000
NO_CLASS_MAP: Final = -1
CELLS_PER_STATE: Final = 16
# Groups of terminals that one parser state runs each in its own lexer state.
MAX_APART: Final = 3


class LexerPool:
    """Terminals and lexers, shared by all grammars over one vocabulary; append-only.

    Attributes:
        arrays: the current buffers; everything registered so far is in them.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._states = Growable(np.int32, width=4, capacity=1 << 12)
        self._table = Growable(np.int32, capacity=1 << 14)
        self._class_maps = Growable(np.uint8, width=256, capacity=16)
        self._accepts = Growable(np.int32, capacity=1 << 10)
        self.arrays = LexerArrays(
            self._states.data, self._table.data, self._class_maps.data, self._accepts.data
        )
        self._class_map_ids: dict[bytes, int] = {}
        self._terminal_ids: dict[bytes, int] = {}
        self._keys: list[bytes] = []
        self._shortest_lengths: list[int] = []
        self._start_of_terminal: list[int] = []
        # The class map of a terminal's dense states; NO_CLASS_MAP where it has none.
        self._class_map_of_terminal: list[int] = []
        # The bytes that words begin with, as bits.
        self._first_bytes: list[int] = []
        # [first, end) of each terminal's states, ascending.
        self._terminal_ranges: list[tuple[int, int]] = []
        self._dense_terminals: dict[int, DenseTerminal] = {}
        self._other_strings: dict[int, OtherStrings] = {}
        # Any-string terminals that other strings fall back on, one for each that run side by side.
        self._any_strings: list[int] = []
        self._other_starts: dict[tuple[int, int], int] = {}
        # First state, offsets and members of each lexer that has states of its own; ascending.
        self._unions: list[tuple[int, Int32Array, Int32Array]] = []
        self._lexers: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._starts: dict[tuple[int, ...], tuple[int, ...]] = {}
        self._joint_maps: dict[tuple[int, ...], tuple[int, UInt8Array]] = {}
        self._accepts.append(0)
        self._states.append(np.zeros(4, np.int32))
        self._table.append(DEAD_STATE)
        self._class_map_id(np.zeros(256, np.uint8))

    def reserve(self, num_states: int) -> None:
        """Have room for so many lexer states, so that no token waits for fresh memory."""
        self._states.reserve(num_states)
        self._table.reserve(CELLS_PER_STATE * num_states)
        self._accepts.reserve(num_states)
        self._renew_arrays()

    @property
    def num_states(self) -> int:
        """Lexer states, the dead one included."""
        return self._states.size

    @property
    def num_terminals(self) -> int:
        """Distinct terminals."""
        return len(self._start_of_terminal)

    @property
    def num_bytes(self) -> int:
        """Memory of the buffers."""
        return sum(array.nbytes for array in self.arrays)

    def terminal_id(self, language: Language) -> int:
        """The id of a terminal; equal keys have one id.

        Raises:
            ValueError: the terminal is empty or accepts the empty word.
        """
        known = self._terminal_ids.get(language.key)
        if known is not None:
            return known
        if language.shortest_length <= 0:
            raise ValueError("a terminal must have words, none of them empty")
        with self._lock:
            known = self._terminal_ids.get(language.key)
            if known is None:
                known = self._register(language)
                self._terminal_ids[language.key] = known
            return known

    def lexer(self, terminals: tuple[int, ...]) -> tuple[int, ...]:
        """Start states that together run the given terminals (sorted, distinct).

        One state as a rule; several if running the terminals side by side takes too many states.
        What is complete in their states is named as `complete_as` says.
        """
        if len(terminals) == 1 and terminals[0] not in self._other_strings:
            return (self._start_of_terminal[terminals[0]],)
        with self._lock:
            found = self._lexers.get(terminals)
            if found is None:
                members = {}
                others = 0
                for terminal in terminals:
                    if terminal in self._other_strings:
                        start = self._other_start(terminal, others)
                        members[start] = self._class_map_of_terminal[self._any_string(others)]
                        others += 1
                    else:
                        start = self._start_of_terminal[terminal]
                        members[start] = self._class_map_of_terminal[terminal]
                found = self._lexers[terminals] = self._side_by_side(members)
            return found

    def starts(self, terminals: tuple[int, ...]) -> tuple[int, ...]:
        """As `lexer`, but terminals that never begin with the same byte stay apart.

        There is no union to build for them, and none to fill rows of. Of more than a few such groups
        every row would have to be put together; they are better off side by side.
        """
        if len(terminals) == 1:
            return self.lexer(terminals)
        found = self._starts.get(terminals)
        if found is None:
            groups = self._apart(terminals)
            if len(groups) > MAX_APART:
                groups = [terminals]
            found = tuple(start for group in groups for start in self.lexer(group))
            self._starts[terminals] = found
        return found

    def _apart(self, terminals: tuple[int, ...]) -> list[tuple[int, ...]]:
        """The finest groups of which no two share a first byte."""
        groups: list[tuple[int, list[int]]] = []
        for terminal in terminals:
            first = self._first_bytes[terminal]
            joined = [terminal]
            apart = []
            for other in groups:
                if other[0] & first:
                    first |= other[0]
                    # The longer list takes the other: there may be thousands that begin alike.
                    long, short = sorted((other[1], joined), key=len, reverse=True)
                    long += short
                    joined = long
                else:
                    apart.append(other)
            groups = [*apart, (first, joined)]
        return [tuple(sorted(group)) for _, group in groups]

    def complete_as(self, terminals: tuple[int, ...]) -> tuple[int, ...]:
        """The names under which each terminal of a lexer is listed where it is complete.

        A terminal's own id, but `OtherStrings` run into the states of any string: the n-th of them in
        a lexer completes as the n-th any-string terminal that is kept for that purpose.
        """
        if self._other_strings.keys().isdisjoint(terminals):
            return terminals
        with self._lock:
            names = []
            others = 0
            for terminal in terminals:
                if terminal in self._other_strings:
                    names.append(self._any_string(others))
                    others += 1
                else:
                    names.append(terminal)
            return tuple(names)

    def terminal_of(self, state: int) -> int:
        """The terminal that a state belongs to, -1 if it is a lexer's."""
        index = self._range_index(state)
        return -1 if index is None else index

    def original_of(self, state: int) -> tuple[int, int] | None:
        """(state, terminal) that a state of an any-string terminal is a copy of; None: not a copy."""
        index = self._range_index(state)
        if index is None or index not in self._any_strings:
            return None
        original = self.terminal_id(any_string())
        shift = self._terminal_ranges[index][0] - self._terminal_ranges[original][0]
        return state - shift, original

    def members_of(self, state: int) -> list[int]:
        """The states of single terminals that a lexer's state runs side by side; none if it is not one."""
        index = bisect.bisect_right(self._unions, state, key=_first_of) - 1
        if index < 0:
            return []
        start, offsets, members = self._unions[index]
        if state - start >= offsets.size - 1:
            return []
        found: list[int] = members[offsets[state - start] : offsets[state - start + 1]].tolist()
        return found

    def fallback_of(self, state: int) -> int:
        """The dense state that a sparse one falls back on in the end; 0: none or a dense state."""
        states = self._states.data
        if states[state, KIND] >= 0:
            return DEAD_STATE
        while state != DEAD_STATE and states[state, KIND] < 0:
            state = int(states[state, FALLBACK])
        return state

    def key_of(self, terminal: int) -> bytes:
        """The key of a terminal's language."""
        return self._keys[terminal]

    def shortest_length(self, terminal: int) -> int:
        """Bytes of a shortest word of a terminal."""
        return self._shortest_lengths[terminal]

    def states_of(self, terminal: int) -> tuple[int, int]:
        """[first, end) of a terminal's own states."""
        return self._terminal_ranges[terminal]

    def is_dense_terminal(self, state: int) -> bool:
        """Whether a state is one terminal's own, and all that follow it are, with rows of a table."""
        return self.terminal_of(state) >= 0 and bool(self._states.data[state, KIND] >= 0)

    def dense_terminal(self, terminal: int) -> DenseTerminal:
        """The table of a terminal for which `is_dense_terminal` holds."""
        found = self._dense_terminals.get(terminal)
        if found is None:
            first, end = self._terminal_ranges[terminal]
            cell, class_map = (int(self._states.data[first, column]) for column in (CELL, KIND))
            width = int(self._class_maps.data[class_map].max()) + 1
            found = self._dense_terminals[terminal] = DenseTerminal(
                first,
                width,
                self._table.data[cell : cell + (end - first) * width],
                self._class_maps.data[class_map],
                self._states.data[first:end, ACCEPTS] > 0,
            )
        return found

    def start_of(self, terminal: int) -> int:
        """The start state of a terminal, but for `OtherStrings`."""
        return self._start_of_terminal[terminal]

    def any_string_start(self) -> tuple[int, int]:
        """The start state of any JSON string and its terminal."""
        terminal = self.terminal_id(any_string())
        return self._start_of_terminal[terminal], terminal

    def step(self, state: int, byte: int) -> int:
        """The state after one byte, 0 if dead."""
        return int(next_state(self.arrays, state, byte))

    def complete_in(self, state: int) -> list[int]:
        """The terminals complete in a state, ascending."""
        at = int(self._states.data[state, ACCEPTS])
        count = int(self._accepts.data[at])
        found: list[int] = self._accepts.data[at + 1 : at + 1 + count].tolist()
        return found

    def _renew_arrays(self) -> None:
        """Show the buffers as they are now; whatever lets one grow ends with this."""
        old = self.arrays
        buffers = self._states.data, self._table.data, self._class_maps.data, self._accepts.data
        if any(before is not now for before, now in zip(old, buffers, strict=True)):
            self.arrays = LexerArrays(*buffers)

    def _range_index(self, state: int) -> int | None:
        """Which terminal's own states a state is among; None: a lexer's."""
        index = bisect.bisect_right(self._terminal_ranges, (state, sys.maxsize)) - 1
        return index if index >= 0 and state < self._terminal_ranges[index][1] else None

    def _register(self, language: Language) -> int:
        terminal = len(self._start_of_terminal)
        accept = self._accepts.extend([1, terminal])
        first, cell = self._states.size, self._table.size
        class_map = NO_CLASS_MAP
        first_bytes = 0
        match language:
            case OtherStrings():
                self._other_strings[terminal] = language
                first_bytes = 1 << ord('"')
                # Its states depend on the any-string terminal that the lexer has left for it.
                states, cells = np.zeros((0, 4), np.int32), np.zeros(0, np.int32)
            case WordList(words=words) if sum(map(len, words)) <= MAX_TRIE_BYTES:
                text = np.frombuffer(b"".join(words), np.uint8)
                ends = np.array(list(itertools.accumulate(map(len, words))), np.int64)
                states, cells = word_states(text, ends, accept, first, cell)
                for byte in {word[0] for word in words}:
                    first_bytes |= 1 << byte
            case _:
                dfa = language.dfa
                class_map = self._class_map_id(dfa.byte_classes)
                states, cells = dense_states(
                    dfa.transitions, dfa.accepting, class_map, accept, first, cell
                )
                begins = (dfa.transitions[dfas.START] != DEAD_STATE)[dfa.byte_classes]
                first_bytes = int.from_bytes(
                    np.packbits(begins, bitorder="little").tobytes(), "little"
                )
        self._states.extend(states)
        self._table.extend(cells)
        self._keys.append(language.key)
        self._shortest_lengths.append(language.shortest_length)
        self._start_of_terminal.append(first + dfas.START - 1)
        self._class_map_of_terminal.append(class_map)
        self._first_bytes.append(first_bytes)
        self._terminal_ranges.append((first, first + len(states)))
        self._renew_arrays()
        return terminal

    def _any_string(self, index: int) -> int:
        self.terminal_id(any_string())
        while index >= len(self._any_strings):
            self._any_strings.append(self._register(any_string()))
        return self._any_strings[index]

    def _other_start(self, terminal: int, index: int) -> int:
        """The start state of other strings that fall back on the given any-string terminal."""
        key = (terminal, index)
        start = self._other_starts.get(key)
        if start is None:
            base = self._any_string(index)
            names = self._other_strings[terminal].names
            text = "".join(names).encode("utf-32-le", "surrogatepass")
            states, cells = other_string_states(
                np.frombuffer(text, np.int32),
                np.cumsum(np.fromiter(map(len, names), np.int64, len(names))),
                self.step(self._start_of_terminal[base], ord('"')),
                self.arrays,
                self._states.size,
                self._table.size,
            )
            start = self._other_starts[key] = self._states.extend(states)
            self._table.extend(cells)
            self._renew_arrays()
        return start

    def _side_by_side(self, members: dict[int, int]) -> tuple[int, ...]:
        """Start states that run some states, each with the class map behind it, side by side."""
        starts = sorted(members)
        if len(starts) == 1:
            return (starts[0],)
        class_map, representative = self._joint_map(tuple(sorted(set(members.values()))))
        num_states, states, cells, accepts, offsets, united = union_of_lexers(
            np.array(starts, np.int32),
            self.arrays,
            class_map,
            representative,
            self._states.size,
            self._table.size,
            self._accepts.size,
            MAX_LEXER_STATES,
        )
        if num_states == LIMIT_REACHED:
            half = len(starts) // 2
            return self._side_by_side({s: members[s] for s in starts[:half]}) + self._side_by_side(
                {s: members[s] for s in starts[half:]}
            )
        self._table.extend(cells)
        self._accepts.extend(accepts)
        start = self._states.extend(states)
        self._unions.append((start, offsets, united))
        self._renew_arrays()
        return (start,)

    def _joint_map(self, maps: tuple[int, ...]) -> tuple[int, UInt8Array]:
        """The coarsest class map that respects some others, and a byte of each class."""
        found = self._joint_maps.get(maps)
        if found is None:
            given = [m for m in maps if m != NO_CLASS_MAP]
            byte_classes, representative = joint_classes(
                np.array(given, np.int32), self._class_maps.data
            )
            found = self._joint_maps[maps] = self._class_map_id(byte_classes), representative
        return found

    def _class_map_id(self, byte_classes: UInt8Array) -> int:
        key = byte_classes.tobytes()
        found = self._class_map_ids.get(key)
        if found is None:
            found = self._class_map_ids[key] = self._class_maps.append(byte_classes)
            self._renew_arrays()
        return found


def _first_of(union: tuple[int, Int32Array, Int32Array]) -> int:
    return union[0]

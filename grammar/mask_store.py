"""The DFA mask store: per lexer state, which tokens stay inside it and where others leave it.

SynCode's idea (arXiv 2403.01632, section 4.4), made exact: instead of looking one or two terminals
ahead, a token that leaves a terminal is handed on as the rest of its bytes. An entry is computed once
for a vocabulary, when a grammar first reaches the state, and shared from then on.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Hashable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from syntagma.grammar.alive_kernels import NUM_COLUMNS
from syntagma.grammar.interior_kernels import (
    walk_against_base,
    walk_dense,
    walk_dense_against_base,
    walk_interior,
)
from syntagma.grammar.kernel_types import BoolArray, Int32Array, Int64Array, UInt64Array
from syntagma.grammar.lexer_arrays import DEAD_STATE
from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.lru import ByteLru
from syntagma.grammar.pair_kernels import (
    NEVER,
    NO_PARTNER,
    pair_distances,
    size_to_walk,
    subtree_heights,
)
from syntagma.grammar.row_arena import RowArena
from syntagma.grammar.row_memory import RowMemory
from syntagma.grammar.store_file import FiledEntries
from syntagma.grammar.token_trie import TokenTrie
from syntagma.grammar.vocabulary import Vocabulary

DEFAULT_MAX_BYTES = 64 << 20
# Narrower states are walked as they are: by the store without looking for a base, by recognizers without
# asking the store.
MIN_WIDE_NODES = 4_000
MAX_WIDTH = 1_500
MAX_BASES = 3
FIRST_ALIVE = 1 << 14
# Rows of memory for entries that are ready at start.
MAX_READY_ROWS = 2048
WHOLE_TRIE = np.zeros(1, np.int32)
NOBODY = np.zeros(0, np.int32)


class Marks(NamedTuple):
    """Bytes that are looked at one by one where states are compared; see `subtree_heights`."""

    name: str
    is_mark: BoolArray
    height: Int32Array
    marked_size: Int32Array

    @classmethod
    def of(cls, name: str, marked: bytes, trie: TokenTrie) -> Marks:
        """The marks of a trie."""
        is_mark = np.zeros(256, np.bool_)
        is_mark[list(marked)] = True
        return cls(name, is_mark, *subtree_heights(trie.byte, trie.subtree_end, is_mark))


class NearBase(NamedTuple):
    """A state to compare with, and how long states behave as those met together with them."""

    base: int
    partner: Int32Array
    distance: Int32Array
    marks: Marks


class Residuals:
    """What may follow some nodes of the token trie; equal nodes are the same object.

    Args:
        nodes: int32[N], ascending.
    """

    def __init__(self, trie: TokenTrie, nodes: Int32Array) -> None:
        self.nodes = nodes
        self._whole = trie
        self._merged: TokenTrie | None = None

    @property
    def trie(self) -> TokenTrie:
        """The merged trie of the nodes' subtrees."""
        if self._merged is None:
            self._merged = self._whole.below(self.nodes)
        return self._merged

    @property
    def num_bytes(self) -> int:
        """Memory, the merged trie included."""
        return self.nodes.nbytes + (0 if self._merged is None else self._merged.num_bytes)


ExitRow = tuple[Int32Array, int]
Exits = tuple[tuple[int, Residuals], ...]


@dataclass(frozen=True, eq=False)
class StoreEntry:
    """What one lexer state does to the vocabulary.

    Attributes:
        interior: int32[num_words], tokens that keep the state alive to their last byte.
        exits: (terminal, residuals): the terminal may be complete there, inside a token.
    """

    interior: Int32Array
    exits: Exits

    @property
    def num_bytes(self) -> int:
        """Memory of the entry by itself."""
        return self.interior.nbytes + 300


@dataclass(frozen=True)
class StoreStatistics:
    """What a store holds and has done so far.

    Attributes:
        num_entries: entries at hand.
        num_hits: lookups of an entry that was at hand.
        num_filed: lookups answered from the prelude's file.
        num_computed: lookups for which the vocabulary was walked.
        num_evicted: entries dropped for want of space.
        num_rows, max_rows: finished rows at hand, and how many there is space for.
        num_rows_evicted: rows dropped for want of space.
        num_bytes: memory of entries, rows, trie and lexer pool.
    """

    num_entries: int
    num_hits: int
    num_filed: int
    num_computed: int
    num_evicted: int
    num_rows: int
    max_rows: int
    num_rows_evicted: int
    num_bytes: int


class MaskStore:
    """Entries by lexer state; safe to use from several threads.

    Attributes:
        vocabulary, trie: the tokens.
        pool: the lexer states of all grammars.
        arena: finished rows.
        max_width: a recognizer walks from lexer states that reach no more nodes of the trie than this.
        wide_inside: lexer states in which nothing is complete and which have been found to be wide.

    Args:
        vocabulary: the tokens.
        trie: its token trie, if there is one already.
        prelude: entries that need not be computed.
        min_wide_nodes: states alive in fewer nodes of the trie are walked without looking for a base.
        max_width: recognizers walk from lexer states that reach fewer nodes without asking the store.
        max_bytes: for finished rows; entries beyond half of this size are dropped, least recently
            used first.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        trie: TokenTrie | None = None,
        prelude: FiledEntries | None = None,
        min_wide_nodes: int = MIN_WIDE_NODES,
        max_width: int = MAX_WIDTH,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self.vocabulary = vocabulary
        self.trie = trie if trie is not None else TokenTrie.from_vocabulary(vocabulary)
        self.pool = LexerPool()
        self.max_width = max_width
        self.wide_inside: set[int] = set()
        self.arena = RowArena(vocabulary.num_words, max_bytes)
        self._memory = RowMemory(
            vocabulary.num_words, min(MAX_READY_ROWS, max_bytes // (4 * vocabulary.num_words))
        )
        self._max_depth = self.trie.max_depth
        self._prelude = prelude
        self._min_wide_nodes = min_wide_nodes
        self._entries: ByteLru[int, StoreEntry] = ByteLru(max_bytes // 2)
        self._residuals: ByteLru[bytes, Residuals] = ByteLru(max_bytes // 4)
        self._exit_rows: ByteLru[Hashable, ExitRow] = ByteLru(max_bytes // 8)
        self._bases: dict[int, list[int]] = {}
        self._near_any_strings: dict[tuple[int, str], NearBase] = {}
        self._alive = np.zeros((FIRST_ALIVE, NUM_COLUMNS), np.uint64)
        self._num_hits = self._num_filed = self._num_computed = 0
        self._lock = threading.RLock()

    @property
    def statistics(self) -> StoreStatistics:
        """Figures for reports, all of the same moment but for the rows."""
        with self._lock:
            return StoreStatistics(
                num_entries=len(self._entries),
                num_hits=self._num_hits,
                num_filed=self._num_filed,
                num_computed=self._num_computed,
                num_evicted=self._entries.num_evicted,
                num_rows=self.arena.num_rows,
                max_rows=self.arena.capacity,
                num_rows_evicted=self.arena.num_evicted,
                num_bytes=self.num_bytes,
            )

    @property
    def num_bytes(self) -> int:
        """Memory of entries, rows, trie and lexer pool."""
        caches = self._entries.num_bytes + self._residuals.num_bytes + self._exit_rows.num_bytes
        caches += self.arena.num_bytes
        return caches + self.trie.num_bytes + self.pool.num_bytes

    def prepare(self) -> None:
        """Work out what nearly every JSON grammar needs, so that no token waits for it."""
        start, terminal = self.pool.any_string_start()
        for lexer_state in range(start, self.pool.states_of(terminal)[1]):
            for _, residuals in self.entry(lexer_state).exits:
                _ = residuals.trie
        _ = self._quotes, self._nodes_by_reach

    @property
    def alive(self) -> UInt64Array:
        """uint64[N, 5]: with which bytes lexer states go on, as far as it is known (`alive_kernels`).

        There is room for all states of the pool.
        """
        alive = self._alive
        if self.pool.num_states > len(alive):
            with self._lock:
                bigger = np.zeros((2 * self.pool.num_states, NUM_COLUMNS), np.uint64)
                bigger[: len(alive)] = alive
                alive = self._alive = bigger
        return alive

    def new_row(self) -> Int32Array:
        """int32[num_words] of zeros."""
        with self._lock:
            row = self._memory.row()
        row.fill(0)
        return row

    def exit_row(self, key: Hashable) -> ExitRow | None:
        """A row that some grammar has kept."""
        with self._lock:
            return self._exit_rows.get(key)

    def keep_exit_row(self, key: Hashable, row: ExitRow) -> None:
        """Keep the row of the tokens that leave some residuals for some parser states of a grammar.

        Args:
            key: says which.
            row: int32[num_words], and the lowest height at which the stack was looked at for it.
        """
        with self._lock:
            self._exit_rows.put(key, row, row[0].nbytes + 200)

    def entry(self, lexer_state: int) -> StoreEntry:
        """The entry of a lexer state, computed if it is not at hand."""
        with self._lock:
            found = self._entries.get(lexer_state)
            if found is not None:
                self._num_hits += 1
                return found
            found = self._filed(lexer_state)
            if found is None:
                found = self._compute(lexer_state)
                self._num_computed += 1
            else:
                self._num_filed += 1
            self._entries.put(lexer_state, found, found.num_bytes)
            return found

    def _filed(self, lexer_state: int) -> StoreEntry | None:
        """The entry as the prelude has it."""
        if self._prelude is None:
            return None
        terminal = self.pool.terminal_of(lexer_state)
        if terminal < 0:
            return None
        local_state = lexer_state - self.pool.states_of(terminal)[0]
        content = self._prelude.get(self.pool.key_of(terminal), local_state)
        if content is None:
            return None
        row, nodes = content
        row.setflags(write=False)
        return StoreEntry(row, self._exits(nodes, np.full(nodes.size, terminal, np.int32)))

    def _compute(self, lexer_state: int) -> StoreEntry:
        """The cheapest way to an entry that the lexer state allows."""
        fallback = self.pool.fallback_of(lexer_state)
        if fallback != DEAD_STATE:
            return self._walk_against(lexer_state, fallback)
        original = self.pool.original_of(lexer_state)
        if original is not None:
            return self._relabelled(lexer_state, *original)
        trie, lexer = self.trie, self.pool.arrays
        width = size_to_walk(
            trie.byte,
            trie.subtree_end,
            self._no_marks.height,
            self._no_marks.marked_size,
            lexer,
            lexer_state,
            0,
            0,
            NOBODY,
            NOBODY,
        )
        if width < self._min_wide_nodes or not self.pool.is_dense_terminal(lexer_state):
            return self._walk(lexer_state)
        near = self._nearest_base(lexer_state, width // 2)
        if near is not None:
            return self._walk_near(lexer_state, near)
        entry = self._walk(lexer_state)
        self._bases.setdefault(self.pool.terminal_of(lexer_state), []).append(lexer_state)
        return entry

    def _nearest_base(self, lexer_state: int, most: int) -> NearBase | None:
        """A state that differs from a wide one on little of the vocabulary, ``most`` nodes at most."""
        terminal = self.pool.terminal_of(lexer_state)
        for marks in (self._no_marks, self._quotes):
            near = self._near_any_string(terminal, lexer_state, marks)
            if near is not None and self._size_to_compare(lexer_state, near) < most:
                return near
        best = None
        for base in self._bases.get(terminal, [])[-MAX_BASES:]:
            # One that has been dropped would first look for a base itself.
            if base == lexer_state or self._entries.get(base) is None:
                continue
            near = self._read_along(lexer_state, base, self._max_depth, self._no_marks)
            size = self._size_to_compare(lexer_state, near)
            if size < most:
                most, best = size, near
        return best

    def _near_any_string(self, terminal: int, lexer_state: int, marks: Marks) -> NearBase | None:
        """Where any JSON string is when a terminal is in one of its states, if there is such a place."""
        any_start, any_terminal = self.pool.any_string_start()
        if terminal == any_terminal:
            return None
        key = (terminal, marks.name)
        near = self._near_any_strings.get(key)
        if near is None:
            near = self._read_along(self.pool.start_of(terminal), any_start, NEVER, marks)
            self._near_any_strings[key] = near
        partner = int(near.partner[lexer_state - self.pool.states_of(terminal)[0]])
        return None if partner == NO_PARTNER else near._replace(base=partner)

    def _read_along(self, lexer_state: int, base: int, max_steps: int, marks: Marks) -> NearBase:
        pool = self.pool
        partner, distance = pair_distances(
            pool.dense_terminal(pool.terminal_of(lexer_state)),
            lexer_state,
            pool.dense_terminal(pool.terminal_of(base)),
            base,
            pool.bytes_of_classes(lexer_state, base, marks.is_mark),
            max_steps,
        )
        return NearBase(base, partner, distance, marks)

    def _size_to_compare(self, lexer_state: int, near: NearBase) -> int:
        trie, pool = self.trie, self.pool
        size: int = size_to_walk(
            trie.byte,
            trie.subtree_end,
            near.marks.height,
            near.marks.marked_size,
            pool.arrays,
            lexer_state,
            near.base,
            pool.states_of(pool.terminal_of(lexer_state))[0],
            near.partner,
            near.distance,
        )
        known = int(near.distance[lexer_state - pool.states_of(pool.terminal_of(lexer_state))[0]])
        return min(size, self._num_longer(known) + int(near.marks.marked_size[0]))

    def _num_longer(self, num_bytes: int) -> int:
        """Nodes on the way to tokens of at least so many bytes: a walk that stops at known distances
        visits these and their siblings."""
        return int(self._nodes_by_reach[min(num_bytes, self._nodes_by_reach.size - 1)])

    @functools.cached_property
    def _nodes_by_reach(self) -> Int64Array:
        reach = np.bincount(self.trie.depth + self._no_marks.height, minlength=self._max_depth + 2)
        return 2 * reach[::-1].cumsum()[::-1]

    def _walk(self, lexer_state: int) -> StoreEntry:
        """Walk the whole vocabulary."""
        row = self.new_row()
        trie, pool = self.trie, self.pool
        if pool.is_dense_terminal(lexer_state):
            terminal = pool.terminal_of(lexer_state)
            nodes = walk_dense(
                *trie.arrays, self._max_depth, pool.dense_terminal(terminal), lexer_state, row
            )
            terminals = np.full(nodes.size, terminal, np.int32)
        else:
            nodes, terminals = walk_interior(
                *trie.arrays, self._max_depth, pool.arrays, lexer_state, row
            )
        row.setflags(write=False)
        return StoreEntry(row, self._exits(nodes, terminals))

    def _walk_against(self, lexer_state: int, base: int) -> StoreEntry:
        """Walk where the state differs from its base, as a key differs from any other string."""
        known = self.entry(base)
        row = self._memory.row()
        np.copyto(row, known.interior)
        nodes, terminals, removed = walk_against_base(
            *self.trie.arrays, self._max_depth, self.pool.arrays, lexer_state, base, row
        )
        row.setflags(write=False)
        exits = known.exits
        if nodes.size or removed.size:
            exits = self._corrected(exits, nodes, terminals, removed)
        return StoreEntry(row, exits)

    def _walk_near(self, lexer_state: int, near: NearBase) -> StoreEntry:
        """Walk where tokens are long enough to tell the state from its base."""
        known, pool = self.entry(near.base), self.pool
        row = self._memory.row()
        np.copyto(row, known.interior)
        terminal = pool.terminal_of(lexer_state)
        added, removed = walk_dense_against_base(
            *self.trie.arrays,
            self._max_depth,
            near.marks.height,
            near.marks.marked_size,
            pool.dense_terminal(terminal),
            lexer_state,
            pool.dense_terminal(pool.terminal_of(near.base)),
            near.base,
            near.partner,
            near.distance,
            row,
        )
        row.setflags(write=False)
        exits = tuple((terminal, residuals) for _, residuals in known.exits)
        if added.size or removed.size:
            exits = self._corrected(exits, added, np.full(added.size, terminal, np.int32), removed)
        return StoreEntry(row, exits)

    def _corrected(
        self, exits: Exits, nodes: Int32Array, terminals: Int32Array, removed: Int32Array
    ) -> Exits:
        """A base's exits without the removed ones and with those at the given nodes."""
        kept = [(t, r.nodes[~np.isin(r.nodes, removed, kind="sort")]) for t, r in exits]
        all_nodes = np.concatenate([*(n for _, n in kept), nodes])
        all_terminals = np.concatenate([*(np.full(n.size, t) for t, n in kept), terminals])
        order = np.argsort(all_nodes, kind="stable")
        return self._exits(all_nodes[order].astype(np.int32), all_terminals[order])

    def _relabelled(self, lexer_state: int, original: int, terminal: int) -> StoreEntry:
        """The entry of a state that behaves as another, in a terminal of its own."""
        known = self.entry(original)
        own = self.pool.terminal_of(lexer_state)
        renamed = tuple((own if t == terminal else t, residuals) for t, residuals in known.exits)
        return StoreEntry(known.interior, renamed)

    @functools.cached_property
    def _no_marks(self) -> Marks:
        return Marks.of("none", b"", self.trie)

    @functools.cached_property
    def _quotes(self) -> Marks:
        """Closing quotes tell some patterns from any string everywhere, and they are few."""
        return Marks.of("quotes", b'"', self.trie)

    def _exits(self, nodes: Int32Array, terminals: Int32Array) -> Exits:
        if nodes.size == 0:
            return ()
        if terminals.min() == terminals.max():
            return ((int(terminals[0]), self._residuals_at(nodes)),)
        return tuple(
            (terminal, self._residuals_at(nodes[terminals == terminal]))
            for terminal in sorted(set(terminals.tolist()))
        )

    def _residuals_at(self, nodes: Int32Array) -> Residuals:
        """Whitespace and closing quotes leave the same residuals almost everywhere."""
        key = nodes.tobytes()
        found = self._residuals.get(key)
        if found is None:
            found = Residuals(self.trie, nodes)
            self._residuals.put(key, found, 2 * found.num_bytes)
        return found

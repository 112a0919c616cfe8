"""Entries of the mask store: the cheapest way to each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from syntagma.grammar.interior_kernels import (
    walk_against_base,
    walk_dense,
    walk_dense_against_base,
    walk_interior,
)
from syntagma.grammar.kernel_types import BoolArray, Int32Array, Int64Array
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
from syntagma.grammar.row_memory import RowMemory
from syntagma.grammar.store_entry import Exits, Residuals, StoreEntry
from syntagma.grammar.token_trie import TokenTrie

MAX_BASES = 3
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


class EntryBuilder:
    """Computes entries; its caller sees to it that one thread does at a time.

    Args:
        trie: the tokens.
        pool: whose states they are for.
        memory: rows to write to.
        entry: an entry of the store, computed if it is not at hand; one of some base, as a rule.
        is_at_hand: whether the store has an entry.
        min_wide_nodes: states alive in fewer nodes of the trie are walked without looking for a base.
        max_residual_bytes: for lists of nodes, which entries share, and the tries below them.
    """

    def __init__(
        self,
        trie: TokenTrie,
        pool: LexerPool,
        memory: RowMemory,
        entry: Callable[[int], StoreEntry],
        is_at_hand: Callable[[int], bool],
        *,
        min_wide_nodes: int,
        max_residual_bytes: int,
    ) -> None:
        self.trie = trie
        self.pool = pool
        self._memory = memory
        self._entry = entry
        self._is_at_hand = is_at_hand
        self._min_wide_nodes = min_wide_nodes
        self._max_depth = trie.max_depth
        self._residuals: ByteLru[bytes, Residuals] = ByteLru(max_residual_bytes)
        self._bases: dict[int, list[int]] = {}
        self._near_any_strings: dict[tuple[int, str], NearBase] = {}

    @property
    def num_bytes(self) -> int:
        """Memory of what entries share."""
        return self._residuals.num_bytes

    def prepare(self) -> None:
        """Work out at once what otherwise the first tokens would wait for."""
        _ = self._quotes, self._nodes_by_reach

    def build(self, lexer_state: int) -> StoreEntry:
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
            if base == lexer_state or not self._is_at_hand(base):
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
        row = self._memory.row()
        row.fill(0)
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
        return StoreEntry(row, self.exits(nodes, terminals))

    def _walk_against(self, lexer_state: int, base: int) -> StoreEntry:
        """Walk where the state differs from its base, as a key differs from any other string."""
        known = self._entry(base)
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
        known, pool = self._entry(near.base), self.pool
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
        return self.exits(all_nodes[order].astype(np.int32), all_terminals[order])

    def _relabelled(self, lexer_state: int, original: int, terminal: int) -> StoreEntry:
        """The entry of a state that behaves as another, in a terminal of its own."""
        known = self._entry(original)
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

    def exits(self, nodes: Int32Array, terminals: Int32Array) -> Exits:
        """The residuals at some nodes, by the terminal that may be complete there."""
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

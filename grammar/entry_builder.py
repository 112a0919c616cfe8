"""Entries of the mask store: the cheapest way to each."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from syntagma.grammar.byte_groups import GROUP_OF, NUM_GROUPS, TrieGroups, class_map_of
from syntagma.grammar.group_kernels import width_of
from syntagma.grammar.interior_kernels import (
    DenseTerminal,
    walk_against_base,
    walk_dense,
    walk_dense_against_base,
    walk_interior,
)
from syntagma.grammar.json_string_automata import SHORT_LENGTH, short_string
from syntagma.grammar.kernel_types import Int32Array, UInt8Array
from syntagma.grammar.lexer_arrays import DEAD_STATE
from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.lru import ByteLru
from syntagma.grammar.pair_kernels import (
    NO_PARTNER,
    agreeing_groups,
    first_of_classes,
    pair_up,
    parting_distances,
)
from syntagma.grammar.row_memory import RowMemory
from syntagma.grammar.store_entry import Exits, Residuals, StoreEntry
from syntagma.grammar.token_trie import ROOT, TokenTrie

ANY_STRING, FREE_TEXT, SHORT_STRING = 0, 1, 2
# Not a state of a pool.
FREE_STATE = 1 << 30
ALL_GROUPS = (1 << NUM_GROUPS) - 1
QUOTE = ord('"')
# Letters, letters and digits, with a blank; hexadecimal digits.
COMMON_GROUPS = (0b1111, 0b11111, 0b111111, 0b10001, 0b10011)


class Companion(NamedTuple):
    """A terminal to compare another one with, and in which states the two are met together."""

    terminal: DenseTerminal
    partner: Int32Array
    queue: Int32Array
    has_cycle: bool

    @property
    def num_bytes(self) -> int:
        """Memory, not counting the terminal's."""
        return self.partner.nbytes + self.queue.nbytes


@functools.cache
def _free_text(groups: int) -> DenseTerminal:
    """One state, alive on the bytes of some groups."""
    table = np.array([FREE_STATE, DEAD_STATE], np.int32)
    return DenseTerminal(FREE_STATE, 2, table, class_map_of(groups), np.zeros(1, np.bool_))


def _representative(left: DenseTerminal, right: DenseTerminal, groups: int) -> UInt8Array:
    return first_of_classes(left.class_map, right.class_map, GROUP_OF, groups)


class NearBase(NamedTuple):
    """What to compare a state with: of which kind, and on which groups of bytes the two agree."""

    kind: int
    companion: Companion
    groups: int
    size: int


class EntryBuilder:
    """Computes entries; its caller sees to it that one thread does at a time.

    Args:
        trie: the tokens.
        pool: whose states they are for.
        memory: rows to write to.
        entry: an entry of the store, computed if it is not at hand.
        min_wide_nodes: states alive in fewer nodes of the trie are walked without looking for a base, and
            what is left of tokens is merged whole if it has fewer.
        max_residual_bytes: for lists of nodes, which entries share, and the tries below them; as
            much again for what is known about pairs of states, twice.
    """

    def __init__(
        self,
        trie: TokenTrie,
        pool: LexerPool,
        memory: RowMemory,
        entry: Callable[[int, int], StoreEntry],
        *,
        min_wide_nodes: int,
        max_residual_bytes: int,
    ) -> None:
        self.trie = trie
        self.pool = pool
        self._memory = memory
        self._entry = entry
        self._min_wide_nodes = min_wide_nodes
        self._max_depth = trie.max_depth
        self._residuals: ByteLru[bytes, Residuals] = ByteLru(max_residual_bytes)
        self._companions: ByteLru[tuple[int, int], Companion] = ByteLru(max_residual_bytes)
        self._distances: ByteLru[tuple[int, int, int, int], Int32Array] = ByteLru(
            max_residual_bytes
        )
        # Some sets of a few groups, so there are not many.
        self._free_rows: dict[int, Int32Array] = {}
        # Bases that take long to compute again.
        self._kept: dict[int, StoreEntry] = {}

    @property
    def num_bytes(self) -> int:
        """Memory of what entries share."""
        rows = sum(row.nbytes for row in self._free_rows.values())
        rows += sum(entry.num_bytes for entry in self._kept.values())
        return (
            rows
            + self._residuals.num_bytes
            + self._companions.num_bytes
            + self._distances.num_bytes
        )

    def prepare(self) -> None:
        """Work out at once what otherwise the first tokens would wait for."""
        for groups in COMMON_GROUPS:
            self._free_row(groups)
        for state in self._short_strings:
            self._kept[state] = self._entry(state, ROOT)

    def build(self, lexer_state: int, node: int) -> StoreEntry:
        """The cheapest way to an entry that the lexer state allows, for all tokens or those below a node."""
        original = self.pool.original_of(lexer_state)
        if original is not None:
            return self._relabelled(lexer_state, node, *original)
        if node != ROOT:
            members = self.pool.members_of(lexer_state)
            return self._joined(members, node) if members else self._walk(lexer_state, node)
        fallback = self.pool.fallback_of(lexer_state)
        if fallback != DEAD_STATE:
            return self._walk_against(lexer_state, fallback)
        width = width_of(self.pool.arrays, lexer_state, self._groups.top_sizes)
        if width < self._min_wide_nodes:
            return self._walk(lexer_state, ROOT)
        if not self.pool.is_dense_terminal(lexer_state):
            members = self.pool.members_of(lexer_state)
            return self._joined(members, ROOT) if members else self._walk(lexer_state, ROOT)
        near = self._nearest_base(lexer_state)
        return (
            self._walk(lexer_state, ROOT)
            if near.size > width // 2
            else self._walk_near(lexer_state, near)
        )

    @functools.cached_property
    def _groups(self) -> TrieGroups:
        return TrieGroups(self.trie)

    def _nearest_base(self, lexer_state: int) -> NearBase:
        """Any string, or any text of some groups: what differs from a state on fewer tokens."""
        terminal = self.pool.terminal_of(lexer_state)
        if terminal == self.pool.any_string_start()[1]:
            return self._near(terminal, lexer_state, FREE_TEXT)
        any_string = self._near(terminal, lexer_state, ANY_STRING)
        short = self._near_short_string(terminal, lexer_state, any_string.companion)
        if short is not None and short.size < self._min_wide_nodes:
            return short
        if any_string.size < self._min_wide_nodes:
            return any_string
        free = self._near(terminal, lexer_state, FREE_TEXT)
        return min(free, any_string, key=lambda near: near.size)

    def _near_short_string(
        self, terminal: int, lexer_state: int, any_string: Companion
    ) -> NearBase | None:
        """A short string of which as much is left as the state is like any string for."""
        near = NearBase(ANY_STRING, any_string, ALL_GROUPS, 0)
        first = self.pool.states_of(terminal)[0]
        num_left = int(self._distances_of(terminal, near)[lexer_state - first]) - 1
        short = self.pool.terminal_of(self._short_strings[0])
        # In most patterns one character tells the two apart, and then nothing is a short string's.
        if terminal == short or not 1 <= num_left <= SHORT_LENGTH:
            return None
        key = (terminal, SHORT_STRING)
        known = self._companions.get(key)
        if known is None or known.partner[lexer_state - first] == NO_PARTNER:
            base = self._short_strings[num_left]
            known = self._paired(terminal, lexer_state, self.pool.dense_terminal(short), base)
            self._companions.put(key, known, known.num_bytes)
        return self._near(terminal, lexer_state, SHORT_STRING)

    @functools.cached_property
    def _short_strings(self) -> list[int]:
        """Inside of a short string, by the number of characters that are left."""
        pool = self.pool
        state = pool.step(pool.start_of(pool.terminal_id(short_string())), QUOTE)
        states = [state]
        for _ in range(SHORT_LENGTH):
            states.append(pool.step(states[-1], ord("a")))
        return states[::-1]

    def _near(self, terminal: int, lexer_state: int, kind: int) -> NearBase:
        """A base of some kind and about how many nodes a walk from there visits."""
        companion = self._companion(terminal, kind)
        first = self.pool.states_of(terminal)[0]
        if companion.partner[lexer_state - first] == NO_PARTNER:
            return NearBase(kind, companion, 0, self.trie.num_nodes)
        dense = self.pool.dense_terminal(terminal)
        groups, alive = agreeing_groups(
            dense, lexer_state, companion.terminal, companion.partner, GROUP_OF, NUM_GROUPS
        )
        # In free text a walk goes only where the state is alive, for nothing else is to be removed.
        visited = (alive if kind == FREE_TEXT else ALL_GROUPS) & ~groups
        return NearBase(kind, companion, groups, self._groups.size_of(visited))

    def _companion(self, terminal: int, kind: int) -> Companion:
        found = self._companions.get((terminal, kind))
        if found is None:
            pool = self.pool
            start = pool.start_of(terminal)
            if kind == FREE_TEXT:
                base, other = FREE_STATE, _free_text(ALL_GROUPS)
            else:
                base, any_terminal = pool.any_string_start()
                other = pool.dense_terminal(any_terminal)
                # What is left of a string once it has been opened starts inside.
                if pool.complete_in(pool.step(start, QUOTE)) or not pool.step(start, QUOTE):
                    base = pool.step(base, QUOTE)
            found = self._paired(terminal, start, other, base)
            self._companions.put((terminal, kind), found, found.num_bytes)
        return found

    def _paired(self, terminal: int, state: int, other: DenseTerminal, base: int) -> Companion:
        dense = self.pool.dense_terminal(terminal)
        representative = _representative(dense, other, ALL_GROUPS)
        return Companion(other, *pair_up(dense, state, other, base, representative))

    def _distances_of(self, terminal: int, near: NearBase) -> Int32Array:
        companion = near.companion
        # The last of the queue is where the two began.
        key = (terminal, near.kind, int(companion.queue[-1]), near.groups)
        found = self._distances.get(key)
        if found is None:
            dense = self.pool.dense_terminal(terminal)
            found = parting_distances(
                dense,
                *companion,
                _representative(dense, companion.terminal, near.groups),
            )
            self._distances.put(key, found, found.nbytes)
        return found

    def _free_row(self, groups: int) -> Int32Array:
        """The tokens of bytes of some groups."""
        row = self._free_rows.get(groups)
        if row is None:
            row = self._memory.row()
            row.fill(0)
            self._groups.fill_row(groups, row)
            row.setflags(write=False)
            self._free_rows[groups] = row
        return row

    def _walk(self, lexer_state: int, node: int) -> StoreEntry:
        """Walk all that is below a node."""
        row = self._memory.row()
        row.fill(0)
        trie, pool = self.trie, self.pool
        if pool.is_dense_terminal(lexer_state):
            terminal = pool.terminal_of(lexer_state)
            nodes = walk_dense(
                *trie.arrays, self._max_depth, node, pool.dense_terminal(terminal), lexer_state, row
            )
            terminals = np.full(nodes.size, terminal, np.int32)
        else:
            nodes, terminals = walk_interior(
                *trie.arrays, self._max_depth, node, pool.arrays, lexer_state, row
            )
        row.setflags(write=False)
        return StoreEntry(row, self.exits(nodes, terminals))

    def _walk_against(self, lexer_state: int, base: int) -> StoreEntry:
        """Walk where the state differs from its base, as a key differs from any other string."""
        known = self._entry(base, ROOT)
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
        pool = self.pool
        terminal = pool.terminal_of(lexer_state)
        dense = pool.dense_terminal(terminal)
        partner = near.companion.partner
        base = int(partner[lexer_state - dense.first_state])
        if near.kind == FREE_TEXT:
            known = StoreEntry(self._free_row(near.groups), ())
            other = _free_text(near.groups)
        else:
            known = self._kept.get(base) or self._entry(base, ROOT)
            other = near.companion.terminal
        row = self._memory.row()
        np.copyto(row, known.interior)
        added, removed = walk_dense_against_base(
            *self.trie.arrays,
            self._max_depth,
            self._groups.height,
            self._groups.below,
            near.groups,
            dense,
            lexer_state,
            other,
            base,
            partner,
            self._distances_of(terminal, near),
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

    def _joined(self, members: list[int], node: int) -> StoreEntry:
        """The entry of states that run side by side: a token goes on if it does in any of them."""
        row = self._memory.row()
        row.fill(0)
        lists: dict[int, dict[Residuals, None]] = {}
        for member in members:
            entry = self._entry(member, node)
            np.bitwise_or(row, entry.interior, row)
            for terminal, residuals in entry.exits:
                lists.setdefault(terminal, {})[residuals] = None
        row.setflags(write=False)
        exits: list[tuple[int, Residuals]] = []
        for terminal, parts in sorted(lists.items()):
            if len(parts) == 1:
                exits.append((terminal, next(iter(parts))))
            else:
                nodes = np.unique(np.concatenate([part.nodes for part in parts]))
                exits.append((terminal, self._residuals_at(nodes)))
        return StoreEntry(row, tuple(exits))

    def _relabelled(self, lexer_state: int, node: int, original: int, terminal: int) -> StoreEntry:
        """The entry of a state that behaves as another, in a terminal of its own."""
        known = self._entry(original, node)
        own = self.pool.terminal_of(lexer_state)
        renamed = tuple((own if t == terminal else t, residuals) for t, residuals in known.exits)
        return StoreEntry(known.interior, renamed)

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
            found = Residuals(self.trie, nodes, self._min_wide_nodes)
            self._residuals.put(key, found, 2 * found.num_bytes)
        return found

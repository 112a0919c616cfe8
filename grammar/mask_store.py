"""The DFA mask store: per lexer state, which tokens stay inside it and where others leave it.

SynCode's idea (arXiv 2403.01632, section 4.4), made exact: instead of looking one or two terminals
ahead, a token that leaves a terminal is handed on as the rest of its bytes. An entry is computed once
for a vocabulary, when a grammar first reaches the state, and shared from then on.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

import numpy as np

from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.lexer_arrays import DEAD_STATE
from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.lru import ByteLru
from syntagma.grammar.row_arena import RowArena
from syntagma.grammar.token_trie import TokenTrie
from syntagma.grammar.vocabulary import Vocabulary
from syntagma.grammar.walk_kernels import walk_against_base, walk_interior

DEFAULT_MAX_BYTES = 128 << 20
WHOLE_TRIE = np.zeros(1, np.int32)


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


Exits = tuple[tuple[int, Residuals], ...]


@dataclass(frozen=True, eq=False)
class StoreEntry:
    """What one lexer state does to the vocabulary.

    Attributes:
        interior: int32[num_words], tokens that keep the state alive to their last byte.
        exits: (terminal, residuals): the terminal may be complete there, inside a token.
        base_exits: further exits, those of another state that differs on few tokens; they do not
            hold below the differing nodes.
        differing: int32[D], nodes of the token trie; what is allowed below them beyond the interior
            must be found by reading whole tokens. None: there are none.
    """

    interior: Int32Array
    exits: Exits
    base_exits: Exits = ()
    differing: Int32Array | None = None

    @property
    def num_bytes(self) -> int:
        """Memory of the entry by itself."""
        differing = 0 if self.differing is None else self.differing.nbytes
        return self.interior.nbytes + differing + 300


class MaskStore:
    """Entries by lexer state; safe to use from several threads.

    Args:
        vocabulary: the tokens.
        trie: its token trie, if there is one already.
        max_bytes: entries beyond this size are dropped, least recently used first; as much again
            is for finished rows.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        *,
        trie: TokenTrie | None = None,
        max_bytes: int = DEFAULT_MAX_BYTES,
    ) -> None:
        self.vocabulary = vocabulary
        self.trie = trie if trie is not None else TokenTrie.from_vocabulary(vocabulary)
        self.pool = LexerPool()
        self.arena = RowArena(vocabulary.num_words, max_bytes)
        self._max_depth = self.trie.max_depth
        self._entries: ByteLru[int, StoreEntry] = ByteLru(max_bytes)
        self._residuals: ByteLru[bytes, Residuals] = ByteLru(max_bytes // 4)
        self._lock = threading.RLock()

    @property
    def num_bytes(self) -> int:
        """Memory of entries, rows, trie and lexer pool."""
        caches = self._entries.num_bytes + self._residuals.num_bytes + self.arena.num_bytes
        return caches + self.trie.num_bytes + self.pool.num_bytes

    def entry(self, lexer_state: int) -> StoreEntry:
        """The entry of a lexer state, computed if it is not at hand."""
        with self._lock:
            found = self._entries.get(lexer_state)
            if found is None:
                found = self._compute(lexer_state)
                self._entries.put(lexer_state, found, found.num_bytes)
            return found

    def _compute(self, lexer_state: int) -> StoreEntry:
        """The cheapest way to an entry that the lexer state allows."""
        base = self.pool.fallback_of(lexer_state)
        if base != DEAD_STATE:
            return self._walk_against(lexer_state, base)
        original = self.pool.original_of(lexer_state)
        if original is not None:
            return self._relabelled(lexer_state, *original)
        twin = self.pool.twin_within(lexer_state, self._max_depth)
        if twin != lexer_state:
            return self.entry(twin)
        return self._walk(lexer_state)

    def _walk(self, lexer_state: int) -> StoreEntry:
        """Walk the whole vocabulary."""
        row = np.zeros(self.vocabulary.num_words, np.int32)
        trie = self.trie
        nodes, terminals = walk_interior(
            *trie.arrays, self._max_depth, self.pool.arrays, lexer_state, row
        )
        row.setflags(write=False)
        return StoreEntry(row, self._exits(nodes, terminals))

    def _walk_against(self, lexer_state: int, base: int) -> StoreEntry:
        """Walk where the state differs from its base, as a key differs from any other string."""
        known = self.entry(base)
        row = known.interior.copy()
        nodes, terminals, differing = walk_against_base(
            *self.trie.arrays, self._max_depth, self.pool.arrays, lexer_state, base, row
        )
        row.setflags(write=False)
        return StoreEntry(
            row,
            self._exits(nodes, terminals),
            known.exits,
            differing if differing.size else None,
        )

    def _relabelled(self, lexer_state: int, original: int, terminal: int) -> StoreEntry:
        """The entry of a state that behaves as another, in a terminal of its own."""
        known = self.entry(original)
        own = self.pool.terminal_of(lexer_state)
        renamed = tuple((own if t == terminal else t, residuals) for t, residuals in known.exits)
        return StoreEntry(known.interior, renamed)

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

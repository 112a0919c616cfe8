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
from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.lru import ByteLru
from syntagma.grammar.token_trie import TokenTrie
from syntagma.grammar.vocabulary import Vocabulary
from syntagma.grammar.walk_kernels import walk_against_base, walk_interior

DEFAULT_MAX_BYTES = 256 << 20
NO_TOKENS = np.zeros(0, np.int32)


@dataclass(frozen=True, eq=False)
class StoreEntry:
    """What one lexer state does to the vocabulary.

    Attributes:
        interior: int32[num_words], tokens that keep the state alive to their last byte.
        residuals: (terminal, int32[N]): the terminal may be complete at these nodes of the token
            trie, inside the tokens below them; `MaskStore.trie_below` gives what remains of those.
        disputed: int32[D], tokens for which the residuals may say too much (they are those of
            another state that differs on few tokens); they must be tried one by one.
    """

    interior: Int32Array
    residuals: tuple[tuple[int, Int32Array], ...]
    disputed: Int32Array

    @property
    def num_bytes(self) -> int:
        """Memory of the entry (what it shares with others counts in full)."""
        nodes = sum(nodes.nbytes for _, nodes in self.residuals)
        return self.interior.nbytes + nodes + self.disputed.nbytes + 200


class MaskStore:
    """Entries by lexer state; safe to use from several threads.

    Args:
        vocabulary: the tokens.
        trie: its token trie, if there is one already.
        max_bytes: entries beyond this size are dropped, least recently used first.
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
        self._max_depth = self.trie.max_depth
        self._entries: ByteLru[int, StoreEntry] = ByteLru(max_bytes)
        self._tries: ByteLru[bytes, TokenTrie] = ByteLru(max_bytes // 4)
        self._namesakes: dict[bytes, int] = {}
        self._lock = threading.RLock()

    @property
    def num_bytes(self) -> int:
        """Memory of entries, trie and lexer pool."""
        caches = self._entries.num_bytes + self._tries.num_bytes
        return caches + self.trie.num_bytes + self.pool.num_bytes

    def entry(self, lexer_state: int) -> StoreEntry:
        """The entry of a lexer state, computed if it is not at hand."""
        with self._lock:
            found = self._entries.get(lexer_state)
            if found is None:
                found = self._compute(lexer_state)
                self._entries.put(lexer_state, found, found.num_bytes)
            return found

    def trie_below(self, nodes: Int32Array) -> TokenTrie:
        """The merged trie of what follows some nodes; whitespace leaves the same one everywhere."""
        key = nodes.tobytes()
        with self._lock:
            trie = self._tries.get(key)
            if trie is None:
                trie = self.trie.below(nodes)
                self._tries.put(key, trie, trie.num_bytes + len(key))
            return trie

    def _compute(self, lexer_state: int) -> StoreEntry:
        """The cheapest way to an entry that the lexer state allows."""
        base = self.pool.base_of(lexer_state)
        if base == lexer_state:
            # Before any twin: a twin may have this very state as its base.
            key = self.pool.language_key(lexer_state)
            namesake = lexer_state if key is None else self._namesakes.setdefault(key, lexer_state)
            if namesake == lexer_state:
                return self._walk(lexer_state)
            return self._relabelled(lexer_state, namesake)
        twin = self.pool.twin_within(lexer_state, self._max_depth)
        if twin != lexer_state:
            return self.entry(twin)
        return self._walk(lexer_state) if base is None else self._walk_against(lexer_state, base)

    def _walk(self, lexer_state: int) -> StoreEntry:
        """Walk the whole vocabulary."""
        row = np.zeros(self.vocabulary.num_words, np.int32)
        trie = self.trie
        nodes, terminals = walk_interior(
            *trie.arrays, self._max_depth, self.pool.arrays, lexer_state, row
        )
        row.setflags(write=False)
        return StoreEntry(row, self._residuals(nodes, terminals), NO_TOKENS)

    def _walk_against(self, lexer_state: int, base: int) -> StoreEntry:
        """Walk where the state differs from its base, as a key differs from any other string."""
        known = self.entry(base)
        row = known.interior.copy()
        nodes, terminals, disputed = walk_against_base(
            *self.trie.arrays, self._max_depth, self.pool.arrays, lexer_state, base, row
        )
        row.setflags(write=False)
        return StoreEntry(row, self._residuals(nodes, terminals) + known.residuals, disputed)

    def _relabelled(self, lexer_state: int, namesake: int) -> StoreEntry:
        """The entry of a state with the same future in another terminal."""
        known = self.entry(namesake)
        (terminal,) = self.pool.terminals_ahead(lexer_state)
        residuals = tuple((terminal, nodes) for _, nodes in known.residuals)
        return StoreEntry(known.interior, residuals, NO_TOKENS)

    def _residuals(
        self, nodes: Int32Array, terminals: Int32Array
    ) -> tuple[tuple[int, Int32Array], ...]:
        return tuple(
            (int(terminal), nodes[terminals == terminal]) for terminal in np.unique(terminals)
        )

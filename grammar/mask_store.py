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
from syntagma.grammar.walk_kernels import walk_interior

DEFAULT_MAX_BYTES = 256 << 20


@dataclass(frozen=True, eq=False)
class StoreEntry:
    """What one lexer state does to the vocabulary.

    Attributes:
        interior: int32[num_words], tokens that keep the state alive to their last byte.
        residuals: (terminal, trie): the terminal may be complete inside some tokens, whose
            remaining bytes the trie holds.
    """

    interior: Int32Array
    residuals: tuple[tuple[int, TokenTrie], ...]

    @property
    def num_bytes(self) -> int:
        """Memory of the entry (a shared row counts in full)."""
        return self.interior.nbytes + sum(trie.num_bytes for _, trie in self.residuals) + 200


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
        self._lock = threading.Lock()

    @property
    def num_bytes(self) -> int:
        """Memory of entries, trie and lexer pool."""
        return self._entries.num_bytes + self.trie.num_bytes + self.pool.num_bytes

    def entry(self, lexer_state: int) -> StoreEntry:
        """The entry of a lexer state, computed if it is not at hand."""
        with self._lock:
            found = self._entries.get(lexer_state)
            if found is None:
                found = self._compute(lexer_state)
                self._entries.put(lexer_state, found, found.num_bytes)
            return found

    def _compute(self, lexer_state: int) -> StoreEntry:
        trie = self.trie
        row = np.zeros(self.vocabulary.num_words, np.int32)
        nodes, terminals = walk_interior(
            trie.byte,
            trie.depth,
            trie.subtree_end,
            trie.token_start,
            trie.token_ids,
            self._max_depth,
            self.pool.arrays,
            lexer_state,
            row,
        )
        residuals = tuple(
            (int(terminal), trie.below(nodes[terminals == terminal]))
            for terminal in np.unique(terminals)
        )
        row.setflags(write=False)
        return StoreEntry(row, residuals)

"""The DFA mask store: per lexer state, which tokens stay inside it and where others leave it.

SynCode's idea (arXiv 2403.01632, section 4.4), made exact: instead of looking one or two terminals
ahead, a token that leaves a terminal is handed on as the rest of its bytes. An entry is computed once
for a vocabulary, when a grammar first reaches the state, and shared from then on.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np

from syntagma.grammar.alive_kernels import NUM_COLUMNS
from syntagma.grammar.entry_builder import EntryBuilder
from syntagma.grammar.kernel_types import Int32Array, UInt8Array, UInt64Array
from syntagma.grammar.lexer_pool import LexerPool
from syntagma.grammar.lru import ByteLru
from syntagma.grammar.row_arena import RowArena
from syntagma.grammar.row_memory import RowMemory
from syntagma.grammar.store_entry import StoreEntry
from syntagma.grammar.store_file import FiledEntries
from syntagma.grammar.token_trie import ALL_BYTES, ROOT, TokenTrie
from syntagma.grammar.vocabulary import Vocabulary
from syntagma.grammar.walk_memory import WalkMemories

DEFAULT_MAX_BYTES = 64 << 20
# Narrower states are walked as they are: by the store without looking for a base, by recognizers without
# asking the store.
MIN_WIDE_NODES = 4_000
MAX_WIDTH = 500
FIRST_ALIVE = 1 << 10
# Lexer states for which there is memory at start, unless the vocabulary is a toy.
READY_STATES = 1 << 16
SMALL_TRIE = 20_000
# Rows of memory for entries that are ready at start.
MAX_READY_ROWS = 1024

ExitRow = tuple[Int32Array, bool]


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
        walk_memories: what each thread's walks work with.
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
        self.walk_memories = WalkMemories(_texts_of(vocabulary))
        self.pool = LexerPool()
        self.max_width = max_width
        self.wide_inside: set[int] = set()
        self.arena = RowArena(vocabulary.num_words, max_bytes)
        self._memory = RowMemory(
            vocabulary.num_words, min(MAX_READY_ROWS, max_bytes // (4 * vocabulary.num_words))
        )
        self._prelude = prelude
        self._entries: ByteLru[tuple[int, int], StoreEntry] = ByteLru(max_bytes // 2)
        self._exit_rows: ByteLru[Hashable, ExitRow] = ByteLru(max_bytes // 8)
        self._alive = np.zeros((FIRST_ALIVE, NUM_COLUMNS), np.uint64)
        self._builder = EntryBuilder(
            self.trie,
            self.pool,
            self._memory,
            self.entry,
            min_wide_nodes=min_wide_nodes,
            max_residual_bytes=max_bytes // 4,
        )
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
        caches = self._entries.num_bytes + self._builder.num_bytes + self._exit_rows.num_bytes
        caches += self.arena.num_bytes
        return caches + self.trie.num_bytes + self.pool.num_bytes

    def prepare(self) -> None:
        """Work out what nearly every JSON grammar needs, so that no token waits for it."""
        if self.trie.num_nodes > SMALL_TRIE:
            self.pool.reserve(READY_STATES)
            self._alive = np.empty((READY_STATES, NUM_COLUMNS), np.uint64)
            self._alive.fill(0)
        start, terminal = self.pool.any_string_start()
        for lexer_state in range(start, self.pool.states_of(terminal)[1]):
            for _, residuals in self.entry(lexer_state).exits:
                residuals.trie_from(ALL_BYTES)
        self._builder.prepare()
        _ = self.trie.context, self.trie.parents, self.vocabulary.spells_all

    @property
    def alive(self) -> UInt64Array:
        """uint64[N, 5]: with which bytes lexer states go on, as far as it is known (`alive_kernels`).

        There is room for all states of the pool's current arrays.
        """
        alive = self._alive
        num_states = len(self.pool.arrays.states)
        if num_states > len(alive):
            with self._lock:
                bigger = np.zeros((num_states, NUM_COLUMNS), np.uint64)
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
            row: int32[num_words], and whether a text that is not known was asked for to work it out.
        """
        with self._lock:
            self._exit_rows.put(key, row, row[0].nbytes + 200)

    def entry(self, lexer_state: int, node: int = ROOT) -> StoreEntry:
        """The entry of a lexer state, computed if it is not at hand.

        Args:
            lexer_state: the state.
            node: of the token trie; if it is not the root, the entry speaks of the tokens below it only,
                and the state is the one in which they are at the node.
        """
        with self._lock:
            key = (lexer_state, node)
            found = self._entries.get(key)
            if found is not None:
                self._num_hits += 1
                return found
            found = self._filed(lexer_state) if node == ROOT else None
            if found is None:
                found = self._builder.build(lexer_state, node)
                self._num_computed += 1
            else:
                self._num_filed += 1
            self._entries.put(key, found, found.num_bytes)
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
        return StoreEntry(row, self._builder.exits(nodes, np.full(nodes.size, terminal, np.int32)))


def _texts_of(vocabulary: Vocabulary) -> tuple[UInt8Array, Int32Array]:
    tokens = vocabulary.spellings
    starts = np.zeros(len(tokens) + 1, np.int32)
    np.cumsum(np.fromiter(map(len, tokens), np.int32, len(tokens)), out=starts[1:])
    return np.frombuffer(b"".join(tokens) or b"\0", np.uint8), starts

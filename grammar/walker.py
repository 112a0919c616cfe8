"""Reading from configs: a token, a text, or all tokens of a trie at once.

The kernels lower parser states as they come to them. Where the parser must do something first, they stop and
say what is missing; it is done, and they begin again.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from syntagma.grammar.array_context import ArrayContext
from syntagma.grammar.config_kernels import (
    MAY_END,
    NUM_INCOMPLETE,
    NUM_MISSING,
    NUM_WIDE,
    PROGRESS_SIZE,
)
from syntagma.grammar.kernel_types import Int32Array, Int64Array
from syntagma.grammar.lexer_arrays import LexerArrays
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.matcher_state import CONFIG
from syntagma.grammar.parser import Parser
from syntagma.grammar.step_kernels import (
    ALIVE,
    CONFIGS,
    CONTEXT_SIZE,
    FIRST_BYTES,
    LEXER,
    NO_WIDTH_LIMIT,
    NODES,
    PARSER,
    SOME_MISSING,
    TOKEN_TEXT,
    begin_behind,
    is_accepting,
    part_from_base,
    read,
    read_token,
    walk,
    walk_exits,
    walk_first,
    walk_root,
)
from syntagma.grammar.token_trie import TokenTrie
from syntagma.grammar.walk_kernels import TOO_MANY, WIDE_COLUMNS

MAX_MISSING: Final = 256
MAX_INCOMPLETE: Final = 1024
MAX_WIDE: Final = 1024
FIRST_ROOM: Final = 64

# How many terminals ahead a parser state's successors are lowered, where they are so few.
LOWERED_AHEAD: Final = 3
FEW_MOVES: Final = 2


# (parser state, lexer state, node)
WideConfig = tuple[int, int, int]


class Walker:
    """Reads on from configs of one grammar. Not locked: the owner locks.

    Attributes:
        progress: int64[8], what the last walk came to; see `walk_tokens`.

    Args:
        parser: the grammar's.
        store: has the vocabulary's trie and the lexer states.
    """

    def __init__(self, parser: Parser, store: MaskStore) -> None:
        self._parser = parser
        self._store = store
        self._pool = store.pool
        self._trie = store.trie.context
        self._max_depth = store.trie.max_depth
        self._max_width = store.max_width
        self._missing = np.zeros(MAX_MISSING, np.int32)
        self._nodes = np.zeros(MAX_INCOMPLETE, np.int32)
        wide = np.zeros(MAX_WIDE * WIDE_COLUMNS, np.int32)
        self._wide = wide.data
        progress = np.zeros(PROGRESS_SIZE, np.int64)
        # Single numbers are read and written through a view: several times as fast.
        self.progress = progress.data
        self._context = ArrayContext(CONTEXT_SIZE)
        self._context.put(NODES, (self._nodes, wide, self._missing, progress))
        self._context.put(TOKEN_TEXT, store.token_texts)
        self._context.put(PARSER, (parser.context,))
        first_bytes = np.zeros(4, np.uint64)
        self._context.put(FIRST_BYTES, (first_bytes,))
        self._first_bytes = first_bytes.data.cast("B")
        self._lexer_arrays: LexerArrays | None = None
        self._make_room(FIRST_ROOM * CONFIG.size)

    def read_token(self, key: bytes, token_id: int) -> bytes:
        """The configs after a token with text, written down as a key; empty if it is not allowed."""
        size = len(key)
        while True:
            self._configs[:size] = key
            with self._parser.lock:
                count = read_token(self._addresses(), token_id, size // CONFIG.size)
            if count >= 0:
                return bytes(self._configs[: count * CONFIG.size])
            self._cope(count)

    @property
    def may_end_behind(self) -> bool | None:
        """Whether the output may end behind the token that was read last; None if that is not known yet."""
        found = self.progress[MAY_END]
        return None if found == SOME_MISSING else found == 1

    def read(self, key: bytes, text: bytes) -> bytes:
        """The configs after a text, written down as a key; empty if no output goes on like that."""
        size = len(key)
        symbols = np.frombuffer(text, np.uint8)
        while True:
            self._configs[:size] = key
            with self._parser.lock:
                count = read(self._addresses(), symbols, size // CONFIG.size)
            if count >= 0:
                return bytes(self._configs[: count * CONFIG.size])
            self._cope(count)

    def is_accepting(self, key: bytes) -> bool:
        """Whether the output may end in some configs."""
        size = len(key)
        while True:
            self._configs[:size] = key
            with self._parser.lock:
                found = is_accepting(self._addresses(), size // CONFIG.size)
            if found >= 0:
                return found == 1
            self._cope(found)

    def walk_root(self, key: bytes, row: Int32Array) -> None:
        """Write the row of what can be read from narrow configs; the wide ones are left to the caller."""
        size = len(key)
        self._configs[:size] = key
        with self._parser.lock:
            num_incomplete = walk_root(
                self._addresses(),
                self._trie,
                self._max_depth,
                size // CONFIG.size,
                self._max_width,
                row,
            )
        if num_incomplete:
            initial = np.frombuffer(key, np.int32).reshape(-1, 2)
            self._go_on(self._trie, self._max_depth, initial, row, self._max_width)

    def wide_configs(self) -> list[WideConfig]:
        """What `walk_root` has left out: parser state, lexer state, node of the trie."""
        cells = self._wide[: WIDE_COLUMNS * self.progress[NUM_WIDE]]
        return list(zip(cells[::3], cells[1::3], cells[2::3], strict=True))

    def begin_behind(self, parser_state: int, terminal: int) -> bytes:
        """The configs that begin behind a terminal in a parser state, for `walk_begun`, as a key.

        `first_bytes` says with which bytes they go on.
        """
        while True:
            with self._parser.lock:
                count = begin_behind(self._addresses(), parser_state, terminal)
            if count >= 0:
                return bytes(self._configs[: count * CONFIG.size])
            self._cope(count)

    def walk_exits(self, exits: Int64Array, first: int, parser_state: int, row: Int32Array) -> int:
        """`step_kernels.walk_exits`."""
        with self._parser.lock:
            number: int = walk_exits(self._addresses(), exits, first, parser_state, row)
        return number

    @property
    def first_bytes(self) -> int:
        """A bit for each byte with which some config goes on of those that `begin_behind` has found."""
        return int.from_bytes(self._first_bytes, "little")

    def walk_begun(self, begun: bytes, trie: TokenTrie, row: Int32Array) -> None:
        """Add what can be read from the configs that `begin_behind` has found last.

        Args:
            begun: their key.
            trie: the tokens, or what is left of them.
            row: int32[num_words], gets more bits.
        """
        context, depth, count = trie.context, trie.max_depth, len(begun) // CONFIG.size
        with self._parser.lock:
            num_incomplete = walk_first(
                self._addresses(), context, depth, count, NO_WIDTH_LIMIT, row
            )
        if num_incomplete:
            initial = np.frombuffer(begun, np.int32).reshape(-1, 2)
            self._go_on(context, depth, initial, row, NO_WIDTH_LIMIT)

    def walk_part(self, initial: Int32Array, row: Int32Array, num_nodes: int) -> None:
        """Add the tokens below some nodes that can be read from configs.

        Args:
            initial: int32[K, 2], the configs.
            row: int32[num_words], gets more bits.
            num_nodes: how many nodes, those of `part_from_base`.
        """
        self.progress[NUM_INCOMPLETE] = num_nodes
        self._go_on(self._trie, self._max_depth, initial, row, NO_WIDTH_LIMIT)

    def part_from_base(self, lexer_state: int, base: int, row: Int32Array) -> int:
        """Remove what a sparse lexer state does not allow; how many nodes may have more, or too many."""
        return part_from_base(self._addresses(), self._trie, lexer_state, base, row)

    def _go_on(
        self,
        trie: Int64Array,
        max_depth: int,
        initial: Int32Array,
        row: Int32Array,
        max_width: int,
    ) -> None:
        """Do what a walk has found missing and walk what it has left out, until it is complete."""
        progress = self.progress
        while progress[NUM_INCOMPLETE]:
            if progress[NUM_INCOMPLETE] == TOO_MANY:
                self._nodes[0] = 0
                progress[NUM_INCOMPLETE] = 1
                progress[NUM_WIDE] = 0
            if progress[NUM_MISSING]:
                self._provide_missing()
            with self._parser.lock:
                walk(self._addresses(), trie, max_depth, initial, max_width, row)

    def _addresses(self) -> Int64Array:
        """The context for a kernel call, with the arrays as they are now."""
        lexer = self._pool.arrays
        if lexer is not self._lexer_arrays:
            self._lexer_arrays = lexer
            self._context.put(LEXER, lexer)
            self._context.put(ALIVE, (self._store.alive,))
        return self._context.addresses

    def _cope(self, count: int) -> None:
        """Provide what a kernel lacked to read a text."""
        if count == SOME_MISSING:
            self._provide_missing()
        else:
            self._make_room(2 * CONFIG.size * (SOME_MISSING - count))

    def _make_room(self, num_bytes: int) -> None:
        """Let the kernels have an array for so many bytes of configs."""
        configs = np.zeros((num_bytes // CONFIG.size, 2), np.int32)
        self._configs = configs.data.cast("B")
        self._context.put(CONFIGS, (configs,))

    def _provide_missing(self) -> None:
        num_missing = self.progress[NUM_MISSING]
        self.progress[NUM_MISSING] = 0
        found = self._missing[:num_missing].tolist()
        # A walk asks at every node where it meets a state, so most are asked for many times.
        asked = set()
        at = 0
        while at < num_missing:
            if found[at] < 0:
                group = found[at + 1 : at + 1 - found[at]]
                asked.add(self._parser.merged(group))
                at += 1 + len(group)
            else:
                asked.add(found[at])
                at += 1
        for state in sorted(asked):
            self._lower(state)

    def _lower(self, parser_state: int) -> None:
        """Lower a state, and those behind it that the walk is about to ask for: it starts anew each time."""
        successors = self._parser.successors
        waiting = [parser_state]
        for _ in range(LOWERED_AHEAD):
            waiting = [t for state in waiting for t in successors(state, FEW_MOVES)]
        for state in waiting:
            self._parser.lower(state)

"""Reading from configs: a token, a text, or all tokens of a trie at once.

The kernels lower parser states as they come to them. Where the parser must do something first, they stop and
say what is missing; it is done, and they begin again.
"""

from __future__ import annotations

import itertools
from typing import Final

import numpy as np

from syntagma.grammar.array_context import address_of
from syntagma.grammar.config_kernels import (
    MAY_END,
    NUM_INCOMPLETE,
    NUM_MISSING,
    NUM_WIDE,
)
from syntagma.grammar.kernel_types import Int32Array, Int64Array
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.matcher_state import CONFIG
from syntagma.grammar.parser import Parser
from syntagma.grammar.step_kernels import (
    NO_WIDTH_LIMIT,
    SOME_MISSING,
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
from syntagma.grammar.walk_memory import WalkMemory

# How many terminals ahead a parser state's successors are lowered, where they are so few.
LOWERED_AHEAD: Final = 3
FEW_MOVES: Final = 2

_NUMBERS: Final = itertools.count()

# (parser state, lexer state, node)
WideConfig = tuple[int, int, int]


class Walker:
    """Reads on from configs of one grammar. Not locked: whoever calls it holds the parser's lock.

    What a walk came to is in the memory of the thread that has called it, until it walks again.

    Args:
        parser: the grammar's.
        store: has the vocabulary's trie, the lexer states and the memories of threads.
    """

    def __init__(self, parser: Parser, store: MaskStore) -> None:
        self._number = next(_NUMBERS)
        self._parser = parser
        self._parser_address = address_of(parser.context)
        self._store = store
        self._pool = store.pool
        self._memories = store.walk_memories
        self._trie = store.trie.context
        self._max_depth = store.trie.max_depth
        self._max_width = store.max_width

    def read_token(self, key: bytes, token_id: int) -> bytes:
        """The configs after a token with text, written down as a key; empty if it is not allowed."""
        memory = self._memories.mine
        size = len(key)
        while True:
            memory.configs[:size] = key
            count = read_token(self._context(memory), token_id, size // CONFIG.size)
            if count >= 0:
                return bytes(memory.configs[: count * CONFIG.size])
            self._cope(memory, count)

    @property
    def may_end_behind(self) -> bool | None:
        """Whether the output may end behind the token that was read last; None if that is not known yet."""
        found = self._memories.mine.progress[MAY_END]
        return None if found == SOME_MISSING else found == 1

    def read(self, key: bytes, text: bytes) -> bytes:
        """The configs after a text, written down as a key; empty if no output goes on like that."""
        memory = self._memories.mine
        size = len(key)
        symbols = np.frombuffer(text, np.uint8)
        while True:
            memory.configs[:size] = key
            count = read(self._context(memory), symbols, size // CONFIG.size)
            if count >= 0:
                return bytes(memory.configs[: count * CONFIG.size])
            self._cope(memory, count)

    def is_accepting(self, key: bytes) -> bool:
        """Whether the output may end in some configs."""
        memory = self._memories.mine
        size = len(key)
        while True:
            memory.configs[:size] = key
            found = is_accepting(self._context(memory), size // CONFIG.size)
            if found >= 0:
                return found == 1
            self._cope(memory, found)

    def walk_root(self, key: bytes, row: Int32Array) -> memoryview:
        """Write the row of what can be read from narrow configs; the wide ones are left to the caller.

        Returns:
            int64[8], what the walk came to, until the thread's next one.
        """
        memory = self._memories.mine
        size = len(key)
        memory.configs[:size] = key
        num_incomplete = walk_root(
            self._context(memory),
            self._trie,
            self._max_depth,
            size // CONFIG.size,
            self._max_width,
            row,
        )
        if num_incomplete:
            initial = np.frombuffer(key, np.int32).reshape(-1, 2)
            self._go_on(memory, self._trie, self._max_depth, initial, row, self._max_width)
        return memory.progress

    def wide_configs(self) -> list[WideConfig]:
        """What `walk_root` has left out: parser state, lexer state, node of the trie."""
        memory = self._memories.mine
        cells = memory.wide[: WIDE_COLUMNS * memory.progress[NUM_WIDE]]
        return list(zip(cells[::3], cells[1::3], cells[2::3], strict=True))

    def begin_behind(self, parser_state: int, terminal: int) -> bytes:
        """The configs that begin behind a terminal in a parser state, for `walk_begun`, as a key.

        `first_bytes` says with which bytes they go on.
        """
        memory = self._memories.mine
        while True:
            count = begin_behind(self._context(memory), parser_state, terminal)
            if count >= 0:
                return bytes(memory.configs[: count * CONFIG.size])
            self._cope(memory, count)

    def walk_exits(self, exits: Int64Array, first: int, parser_state: int, row: Int32Array) -> int:
        """`step_kernels.walk_exits`."""
        number: int = walk_exits(
            self._context(self._memories.mine), exits, first, parser_state, row
        )
        return number

    @property
    def first_bytes(self) -> int:
        """A bit for each byte with which some config goes on of those that `begin_behind` has found."""
        return int.from_bytes(self._memories.mine.first_bytes, "little")

    @property
    def progress(self) -> memoryview:
        """int64[8]: what this thread's last walk came to; see `walk_tokens`."""
        return self._memories.mine.progress

    def walk_begun(self, begun: bytes, trie: TokenTrie, row: Int32Array) -> None:
        """Add what can be read from the configs that `begin_behind` has found last.

        Args:
            begun: their key.
            trie: the tokens, or what is left of them.
            row: int32[num_words], gets more bits.
        """
        memory = self._memories.mine
        context, depth, count = trie.context, trie.max_depth, len(begun) // CONFIG.size
        num_incomplete = walk_first(
            self._context(memory), context, depth, count, NO_WIDTH_LIMIT, row
        )
        if num_incomplete:
            initial = np.frombuffer(begun, np.int32).reshape(-1, 2)
            self._go_on(memory, context, depth, initial, row, NO_WIDTH_LIMIT)

    def walk_part(self, initial: Int32Array, row: Int32Array, num_nodes: int) -> None:
        """Add the tokens below some nodes that can be read from configs.

        Args:
            initial: int32[K, 2], the configs.
            row: int32[num_words], gets more bits.
            num_nodes: how many nodes, those of `part_from_base`.
        """
        memory = self._memories.mine
        memory.progress[NUM_INCOMPLETE] = num_nodes
        self._go_on(memory, self._trie, self._max_depth, initial, row, NO_WIDTH_LIMIT)

    def part_from_base(self, lexer_state: int, base: int, row: Int32Array) -> int:
        """Remove what a sparse lexer state does not allow; how many nodes may have more, or too many."""
        context = self._context(self._memories.mine)
        return part_from_base(context, self._trie, lexer_state, base, row)

    def _go_on(
        self,
        memory: WalkMemory,
        trie: Int64Array,
        max_depth: int,
        initial: Int32Array,
        row: Int32Array,
        max_width: int,
    ) -> None:
        """Do what a walk has found missing and walk what it has left out, until it is complete."""
        progress = memory.progress
        while progress[NUM_INCOMPLETE]:
            if progress[NUM_INCOMPLETE] == TOO_MANY:
                memory.nodes[0] = 0
                progress[NUM_INCOMPLETE] = 1
                progress[NUM_WIDE] = 0
            if progress[NUM_MISSING]:
                self._provide_missing(memory)
            walk(self._context(memory), trie, max_depth, initial, max_width, row)

    def _context(self, memory: WalkMemory) -> Int64Array:
        """The memory's context for a kernel call, with the parser and the lexer states as they are now."""
        if memory.walker != self._number:
            memory.enter_parser(self._number, self._parser_address, self._parser.context.size)
        lexer = self._pool.arrays
        if lexer is not memory.lexer:
            memory.enter_lexer(lexer, self._store.alive)
        return memory.addresses

    def _cope(self, memory: WalkMemory, count: int) -> None:
        """Provide what a kernel lacked to read a text."""
        if count == SOME_MISSING:
            self._provide_missing(memory)
        else:
            memory.make_room(2 * CONFIG.size * (SOME_MISSING - count))

    def _provide_missing(self, memory: WalkMemory) -> None:
        num_missing = memory.progress[NUM_MISSING]
        memory.progress[NUM_MISSING] = 0
        found = memory.missing[:num_missing].tolist()
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

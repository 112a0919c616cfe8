"""The states a grammar's outputs can be in, their masks and their moves.

A matcher state is a set of configs (parser state, lexer state), one object for each set. All that
follows from it (mask, successor by token, whether the output may end) is worked out once and
remembered, so a state seen before costs a look-up.

A mask is made of two parts. Where few tokens can come, a kernel walks the token trie with the configs.
Where a lexer state is *wide*, as inside a string, its row comes from the mask store, and only the tokens
that leave the terminal are walked.
"""

from __future__ import annotations

import threading

import numpy as np

from syntagma.grammar.array_context import ArrayContext
from syntagma.grammar.closing_tokens import MAX_FORCED_BYTES, ClosingTokens, forced_bytes
from syntagma.grammar.kernel_types import Int32Array, Int64Array
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.parser import START_STATE, Parser
from syntagma.grammar.parser_arrays import NO_HEIGHT
from syntagma.grammar.step_kernels import (
    ALIVE,
    CONFIGS,
    CONTEXT_SIZE,
    LEXER,
    NO_ROOM_FOR_CONFIGS,
    NODES,
    PARSER,
    TOKEN_TEXT,
    part_from_base,
    read_token,
    walk,
)
from syntagma.grammar.step_kernels import read as read_text
from syntagma.grammar.store_entry import Residuals, StoreEntry
from syntagma.grammar.token_trie import TokenTrie
from syntagma.grammar.twins import Twins
from syntagma.grammar.walk_kernels import (
    LOWEST_MET,
    MAY_END,
    NUM_INCOMPLETE,
    NUM_MISSING,
    NUM_NARROW,
    NUM_VISITED,
    NUM_WIDE,
    PROGRESS_SIZE,
    TOO_MANY,
)

Config = tuple[int, int]

MAX_MISSING = 256
MAX_INCOMPLETE = 1024
MAX_MOVES = 1 << 20
MAX_WIDE = 1024
FIRST_ROOM = 64

NO_WIDTH_LIMIT = 1 << 62
# How many terminals ahead a parser state's successors are lowered, where they are so few.
LOWERED_AHEAD, FEW_MOVES = 3, 2

# The row of a walk over more nodes than this is kept for other states with the same continuation.
LONG_WALK = 300

# Moves of a state are found at its number times this plus the token.
MOVES_STRIDE = 1 << 32


class MatcherState:
    """A set of configs and what is known of it.

    Attributes:
        pairs: int32[K, 2], (parser state, lexer state) in ascending order.
        configs: the pairs as tuples.
        first_move: key of its moves among the recognizer's, less the token.
        row: int32[num_words], the mask with stop tokens where the output may end; None: not at hand.
        view: the row for copying, which is faster than from the array.
        slot: where in the arena the row is.
        is_accepting: whether the output may end here; None: not known yet.
    """

    __slots__ = (
        "__weakref__",
        "configs",
        "first_move",
        "is_accepting",
        "pairs",
        "row",
        "slot",
        "view",
    )

    def __init__(self, number: int, pairs: Int32Array, is_accepting: bool | None = None) -> None:
        self.pairs = pairs
        self.configs: tuple[Config, ...] = tuple(map(tuple, pairs.tolist()))
        self.first_move = number * MOVES_STRIDE
        self.row: Int32Array | None = None
        self.view: memoryview | None = None
        self.slot = -1
        self.is_accepting = is_accepting


class Recognizer:
    """Matcher states of one grammar over one vocabulary; shared by all its matchers.

    Attributes:
        initial: the state before the first byte.
        moves: state after each token tried so far, by `MatcherState.first_move` plus token.
        store: the mask store.
    """

    def __init__(self, parser: Parser, store: MaskStore) -> None:
        self.store = store
        self.moves: dict[int, MatcherState] = {}
        self._was_used = store.arena.was_used
        self._parser = parser
        self._closing = ClosingTokens(parser, store)
        self._lock = threading.RLock()
        # The initial state is not looked up by its configs: only before the first byte may the
        # output end for want of any terminal.
        pairs = [(START_STATE, lexer) for lexer in parser.lexers(START_STATE)]
        self.initial = MatcherState(
            0, np.array(pairs, np.int32).reshape(-1, 2), parser.lower(START_STATE).can_end
        )
        self._states: dict[bytes, MatcherState] = {}
        self._name = object()
        self._twins = Twins(parser)
        self._begun: dict[tuple[int, ...], tuple[Int32Array, int]] = {}
        self._long_walks: set[tuple[Residuals, tuple[int, ...]]] = set()
        self._missing = np.zeros(MAX_MISSING, np.int32)
        self._nodes = np.zeros(MAX_INCOMPLETE, np.int32)
        self._wide = np.zeros((MAX_WIDE, 2), np.int32)
        progress = np.zeros(PROGRESS_SIZE, np.int64)
        # Single numbers are read and written through a view: several times as fast.
        self._progress = progress.data
        self._progress[LOWEST_MET] = NO_HEIGHT
        self._context = ArrayContext(CONTEXT_SIZE)
        self._context.put(NODES, (self._nodes, self._wide, self._missing, progress))
        self._context.put(TOKEN_TEXT, store.token_texts)
        self._kept: tuple[object, object, object] = (None, None, None)
        self._make_room(FIRST_ROOM)

    @property
    def num_states(self) -> int:
        """Matcher states met, the dead one included."""
        return len(self._states) + 2

    @property
    def num_bytes(self) -> int:
        """Memory of what is remembered, roughly; rows belong to the store."""
        return self._closing.num_bytes + 120 * len(self.moves) + 500 * len(self._states)

    def is_accepting(self, state: MatcherState) -> bool:
        """Whether the output may end in a state."""
        known = state.is_accepting
        if known is None:
            with self._lock:
                known = any(self._parser.lower(p).can_end for p in self._behind(state))
                state.is_accepting = known
        return known

    def advance(self, state: MatcherState, token_id: int) -> MatcherState | None:
        """The state after a token with text, None if it is not allowed."""
        with self._lock:
            while True:
                count = read_token(self._addresses(), token_id, state.pairs)
                if self._is_done(count):
                    break
            if count == 0:
                return None
            target = self._state_of(count)
            if len(self.moves) >= MAX_MOVES:
                self.forget_moves()
            self.moves[state.first_move + token_id] = target
            return target

    def read(self, state: MatcherState, text: bytes) -> MatcherState | None:
        """The state after a text, None if no output goes on like that."""
        if not text:
            return None
        symbols = np.frombuffer(text, np.uint8)
        with self._lock:
            while True:
                count = read_text(self._addresses(), symbols, state.pairs)
                if self._is_done(count):
                    break
            return self._state_of(count) if count else None

    def _addresses(self) -> Int64Array:
        """The context for a kernel call, with the arrays as they are now."""
        lexer, parser = self.store.pool.arrays, self._parser.arrays
        alive = self.store.alive
        kept = self._kept
        if lexer is not kept[0] or parser is not kept[1] or alive is not kept[2]:
            self._kept = lexer, parser, alive
            self._context.put(LEXER, lexer)
            self._context.put(PARSER, parser)
            self._context.put(ALIVE, (alive,))
        return self._context.addresses

    def _is_done(self, count: int) -> bool:
        """Whether a kernel has read a text; if not, what it needs is at hand now."""
        if self._progress[NUM_MISSING]:
            self._provide_missing()
            return False
        if count < 0:
            self._make_room(2 * (NO_ROOM_FOR_CONFIGS - count))
            return False
        return True

    def _make_room(self, num_configs: int) -> None:
        """Let the kernels have an array for so many configs."""
        configs = np.zeros((num_configs, 2), np.int32)
        self._configs = configs.data.cast("B")
        self._context.put(CONFIGS, (configs,))

    def _state_of(self, count: int) -> MatcherState:
        """The state of the first configs in the array."""
        return self._state_with(bytes(self._configs[: 8 * count]))

    def _state_with(self, key: bytes) -> MatcherState:
        """The state of some configs, given as the bytes of their pairs."""
        found = self._states.get(key)
        if found is None:
            pairs = np.frombuffer(key, np.int32).reshape(-1, 2)
            found = self._states[key] = MatcherState(len(self._states) + 1, pairs)
        return found

    def joined(self, one: MatcherState, other: MatcherState) -> MatcherState:
        """The state of all configs of two states."""
        pairs = sorted({*one.configs, *other.configs})
        with self._lock:
            return self._state_with(np.array(pairs, np.int32).tobytes())

    def forced_bytes(self, state: MatcherState) -> bytes:
        """The bytes that every output has next, MAX_FORCED_BYTES at most."""
        forced = b""
        while len(forced) < MAX_FORCED_BYTES and not self.is_accepting(state):
            with self._lock:
                lexer_states = [lexer_state for _, lexer_state in self._opened(state)]
            run = forced_bytes(self.store, lexer_states, MAX_FORCED_BYTES - len(forced))
            after = self.read(state, run)
            if after is None:
                break
            forced += run
            state = after
        return forced

    def closing_cost(self, state: MatcherState) -> int:
        """Tokens of `closing_tokens`, or bytes if those are too many to be written out."""
        if self.is_accepting(state):
            return 0
        with self._lock:
            return self._closing.cost(state.configs)

    def closing_tokens(self, state: MatcherState) -> list[int]:
        """Tokens that lead to a state in which the output may end; ValueError if too many."""
        if self.is_accepting(state):
            return []
        with self._lock:
            found: list[int] = self._closing.tokens(state.configs).tolist()
            return found

    def row(self, state: MatcherState) -> Int32Array:
        """int32[num_words]: the tokens allowed in a state, stop tokens included; read-only.

        The row may be overwritten once it is no longer ``state.row``; whoever copies it looks again.
        """
        row = state.row
        if row is not None:
            self._was_used[state.slot] = 1
            return row
        with self._lock:
            row = state.row
            return self._computed_row(state) if row is None else row

    def _computed_row(self, state: MatcherState) -> Int32Array:
        arena = self.store.arena
        slot = arena.acquire()
        try:
            self._fill_or_copy(state, arena.rows[slot])
        except BaseException:
            arena.release(slot)
            raise
        arena.publish(slot, state)
        assert state.row is not None
        return state.row

    def _fill_or_copy(self, state: MatcherState, row: Int32Array) -> None:
        """Rows of states that differ below what a row depends on are the same."""
        family = self._twins.family(state.configs)
        if family is None:
            self._fill(state, row)
            return
        known = family.find(state)
        if known is not None and known.row is not None:
            np.copyto(row, known.row)
            state.is_accepting = known.is_accepting
            return
        # What ends inside a terminal was decided when its parser state was lowered.
        self._progress[LOWEST_MET] = min(self._parser.lowest(p) for p, _ in state.configs)
        self._fill(state, row)
        family.enter(state, self._progress[LOWEST_MET])

    def _fill(self, state: MatcherState, row: Int32Array) -> None:
        """Walk from narrow configs; take the rows of wide ones and walk behind their exits."""
        configs = state.configs
        if len(configs) == 1 and configs[0][1] in self.store.wide_inside:
            self._fill_wide(*configs[0], row)
            if state.is_accepting is None:
                state.is_accepting = False
        else:
            self._fill_by_walking(state, row)
        if state.is_accepting:
            np.bitwise_or(row, self.store.vocabulary.stop_row, row)

    def _fill_by_walking(self, state: MatcherState, row: Int32Array) -> None:
        row.fill(0)
        self._walk(self.store.trie, state.pairs, row, self.store.max_width)
        progress = self._progress
        if state.is_accepting is None:
            state.is_accepting = bool(progress[MAY_END])
        num_wide = progress[NUM_WIDE]
        if num_wide == 0:
            return
        configs = self._wide[:num_wide].tolist()
        (parser_state, lexer_state), *others = configs
        if not others and not self.store.pool.complete_in(lexer_state):
            self.store.wide_inside.add(lexer_state)
            if progress[NUM_NARROW] == 0:
                self._fill_wide(parser_state, lexer_state, row)
                return
        parsers_of: dict[int, list[int]] = {}
        for parser_state, lexer_state in configs:
            parsers_of.setdefault(lexer_state, []).append(parser_state)
        for lexer_state, parser_states in parsers_of.items():
            self._add_entry(self.store.entry(lexer_state), parser_states, row)

    def _fill_wide(self, parser_state: int, lexer_state: int, row: Int32Array) -> None:
        """The row of one wide config in which no terminal is complete.

        A sparse lexer state allows what the state does that it falls back on, but for some places.
        """
        store = self.store
        base = store.pool.fallback_of(lexer_state) or lexer_state
        entry = store.entry(base)
        np.copyto(row, entry.interior)
        self._add_exits_of(entry, [parser_state], row)
        if base == lexer_state:
            return
        num_nodes = part_from_base(self._addresses(), store.trie.context, lexer_state, base, row)
        if num_nodes > MAX_INCOMPLETE:
            row.fill(0)
            self._add_entry(store.entry(lexer_state), [parser_state], row)
        elif num_nodes:
            initial = np.array([(parser_state, lexer_state)], np.int32)
            self._walk(store.trie, initial, row, NO_WIDTH_LIMIT, num_nodes)

    def _add_entry(self, entry: StoreEntry, parser_states: list[int], row: Int32Array) -> None:
        """An interior row, and what some parser states add behind its exits."""
        np.bitwise_or(row, entry.interior, row)
        self._add_exits_of(entry, parser_states, row)

    def _add_exits_of(self, entry: StoreEntry, parser_states: list[int], row: Int32Array) -> None:
        for terminal, residuals in entry.exits:
            self._add_exits(residuals, self._targets(parser_states, terminal), row)

    def _add_exits(self, residuals: Residuals, targets: tuple[int, ...], row: Int32Array) -> None:
        """The tokens that leave at some residuals and go on in some parser states."""
        if not targets:
            return
        initial, lowest = self._begun.get(targets) or self._begin(targets)
        progress = self._progress
        progress[LOWEST_MET] = min(progress[LOWEST_MET], lowest)
        key = (residuals, targets)
        if key not in self._long_walks:
            progress[NUM_VISITED] = 0
            self._walk(residuals.trie, initial, row, NO_WIDTH_LIMIT)
            if progress[NUM_VISITED] > LONG_WALK:
                self._long_walks.add(key)
            return
        known = self.store.exit_row((self._name, *key))
        if known is None:
            before = progress[LOWEST_MET]
            progress[LOWEST_MET] = NO_HEIGHT
            found = self.store.new_row()
            self._walk(residuals.trie, initial, found, NO_WIDTH_LIMIT)
            known = found, progress[LOWEST_MET]
            progress[LOWEST_MET] = before
            self.store.keep_exit_row((self._name, *key), known)
        np.bitwise_or(row, known[0], row)
        progress[LOWEST_MET] = min(progress[LOWEST_MET], known[1])

    def _begin(self, targets: tuple[int, ...]) -> tuple[Int32Array, int]:
        """The configs of parser states that have read nothing yet, and how low they looked."""
        parser = self._parser
        begun = [(target, lexer) for target in targets for lexer in parser.lexers(target)]
        lowest = min(map(parser.lowest, targets))
        found = self._begun[targets] = np.array(begun, np.int32).reshape(-1, 2), lowest
        return found

    def _walk(
        self,
        trie: TokenTrie,
        initial: Int32Array,
        row: Int32Array,
        max_width: int,
        num_nodes: int = TOO_MANY,
    ) -> None:
        """Walk a trie, all of it or what is below the first of ``_nodes``, until it is complete."""
        progress = self._progress
        progress[NUM_WIDE] = 0
        progress[NUM_INCOMPLETE] = num_nodes
        while progress[NUM_INCOMPLETE]:
            if progress[NUM_INCOMPLETE] == TOO_MANY:
                self._nodes[0] = 0
                progress[NUM_INCOMPLETE] = 1
            walk(self._addresses(), trie.context, trie.max_depth, initial, max_width, row)
            if progress[NUM_MISSING]:
                self._provide_missing()

    def _targets(self, parser_states: list[int], terminal: int) -> tuple[int, ...]:
        parser = self._parser
        if len(parser_states) == 1:
            return parser.targets(parser_states[0], terminal)
        return tuple(sorted({t for p in parser_states for t in parser.targets(p, terminal)}))

    def _opened(self, state: MatcherState) -> list[Config]:
        """A state's configs and those that begin behind its complete terminals."""
        begun = [(p, lexer) for p in self._behind(state) for lexer in self._parser.lexers(p)]
        return list(dict.fromkeys([*state.configs, *begun]))

    def _behind(self, state: MatcherState) -> list[int]:
        """The parser states behind the terminals that are complete in a state."""
        found: dict[int, None] = {}
        for parser_state, lexer_state in state.configs:
            for terminal in self.store.pool.complete_in(lexer_state):
                found.update(dict.fromkeys(self._parser.targets(parser_state, terminal)))
        return list(found)

    def _provide_missing(self) -> None:
        """Do what a walk has found missing."""
        num_missing = self._progress[NUM_MISSING]
        self._progress[NUM_MISSING] = 0
        found = self._missing[:num_missing].tolist()
        at = 0
        while at < num_missing:
            if found[at] < 0:
                group = found[at + 1 : at + 1 - found[at]]
                self._lower(self._parser.merged(group))
                at += 1 + len(group)
            else:
                self._lower(found[at])
                at += 1

    def _lower(self, parser_state: int) -> None:
        """Lower a state, and those behind it that the walk is about to ask for: it starts anew each time."""
        waiting = [parser_state]
        for _ in range(LOWERED_AHEAD):
            gotos = [self._parser.lower(state).gotos for state in waiting]
            waiting = [t for moves in gotos if len(moves) <= FEW_MOVES for t in moves.values()]
        for state in waiting:
            self._parser.lower(state)

    def forget_moves(self) -> None:
        """Drop what is remembered of tokens; the states stay, with all that is known of them."""
        with self._lock:
            self.moves.clear()

"""The states a grammar's outputs can be in, their masks and their moves.

A matcher state is a set of configs (parser state, lexer state), one object for each set. All that
follows from it (mask, successor by token, whether the output may end) is worked out once and
remembered, so a state seen before costs a look-up.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable

import numpy as np

from syntagma.grammar.closing_tokens import MAX_FORCED_BYTES, ClosingTokens, forced_bytes
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.parser import START_STATE, Parser
from syntagma.grammar.parser_arrays import NO_HEIGHT
from syntagma.grammar.store_entry import Residuals
from syntagma.grammar.token_trie import TokenTrie
from syntagma.grammar.walk_kernels import (
    LOWEST,
    NUM_INCOMPLETE,
    NUM_MISSING,
    TOO_MANY,
    read_bytes,
    walk_configs,
)

Config = tuple[int, int]

MAX_MISSING = 256
MAX_INCOMPLETE = 1024
MAX_MOVES = 1 << 20


class MatcherState:
    """A set of configs and what is known of it.

    Attributes:
        configs: sorted (parser state, lexer state) pairs.
        moves: state after each token tried so far, None where it is not allowed.
        row: int32[num_words], the mask with stop tokens where the output may end; None: not at hand.
        slot: where in the arena the row is.
        is_accepting: whether the output may end here; None: not known yet.
    """

    __slots__ = ("__weakref__", "configs", "is_accepting", "moves", "row", "slot")

    def __init__(self, configs: tuple[Config, ...], is_accepting: bool | None = None) -> None:
        self.configs = configs
        self.moves: dict[int, MatcherState | None] = {}
        self.row: Int32Array | None = None
        self.slot = -1
        self.is_accepting = is_accepting


class Recognizer:
    """Matcher states of one grammar over one vocabulary; shared by all its matchers.

    Attributes:
        initial: the state before the first byte.
        store: the mask store.
    """

    def __init__(self, parser: Parser, store: MaskStore) -> None:
        self.store = store
        self._was_used = store.arena.was_used
        self._parser = parser
        self._closing = ClosingTokens(parser, store)
        self._lock = threading.RLock()
        # The initial state is not looked up by its configs: only before the first byte may the
        # output end for want of any terminal.
        self.initial = MatcherState(
            tuple((START_STATE, lexer) for lexer in parser.lexers(START_STATE)),
            parser.can_end(START_STATE),
        )
        self._states: dict[tuple[Config, ...], MatcherState] = {}
        self._name = object()
        # By the tops of their stacks: how deep a row looks, and a state that has the row.
        self._depths: dict[Hashable, int] = {}
        self._twins: dict[Hashable, MatcherState] = {}
        self._num_moves = 0
        self._missing = np.zeros(MAX_MISSING, np.int32)
        self._nodes = np.zeros(MAX_INCOMPLETE, np.int32)
        self._progress = np.array([0, NO_HEIGHT, 0, 0])

    @property
    def num_states(self) -> int:
        """Matcher states met, the dead one included."""
        return len(self._states) + 2

    @property
    def num_bytes(self) -> int:
        """Memory of the remembered rows, and a guess for the rest."""
        caches = self._closing.num_bytes
        return caches + 100 * self._num_moves + 400 * len(self._states)

    def is_accepting(self, state: MatcherState) -> bool:
        """Whether the output may end in a state."""
        known = state.is_accepting
        if known is None:
            with self._lock:
                known = any(self._parser.can_end(target) for target in self._behind(state))
                state.is_accepting = known
        return known

    def advance(self, state: MatcherState, token_id: int) -> MatcherState | None:
        """The state after a token with text, None if it is not allowed."""
        try:
            return state.moves[token_id]
        except KeyError:
            target = self.read(state, self.store.vocabulary.token_bytes(token_id))
        if self._num_moves >= MAX_MOVES:
            self._forget_moves()
        self._num_moves += 1
        state.moves[token_id] = target
        return target

    def read(self, state: MatcherState, text: bytes) -> MatcherState | None:
        """The state after a text, None if no output goes on like that."""
        if not text:
            return None
        with self._lock:
            initial = np.array(state.configs, np.int32).reshape(-1, 2)
            symbols = np.frombuffer(text, np.uint8)
            while True:
                found = read_bytes(
                    symbols,
                    self.store.pool.arrays,
                    self._parser.arrays,
                    initial,
                    self._missing,
                    self._progress,
                )
                if not self._provide_missing():
                    break
            if len(found) == 0:
                return None
            configs = tuple(sorted(map(tuple, found.tolist())))
            after = self._states.get(configs)
            if after is None:
                after = self._states[configs] = MatcherState(configs)
            return after

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
        height = max((self._parser.height(p) for p, _ in state.configs), default=0)
        if height == 0:
            self._fill(state, row)
            return
        top = self._truncated(state, 0)
        depth = self._depths.get(top, 0)
        key = self._truncated(state, depth) if depth else top
        twin = self._twins.get(key)
        if twin is not None and twin.row is not None:
            np.copyto(row, twin.row)
            state.is_accepting = twin.is_accepting
            return
        self._progress[LOWEST] = NO_HEIGHT
        self._fill(state, row)
        used = max(0, height + 1 - int(self._progress[LOWEST]))
        if used > depth:
            self._depths[top] = used
            key = self._truncated(state, used)
        self._twins[key] = state

    def _truncated(self, state: MatcherState, depth: int) -> Hashable:
        truncated = self._parser.truncated
        return tuple((lexer, truncated(parser, depth)) for parser, lexer in state.configs)

    def _fill(self, state: MatcherState, row: Int32Array) -> None:
        """Interior rows of all lexer states, and what the parser adds behind their exits."""
        parsers_of: dict[int, list[int]] = {}
        for parser_state, lexer_state in self._opened(state):
            parsers_of.setdefault(lexer_state, []).append(parser_state)
        is_first = True
        for lexer_state, parser_states in parsers_of.items():
            entry = self.store.entry(lexer_state)
            if is_first:
                np.copyto(row, entry.interior)
                is_first = False
            else:
                row |= entry.interior
            for terminal, residuals in entry.exits:
                row |= self._exit_row(residuals, self._targets(parser_states, terminal))
        if is_first:
            row[:] = 0
        if self.is_accepting(state):
            row |= self.store.vocabulary.stop_row

    def _exit_row(self, residuals: Residuals, targets: tuple[int, ...]) -> Int32Array:
        """The tokens that leave at some residuals and go on in some parser states."""
        key = (self._name, residuals, targets)
        known = self.store.exit_row(key)
        if known is None:
            before = int(self._progress[LOWEST])
            self._progress[LOWEST] = NO_HEIGHT
            row = self.store.new_row()
            self._walk_from(residuals.trie, self._beginning(targets), row)
            known = row, int(self._progress[LOWEST])
            self._progress[LOWEST] = before
            self.store.keep_exit_row(key, known)
        self._looked_at(known[1])
        return known[0]

    def _looked_at(self, height: int) -> None:
        self._progress[LOWEST] = min(int(self._progress[LOWEST]), height)

    def _walk_from(self, trie: TokenTrie, configs: list[Config], row: Int32Array) -> None:
        if not configs:
            return
        initial = np.array(configs, np.int32)
        nodes, progress = self._nodes, self._progress
        progress[NUM_INCOMPLETE] = TOO_MANY
        while progress[NUM_INCOMPLETE]:
            if progress[NUM_INCOMPLETE] == TOO_MANY:
                tops = trie.tops
                nodes[: tops.size] = tops
                progress[NUM_INCOMPLETE] = tops.size
            walk_configs(
                *trie.arrays,
                trie.max_depth,
                nodes,
                self.store.pool.arrays,
                self._parser.arrays,
                initial,
                row,
                self._missing,
                progress,
            )
            self._provide_missing()

    def _targets(self, parser_states: list[int], terminal: int) -> tuple[int, ...]:
        parser = self._parser
        if len(parser_states) == 1:
            return parser.targets(parser_states[0], terminal)
        return tuple(sorted({t for p in parser_states for t in parser.targets(p, terminal)}))

    def _beginning(self, parser_states: tuple[int, ...]) -> list[Config]:
        """The configs of parser states that have read nothing yet."""
        found = [(target, s) for target in parser_states for s in self._parser.lexers(target)]
        for target in parser_states:
            self._looked_at(int(self._parser.arrays.lowest[target]))
        return found

    def _opened(self, state: MatcherState) -> list[Config]:
        """A state's configs and those that begin behind its complete terminals."""
        behind = self._behind(state)
        if not behind:
            return list(state.configs)
        return list(dict.fromkeys([*state.configs, *self._beginning(tuple(behind))]))

    def _behind(self, state: MatcherState) -> list[int]:
        """The parser states behind the terminals that are complete in a state."""
        found: dict[int, None] = {}
        for parser_state, lexer_state in state.configs:
            for terminal in self.store.pool.complete_in(lexer_state):
                found.update(dict.fromkeys(self._parser.targets(parser_state, terminal)))
        return list(found)

    def _provide_missing(self) -> bool:
        """Do what a walk has found missing; False if there was nothing."""
        num_missing = int(self._progress[NUM_MISSING])
        if num_missing == 0:
            return False
        self._progress[NUM_MISSING] = 0
        found = self._missing[:num_missing].tolist()
        at = 0
        while at < num_missing:
            if found[at] < 0:
                group = found[at + 1 : at + 1 - found[at]]
                self._parser.lower(self._parser.merged(group))
                at += 1 + len(group)
            else:
                self._parser.lower(found[at])
                at += 1
        return True

    def _forget_moves(self) -> None:
        with self._lock:
            for state in (self.initial, *self._states.values()):
                state.moves = {}
            self._num_moves = 0

"""The states a grammar's outputs can be in, their masks and their moves.

A matcher state is a set of configs (parser state, lexer state), one object for each set. All that
follows from it (mask, successor by token, whether the output may end) is worked out once and
remembered, so a state seen before costs a look-up.
"""

from __future__ import annotations

from typing import Final

from syntagma.grammar.closing_tokens import MAX_FORCED_BYTES, ClosingTokens, forced_bytes
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.matcher_state import Config, MatcherState, key_of
from syntagma.grammar.parser import START_STATE, Parser
from syntagma.grammar.row_filler import RowFiller
from syntagma.grammar.vocabulary import SPECIAL_MARK
from syntagma.grammar.walker import Walker

MAX_MOVES: Final = 1 << 20
# Memory of a matcher state, roughly. Grammars whose outputs nest or that remember make new ones for ever.
BYTES_PER_STATE: Final = 500


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
        self._arena = store.arena
        self._was_used = store.arena.was_used
        self._parser = parser
        self._walker = Walker(parser, store)
        self._filler = RowFiller(parser, store, self._walker)
        self._closing = ClosingTokens(parser, store)
        # Kernels that walk lower parser states on their way.
        self._lock = parser.lock
        # The initial state is not looked up by its configs: only before the first byte may the
        # output end for want of any terminal.
        key = key_of((START_STATE, lexer) for lexer in parser.lexers(START_STATE))
        self.initial = MatcherState(0, key, parser.can_end(START_STATE))
        self._states: dict[bytes, MatcherState] = {}

    @property
    def num_states(self) -> int:
        """Matcher states met, the dead one included."""
        return len(self._states) + 2

    @property
    def num_bytes(self) -> int:
        """Memory of what is remembered, roughly; rows belong to the store."""
        states = BYTES_PER_STATE * len(self._states) + self._parser.num_bytes
        return self._closing.num_bytes + 120 * len(self.moves) + states

    def is_accepting(self, state: MatcherState) -> bool:
        """Whether the output may end in a state."""
        known = state.is_accepting
        if known is None:
            with self._lock:
                known = state.is_accepting = self._walker.is_accepting(state.key)
        return known

    def advance(self, state: MatcherState, token_id: int) -> MatcherState | None:
        """The state after a token with text, None if it is not allowed."""
        with self._lock:
            target = self._after_token(state, token_id)
            if target is not None:
                if len(self.moves) >= MAX_MOVES:
                    self.forget_moves()
                self.moves[state.first_move + token_id] = target
            return target

    def _after_token(self, state: MatcherState, token_id: int) -> MatcherState | None:
        key = self._walker.read_token(state.key, token_id)
        if not key:
            return None
        after = self.state_with(key)
        if after.is_accepting is None:
            after.is_accepting = self._walker.may_end_behind
        return after

    def read(self, state: MatcherState, text: bytes) -> MatcherState | None:
        """The state after a text, None if no output goes on like that."""
        if not text:
            return None
        with self._lock:
            key = self._walker.read(state.key, text)
            return self.state_with(key) if key else None

    def state_with(self, key: bytes) -> MatcherState:
        """The state of some configs."""
        found = self._states.get(key)
        if found is None:
            found = self._states[key] = MatcherState(len(self._states) + 1, key)
        return found

    def joined(self, one: MatcherState, other: MatcherState) -> MatcherState:
        """The state of all configs of two states."""
        key = key_of(sorted({*one.configs, *other.configs}))
        with self._lock:
            return self.state_with(key)

    def forced_bytes(self, state: MatcherState) -> bytes:
        """The bytes that every output has next, MAX_FORCED_BYTES at most."""
        forced = b""
        while len(forced) < MAX_FORCED_BYTES and not self.is_accepting(state):
            with self._lock:
                lexer_states = [lexer_state for _, lexer_state in self._opened(state)]
            run = forced_bytes(self.store, lexer_states, MAX_FORCED_BYTES - len(forced))
            run, mark, _ = run.partition(SPECIAL_MARK)
            if mark:
                return forced + run
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
        arena = self._arena
        slot = arena.acquire()
        try:
            self._filler.fill(state, arena.writable[slot])
        except BaseException:
            arena.release(slot)
            raise
        return arena.publish(slot, state)

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

    def forget_moves(self) -> None:
        """Drop what is remembered of tokens; the states stay, with all that is known of them."""
        with self._lock:
            self.moves.clear()

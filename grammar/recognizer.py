"""The states a grammar's outputs can be in, their masks and their moves.

A matcher state is a set of configs (parser state, lexer state), interned to a number. All that follows
from it — mask, successor by token, whether the output may end — is worked out once and remembered, so
a state seen before costs a look-up.
"""

from __future__ import annotations

import threading

import numpy as np

from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.lru import ByteLru
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.parser import START_STATE, Parser
from syntagma.grammar.walk_kernels import clear_bit, has_bit, read_bytes, walk_residual

Config = tuple[int, int]

DEAD_STATE = 0
INITIAL_STATE = 1
MAX_MISSING = 256
MAX_ROW_BYTES = 64 << 20
MAX_MOVES = 1 << 20


class Recognizer:
    """Matcher states of one grammar over one vocabulary; shared by all its matchers."""

    def __init__(self, parser: Parser, store: MaskStore) -> None:
        self._parser = parser
        self._store = store
        self._lock = threading.RLock()
        initial = tuple((START_STATE, lexer) for lexer in parser.lexers(START_STATE))
        self._configs: list[tuple[Config, ...]] = [(), initial]
        # The initial state is not looked up by its configs: only before the first byte may the
        # output end for want of any terminal.
        self._state_ids: dict[tuple[Config, ...], int] = {(): DEAD_STATE}
        self._accepting: list[bool | None] = [False, parser.can_end(START_STATE)]
        self._rows: ByteLru[int, Int32Array] = ByteLru(MAX_ROW_BYTES)
        self._moves: dict[tuple[int, int], int] = {}

    @property
    def num_states(self) -> int:
        """Matcher states met, the dead one included."""
        return len(self._configs)

    @property
    def num_bytes(self) -> int:
        """Memory of the remembered rows, and a guess for the rest."""
        return self._rows.num_bytes + 100 * len(self._moves) + 200 * len(self._configs)

    def is_accepting(self, state: int) -> bool:
        """Whether the output may end in a state."""
        known = self._accepting[state]
        if known is None:
            known = any(self._parser.can_end(target) for target in self._behind(state))
            self._accepting[state] = known
        return known

    def advance(self, state: int, token_id: int) -> int:
        """The state after a token with text, DEAD_STATE if it is not allowed."""
        key = (state, token_id)
        target = self._moves.get(key)
        if target is None:
            target = self.read(state, self._store.vocabulary.token_bytes(token_id))
            if len(self._moves) >= MAX_MOVES:
                self._moves.clear()
            self._moves[key] = target
        return target

    def read(self, state: int, text: bytes) -> int:
        """The state after a text, DEAD_STATE if no output goes on like that."""
        if not text:
            return DEAD_STATE
        with self._lock:
            initial = np.array(self._configs[state], np.int32).reshape(-1, 2)
            symbols = np.frombuffer(text, np.uint8)
            missing = np.zeros(MAX_MISSING, np.int32)
            while True:
                num_missing, configs = read_bytes(
                    symbols, self._store.pool.arrays, self._parser.arrays, initial, missing
                )
                if num_missing == 0:
                    return self._intern(tuple(sorted(map(tuple, configs.tolist()))))
                self._lower(missing[:num_missing])

    def row(self, state: int) -> Int32Array:
        """int32[num_words]: the tokens with text that are allowed in a state; read-only."""
        with self._lock:
            row = self._rows.get(state)
            if row is None:
                row = self._compute_row(state)
                row.setflags(write=False)
                self._rows.put(state, row, row.nbytes)
            return row

    def _compute_row(self, state: int) -> Int32Array:
        """Interior rows of all lexer states, and what the parser adds behind their exits."""
        row = np.zeros(self._store.vocabulary.num_words, np.int32)
        disputed: set[int] = set()
        parsers_of: dict[int, set[int]] = {}
        for parser_state, lexer_state in self._opened(state):
            parsers_of.setdefault(lexer_state, set()).add(parser_state)
        for lexer_state, parser_states in parsers_of.items():
            entry = self._store.entry(lexer_state)
            disputed.update(entry.disputed.tolist())
            row |= entry.interior
            for terminal, nodes in entry.residuals:
                behind = {t for p in parser_states for t in self._parser.targets(p, terminal)}
                starts = sorted(t for t in behind if self._parser.lexers(t))
                if not starts:
                    continue
                trie = self._store.trie_below(nodes)
                missing = np.zeros(MAX_MISSING, np.int32)
                num_missing = 1
                while num_missing:
                    num_missing = walk_residual(
                        *trie.arrays,
                        trie.max_depth,
                        self._store.pool.arrays,
                        self._parser.arrays,
                        np.array(starts, np.int32),
                        row,
                        missing,
                    )
                    self._lower(missing[:num_missing])
        for token_id in disputed:
            if has_bit(row, token_id) and self.advance(state, token_id) == DEAD_STATE:
                clear_bit(row, token_id)
        return row

    def _opened(self, state: int) -> list[Config]:
        """A state's configs and those that begin behind its complete terminals."""
        configs = dict.fromkeys(self._configs[state])
        for target in self._behind(state):
            configs.update(dict.fromkeys((target, s) for s in self._parser.lexers(target)))
        return list(configs)

    def _behind(self, state: int) -> list[int]:
        """The parser states behind the terminals that are complete in a state."""
        if state == INITIAL_STATE:
            return []
        arrays = self._store.pool.arrays
        found: dict[int, None] = {}
        for parser_state, lexer_state in self._configs[state]:
            first, last = arrays.accept_start[lexer_state], arrays.accept_start[lexer_state + 1]
            for terminal in arrays.accepts[first:last].tolist():
                found.update(dict.fromkeys(self._parser.targets(parser_state, terminal)))
        return list(found)

    def _lower(self, parser_states: Int32Array) -> None:
        for parser_state in set(parser_states.tolist()):
            self._parser.lower(parser_state)

    def _intern(self, configs: tuple[Config, ...]) -> int:
        state = self._state_ids.get(configs)
        if state is None:
            state = self._state_ids[configs] = len(self._configs)
            self._configs.append(configs)
            self._accepting.append(None)
        return state

"""The rows of matcher states.

A mask is made of two parts. Where few tokens can come, a kernel walks the token trie with the configs.
Where a lexer state is *wide*, as inside a string, its row comes from the mask store, and only the tokens
that leave the terminal are walked. A state may be wide at the root or where the walk has come to: before an
operand only a blank is narrow, below the blank nearly every word can come.
"""

from __future__ import annotations

import numpy as np

from syntagma.grammar.config_kernels import (
    HAS_DOUBTED,
    MAY_END,
    NUM_NARROW,
    NUM_VISITED,
    NUM_WIDE,
)
from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.matcher_state import CONFIG, MatcherState
from syntagma.grammar.parser import Parser
from syntagma.grammar.step_kernels import LONG_WALK
from syntagma.grammar.store_entry import Residuals, StoreEntry
from syntagma.grammar.token_trie import ROOT
from syntagma.grammar.walk_memory import MAX_INCOMPLETE
from syntagma.grammar.walker import Walker, WideConfig


class RowFiller:
    """Works out rows of one grammar's states. Not locked: whoever calls it holds the parser's lock."""

    def __init__(self, parser: Parser, store: MaskStore, walker: Walker) -> None:
        self._parser = parser
        self._store = store
        self._walker = walker
        self._stop_row = store.vocabulary.stop_row
        self._name = object()
        self._long_walks: set[tuple[Residuals, bytes]] = set()

    def fill(self, state: MatcherState, row: Int32Array) -> None:
        """Write a state's mask, stop tokens included, and note whether the output may end there.

        Args:
            state: the state.
            row: int32[num_words], whatever is in it.
        """
        only = CONFIG.unpack(state.key) if len(state.key) == CONFIG.size else None
        if only is not None and only[1] in self._store.wide_inside:
            parser_state, lexer_state = only
            progress = self._walker.progress
            progress[HAS_DOUBTED] = self._parser.is_doubtful(parser_state)
            if state.is_accepting is None:
                state.is_accepting = False
            self._fill_inside(parser_state, lexer_state, row)
        else:
            progress = self._walker.walk_root(state.key, row)
            if state.is_accepting is None:
                state.is_accepting = bool(progress[MAY_END])
            if progress[NUM_WIDE]:
                self._add_wide(self._walker.wide_configs(), progress[NUM_NARROW] > 0, row)
        state.is_doubtful = bool(progress[HAS_DOUBTED])
        if state.is_accepting:
            np.bitwise_or(row, self._stop_row, row)

    def _add_wide(self, wide: list[WideConfig], has_narrow: bool, row: Int32Array) -> None:
        """Complete a row with what wide configs allow."""
        if len(wide) == 1:
            parser_state, lexer_state, node = wide[0]
            if node == ROOT and not self._store.pool.complete_in(lexer_state):
                self._store.wide_inside.add(lexer_state)
                if not has_narrow:
                    self._fill_inside(parser_state, lexer_state, row)
                    return
            self._add_entry(self._store.entry(lexer_state, node), [parser_state], row)
            return
        parsers_of: dict[tuple[int, int], list[int]] = {}
        for parser_state, lexer_state, node in wide:
            parsers_of.setdefault((lexer_state, node), []).append(parser_state)
        for (lexer_state, node), parser_states in parsers_of.items():
            self._add_entry(self._store.entry(lexer_state, node), parser_states, row)

    def _fill_inside(self, parser_state: int, lexer_state: int, row: Int32Array) -> None:
        """The row of one wide config in which no terminal is complete.

        A sparse lexer state allows what the state does that it falls back on, but for some places.
        """
        store = self._store
        base = store.pool.fallback_of(lexer_state) or lexer_state
        entry = store.entry(base)
        np.copyto(row, entry.interior)
        self._add_exits_of(entry, [parser_state], row)
        if base == lexer_state:
            return
        num_nodes = self._walker.part_from_base(lexer_state, base, row)
        if num_nodes > MAX_INCOMPLETE:
            row.fill(0)
            self._add_entry(store.entry(lexer_state), [parser_state], row)
        elif num_nodes:
            initial = np.array([(parser_state, lexer_state)], np.int32)
            self._walker.walk_part(initial, row, num_nodes)

    def _add_entry(self, entry: StoreEntry, parser_states: list[int], row: Int32Array) -> None:
        """An interior row, and what some parser states add behind its exits."""
        np.bitwise_or(row, entry.interior, row)
        self._add_exits_of(entry, parser_states, row)

    def _add_exits_of(self, entry: StoreEntry, parser_states: list[int], row: Int32Array) -> None:
        """What some parser states add behind an entry's exits: at once where there is nothing to see to."""
        num_exits = len(entry.exits)
        for parser_state in parser_states:
            number = 0
            while True:
                number = self._walker.walk_exits(entry.table, number, parser_state, row)
                if number == num_exits:
                    break
                self._add_exit(entry, number, parser_state, row)
                number += 1

    def _add_exit(self, entry: StoreEntry, number: int, parser_state: int, row: Int32Array) -> None:
        """The tokens that leave at an exit and go on behind it."""
        walker = self._walker
        progress = walker.progress
        terminal, residuals = entry.exits[number]
        begun = walker.begin_behind(parser_state, terminal)
        if not begun:
            return
        trie = residuals.trie_from(walker.first_bytes)
        key = (residuals, begun)
        if key not in self._long_walks:
            progress[NUM_VISITED] = 0
            walker.walk_begun(begun, trie, row)
            if progress[NUM_VISITED] > LONG_WALK:
                self._long_walks.add(key)
            else:
                entry.ready(number)
            return
        known = self._store.exit_row((self._name, *key))
        if known is None:
            before = progress[HAS_DOUBTED]
            progress[HAS_DOUBTED] = 0
            found = self._store.new_row()
            walker.walk_begun(begun, trie, found)
            known = found, bool(progress[HAS_DOUBTED])
            progress[HAS_DOUBTED] = before
            self._store.keep_exit_row((self._name, *key), known)
        np.bitwise_or(row, known[0], row)
        progress[HAS_DOUBTED] |= known[1]

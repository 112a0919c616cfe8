"""States of a grammar in which a text must come again (see `captures`).

Three parsers of the same rules share their stacks. One reads, byte by byte: its states know what has
been read of a terminal that catches its word (`TextParser`). Masks look at all tokens at once, so nobody can
keep track of what each of them spells; a word caught within a token is unknown there. Where it is asked
for later in the same token, one parser takes no word for it and the other any: the first one's tokens
are allowed for sure, those of the second alone are tried. They are few, like ``></b>`` within a name,
and most states need not ask the second at all.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from syntagma.grammar.kernel_types import Int32Array
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.matcher_state import CONFIG, MatcherState, key_of
from syntagma.grammar.parser import Parser
from syntagma.grammar.recognizer import Recognizer
from syntagma.grammar.rule_automata import RuleAutomata
from syntagma.grammar.text_parser import TextParser


class CapturingRecognizer(Recognizer):
    """Matcher states of one grammar that remembers, over one vocabulary; shared by all its matchers.

    Args:
        automata: the rules.
        parser: reads; belongs to the recognizer from now on.
        store: the mask store.
    """

    def __init__(self, automata: RuleAutomata, parser: TextParser, store: MaskStore) -> None:
        super().__init__(parser, store)
        self._reading = parser
        self._sure = _Masks(automata, parser, store, takes_doubtful=False)
        self._likely = _Masks(automata, parser, store, takes_doubtful=True)

    @property
    def num_bytes(self) -> int:
        """Memory of what is remembered, roughly; rows belong to the store."""
        texts = 250 * self._reading.num_texts
        return super().num_bytes + self._sure.num_bytes + self._likely.num_bytes + texts

    def _after_token(self, state: MatcherState, token_id: int) -> MatcherState | None:
        return self.read(state, self.store.vocabulary.tokens[token_id])

    def read(self, state: MatcherState, text: bytes) -> MatcherState | None:
        """The state after a text, None if no output goes on like that."""
        if not text:
            return None
        with self._lock:
            key = state.key
            for at in range(len(text)):
                key = self._walker.read(key, text[at : at + 1])
                if not key:
                    return None
                key = self._with_byte(key, text[at : at + 1])
            return self.state_with(key)

    def _with_byte(self, key: bytes, byte: bytes) -> bytes:
        """The configs behind a byte with their parser states knowing of it."""
        configs = list(CONFIG.iter_unpack(key))
        known = [(self._reading.after_text(parser, byte), lexer) for parser, lexer in configs]
        return key if known == configs else key_of(sorted(set(known)))

    def _computed_row(self, state: MatcherState) -> Int32Array:
        sure, is_doubtful = self._sure.row_of(state)
        if is_doubtful:
            likely, _ = self._likely.row_of(state)
            tokens = self.store.vocabulary.tokens
            for token_id in _ids(likely & ~sure):
                if tokens[token_id] and self.read(state, tokens[token_id]) is not None:
                    sure[token_id >> 5] |= np.uint32(1 << (token_id & 31)).view(np.int32)
        if self.is_accepting(state):
            np.bitwise_or(sure, self.store.vocabulary.stop_row, sure)
        slot = self._arena.acquire()
        np.copyto(self._arena.writable[slot], sure)
        return self._arena.publish(slot, state)


class _Masks:
    """Masks in which a text that is caught within a token is unknown."""

    def __init__(
        self,
        automata: RuleAutomata,
        reading: TextParser,
        store: MaskStore,
        *,
        takes_doubtful: bool,
    ) -> None:
        self._reading = reading
        self._parser = Parser(automata, store.pool, sharing=reading, takes_doubtful=takes_doubtful)
        self._recognizer = Recognizer(self._parser, store)
        self._states: dict[int, int] = {}

    @property
    def num_bytes(self) -> int:
        """Memory of what is remembered, roughly."""
        return self._recognizer.num_bytes + 100 * len(self._states)

    def row_of(self, state: MatcherState) -> tuple[Int32Array, bool]:
        """A copy of the mask of a state, and whether an unknown text was asked for on the way."""
        configs = {(self._state_for(parser), lexer) for parser, lexer in state.configs}
        found = self._recognizer.state_with(key_of(sorted(configs)))
        while True:
            row = self._recognizer.row(found)
            copy = row.copy()
            if found.row is row:
                return copy, found.is_doubtful

    def _state_for(self, reading_state: int) -> int:
        """The state of this parser where another's is, whatever that knows of texts."""
        known = self._states.get(reading_state)
        if known is None:
            known = self._parser.state_of(self._reading.items(reading_state))
            # Kernels take it for granted that the states of configs are lowered.
            self._parser.lower(known)
            self._states[reading_state] = known
        return known


def _ids(row: Int32Array) -> Iterator[int]:
    bits = np.unpackbits(row.view(np.uint8), bitorder="little")
    yield from np.flatnonzero(bits).tolist()

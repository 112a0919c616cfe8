"""A parser whose states know what has been read since their terminals began.

Where a terminal catches its word (see `captures`), a state is told apart by the bytes read so far, so the
word is known when it ends. Texts are read byte by byte: behind each one, `after_text` gives the state
that knows of it. States of which no terminal catches anything stay as they are.
"""

from __future__ import annotations

from syntagma.grammar.lowering_arrays import FOUND, WIDTHS
from syntagma.grammar.memories import NO_TEXT
from syntagma.grammar.parser import Lexers, Parser
from syntagma.grammar.positions import CAUGHT
from syntagma.grammar.remembering_rules import RememberingRules
from syntagma.grammar.rule_automata import RuleAutomata


class TextParser(Parser):
    """The parser states of a grammar that remembers, for reading.

    Args:
        automata: the grammar's rules; belongs to the parser from now on.
        lexers: the pool that lexers come from.

    Raises:
        ValueError: no rule asks for any memory.
    """

    _stops_at_texts = True

    def __init__(self, automata: RuleAutomata, lexers: Lexers) -> None:
        if automata.remembering is None:
            raise ValueError("no rule of this grammar depends on a memory")
        self._rules: RememberingRules = automata.remembering
        self._positions = automata.positions
        self._catching: set[int] = set()
        # Of states that know of a text: the state that does not, and the text.
        self._known_texts: dict[int, tuple[int, int]] = {}
        self._states_with: dict[tuple[int, int], int] = {}
        super().__init__(automata, lexers)

    @property
    def num_texts(self) -> int:
        """Texts and memories met."""
        return len(self._rules.memories)

    def after_text(self, state: int, text: bytes) -> int:
        """The state that knows of bytes read since its terminals began, besides those it knows of."""
        if not text:
            return state
        with self.lock:
            self.lower(state)
            if state not in self._catching:
                return state
            plain, before = self._known_texts.get(state, (state, NO_TEXT))
            known = plain, self._rules.memories.text_after(before, text)
            found = self._states_with.get(known)
            if found is None:
                found = self._states_with[known] = self._table.add_twin(plain)
                self._known_texts[found] = known
                # Kernels take it for granted that the states of configs are lowered.
                self.lower(found)
            return found

    def _note_catches(self, state: int) -> None:
        self._catching.add(state)
        _, text = self._known_texts.get(state, (state, NO_TEXT))
        records = self._positions.records
        found = self._table.found()
        for cell in range(1, len(found), WIDTHS[FOUND]):
            if records[found[cell]][0] == CAUGHT:
                found[cell] = self._rules.behind(found[cell], text)

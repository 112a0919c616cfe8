"""What a vocabulary can spell of a terminal."""

from __future__ import annotations

from syntagma.grammar import dfa as dfas
from syntagma.grammar.marks import is_mark
from syntagma.grammar.mask_store import MaskStore
from syntagma.grammar.terminals import Language
from syntagma.grammar.vocabulary import Vocabulary


def as_spelled(language: Language, vocabulary: Vocabulary) -> Language:
    """The words of a language whose bytes all occur in tokens."""
    if vocabulary.spells_all:
        return language
    return dfas.restrict(language.dfa, vocabulary.spellable)


class SpelledTerminals:
    """Terminals of a store's pool, cut down to what its vocabulary can spell."""

    def __init__(self, store: MaskStore) -> None:
        self._pool = store.pool
        self._vocabulary = store.vocabulary

    def terminal_id(self, language: Language) -> int | None:
        """The id of a terminal; None if no word of it can be spelled."""
        spelled = as_spelled(language, self._vocabulary)
        return self._pool.terminal_id(spelled) if spelled.shortest_length > 0 else None

    def shortest_length(self, terminal: int) -> int:
        """Bytes of a shortest word of a terminal."""
        return self._pool.shortest_length(terminal)


class MarkedTerminals(SpelledTerminals):
    """The same, and the marks, which no token spells."""

    def terminal_id(self, language: Language) -> int | None:
        """The id of a terminal; None if no word of it can be spelled."""
        return (
            self._pool.terminal_id(language) if is_mark(language) else super().terminal_id(language)
        )

"""Texts in which no mark of some markup comes up, so that they end where their writer ends them."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import DEAD, START, Dfa
from syntagma.grammar.dfa_builder import dfa_from_all
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.ir_fold import fold, rebuilt
from syntagma.grammar.limits import Budget
from syntagma.grammar.regex_parser import parse_regex
from syntagma.grammar.terminals import Language, WordList

QUOTE, LESS = ord('"'), ord("<")
ESCAPED_LESS = b"\\u003c"


@dataclass(frozen=True)
class Markup:
    """The marks that must not come up in a text.

    Attributes:
        pattern: a regular expression for them; each begins with ``<``.
    """

    pattern: str

    @property
    def texts_without(self) -> Dfa:
        """All texts in UTF-8 that hold none of them, the empty one included."""
        return _texts_without(self.pattern)

    def json_without(self, grammar: ir.Grammar, budget: Budget) -> ir.Grammar:
        """The JSON texts of a grammar that hold none of them.

        In JSON ``<`` stands in strings only, where it can be escaped: listed strings that hold a mark are
        written so, and others may be, as far as the grammar allows escapes.

        Raises:
            GrammarLimitError: a terminal becomes too large.
        """
        known: dict[bytes, ir.Node] = {}

        def changed(node: ir.Node, parts: list[ir.Node]) -> ir.Node:
            if not isinstance(node, ir.Terminal):
                return rebuilt(node, parts)
            key = node.language.key
            if key not in known:
                language = self._without(node.language, budget)
                known[key] = ir.NOTHING if language.shortest_length < 0 else ir.Terminal(language)
            return known[key]

        bodies: list[ir.Node | None] = [fold(body, changed) for body in grammar.produce_all()]
        return ir.Grammar(bodies, list(grammar.names))

    def _without(self, language: Language, budget: Budget) -> Language:
        if isinstance(language, WordList):
            if not any(b"<" in word for word in language.words):
                return language
            return WordList(map(self._escaped, language.words))
        dfa = language.dfa
        byte_class = dfa.byte_classes[LESS]
        if not dfa.transitions[:, byte_class].any():
            return language
        if _is_quoted(dfa):
            return dfas.intersection(dfa, self.texts_without, budget)
        # A piece of a long string: a mark might come up across its end.
        return dfas.restrict(dfa, np.arange(256) != LESS)

    def _escaped(self, word: bytes) -> bytes:
        return word if self.texts_without.accepts(word) else word.replace(b"<", ESCAPED_LESS)


def _is_quoted(dfa: Dfa) -> bool:
    """Whether all words begin with a quotation mark."""
    following = dfa.transitions[START, dfa.byte_classes]
    return bool(following[QUOTE] != DEAD and np.count_nonzero(following) == 1)


@functools.lru_cache(maxsize=32)
def _texts_without(pattern: str) -> Dfa:
    budget = Budget.unlimited()
    marks = parse_regex(pattern, budget).searched
    return dfa_from_all([ast.ANYTHING], Encoder.UTF8, budget, excluded=marks)

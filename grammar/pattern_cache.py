"""Automata of string constraints, remembered for the process.

Applications send the same patterns again and again, in different schemas. The cache is bounded in
bytes and changes nothing but the time: entries are immutable and found by all that they depend on.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_all
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.lru import ByteLru
from syntagma.grammar.regex_parser import parse_regex

MAX_CACHE_BYTES = 64 << 20


@dataclass(frozen=True, kw_only=True)
class StringConstraints:
    """Texts that fit all of these.

    Attributes:
        searched: regular expressions that match somewhere.
        matched: regular expressions that match the whole text.
        min_length, max_length: code points; None: no upper bound.
        encoder: how the texts are spelled.
        is_quoted: whether quotation marks stand around them (`Encoder.JSON` only).
    """

    searched: tuple[str, ...] = ()
    matched: tuple[str, ...] = ()
    min_length: int = 0
    max_length: int | None = None
    encoder: Encoder = Encoder.JSON
    is_quoted: bool = False

    def build(self, budget: Budget) -> Dfa:
        """The automaton, without asking the cache."""
        trees: list[ast.Node] = []
        excluded: list[ast.Node] = []
        for text in self.searched:
            pattern = parse_regex(text, budget)
            trees += pattern.searched
            excluded += pattern.excluded
        for text in self.matched:
            pattern = parse_regex(text, budget, is_whole=True)
            trees += pattern.whole
            excluded += pattern.excluded
        if self.min_length > 0 or self.max_length is not None or not trees:
            trees.append(ast.Repeat(ast.ANY_CHAR, self.min_length, self.max_length))
        return dfa_from_all(
            trees, self.encoder, budget, excluded=excluded, is_quoted=self.is_quoted
        )


class PatternCache:
    """Finished automata by constraints and limits, the least recently used ones dropped first."""

    def __init__(self, max_bytes: int = MAX_CACHE_BYTES) -> None:
        self._lock = threading.Lock()
        self._dfas: ByteLru[tuple[StringConstraints, CompileLimits], Dfa] = ByteLru(max_bytes)

    def dfa(self, constraints: StringConstraints, budget: Budget) -> Dfa:
        """The automaton of some constraints.

        Raises:
            GrammarSyntaxError, UnsupportedGrammarError: from a pattern.
            GrammarLimitError: larger than the budget allows (errors are not remembered).
        """
        key = (constraints, budget.limits)
        with self._lock:
            found = self._dfas.get(key)
        if found is None:
            found = constraints.build(budget)
            text_bytes = sum(4 * len(p) for p in (*constraints.searched, *constraints.matched))
            with self._lock:
                self._dfas.put(key, found, found.num_bytes + text_bytes)
        return found

    @property
    def num_bytes(self) -> int:
        """Bytes held by the automata."""
        return self._dfas.num_bytes


PATTERNS = PatternCache()

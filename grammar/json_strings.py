"""The strings of JSON texts under one set of options."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Collection

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.json_escapes import StringPart, canonical_escapes
from syntagma.grammar.json_formats import FORMAT_LENGTHS
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.json_punctuation import literal
from syntagma.grammar.json_string_automata import (
    BLOCK_LENGTH,
    StringBounds,
    block,
    block_end,
    bounded_string,
    format_string,
    spellings,
    string_of_length,
)
from syntagma.grammar.limits import Budget
from syntagma.grammar.pattern_cache import PATTERNS, StringConstraints
from syntagma.grammar.terminals import Language, OtherStrings, WordList, any_string
from syntagma.grammar.uri_parts import PARTED_FORMATS, WHOLE_LENGTH, uri_variants

# An automaton of strings times the characters that are counted in it.
COUNTED_STATES = 16_000

# Keys up to this length are remembered for the process.
LONGEST_SHARED_KEY = 64


class JsonStrings:
    """Builds the strings of one compilation.

    Those without pattern are remembered for the process, others for the compilation.

    Attributes:
        options: how they may be spelled, and how long they may be.
        budget: bounds on the compilation.
    """

    def __init__(self, options: JsonOptions, budget: Budget) -> None:
        self.options = options
        self.budget = budget
        self._patterned: dict[StringBounds, ir.Node] = {}

    @property
    def is_canonical(self) -> bool:
        """Whether every string has one spelling."""
        return self.options.string_escapes == "canonical"

    def key(self, name: str) -> ir.Node:
        """The key of a member."""
        if self.is_canonical:
            return ir.Terminal(WordList(spellings(name, is_canonical=True)))
        make = _key if len(name) <= LONGEST_SHARED_KEY else _key.__wrapped__
        return make(name)

    def key_other_than(self, names: Collection[str]) -> ir.Node:
        """Any key but the given ones, however they are spelled.

        Raises:
            GrammarLimitError: ``max_string`` is set, and the names are too long to be told apart.
        """
        others = OtherStrings(names) if names else any_string()
        most = self.options.max_string
        if most is None:
            return self._terminal(others)
        # Strings longer than the names need not be compared with them.
        split = min(most, max(BLOCK_LENGTH, *map(len, names), 0))
        short = StringConstraints(max_length=split, is_quoted=True)
        bound = PATTERNS.dfa(short, self.budget)
        parts = [self._terminal(dfas.intersection(others.dfa, bound, self.budget))]
        if split < most:
            parts.append(self._string_of_length(split + 1, most))
        return ir.choice(*parts)

    def string(self, bounds: StringBounds) -> ir.Node:
        """The strings within some bounds.

        Raises:
            GrammarError: a pattern is malformed, or too large with all that stands beside it.
        """
        if bounds.max_length is not None and bounds.max_length < bounds.min_length:
            return ir.NOTHING
        if self.options.max_string is not None:
            bounds = self._capped(bounds)
        if not bounds.patterns and not bounds.formats:
            return self._string_of_length(bounds.min_length, bounds.max_length)
        if not bounds.patterns and not bounds.asks_length:
            return self._terminal(format_string(bounds.formats))
        if _is_long_uri(bounds):
            return self._uri(bounds.formats[0], bounds.max_length or 0)
        node = self._patterned.get(bounds)
        if node is None:
            node = self._terminal(bounded_string(bounds, self.budget.limits))
            self._patterned[bounds] = node
            self.budget.check_time()
        return node

    def _uri(self, name: str, max_length: int) -> ir.Node:
        """A URI of bounded length, part by part."""
        quote = literal('"')
        whole = StringBounds(max_length=WHOLE_LENGTH, formats=(name,))
        variants = [self._terminal(bounded_string(whole, self.budget.limits))]
        for parts in uri_variants(name, max_length):
            nodes: list[ir.Node] = [quote]
            for part in parts:
                constraints = StringConstraints(matched=(part.pattern,), max_length=part.max_length)
                dfa = PATTERNS.dfa(constraints, self.budget)
                node = self._terminal(dfas.without_empty_word(dfa), StringPart.BODY)
                nodes.append(ir.optional(node) if dfa.accepts_empty_word else node)
            variants.append(ir.Sequence((*nodes, quote)))
        return ir.choice(*variants)

    def string_of(self, dfa: Dfa) -> ir.Node:
        """The strings of an automaton over any spellings."""
        return self._terminal(dfa)

    def _capped(self, bounds: StringBounds) -> StringBounds:
        """Bounds with ``max_string`` where the schema sets none."""
        dfa = None
        if bounds.patterns or bounds.formats:
            dfa = bounded_string(bounds, self.budget.limits)
        most = self.capped_length(bounds.min_length, bounds.max_length, dfa)
        capped = dataclasses.replace(bounds, max_length=most)
        if dfa is None or most is None or _is_long_uri(capped):
            return capped
        return dataclasses.replace(capped, max_length=self.countable_length(most, dfa))

    def capped_length(self, low: int, high: int | None, dfa: Dfa | None = None) -> int | None:
        """The greatest length of a string, ``max_string`` if the schema sets no bound.

        Args:
            low, high: lengths that the schema asks for.
            dfa: the strings, if more than their length is asked for; finitely many are left as
                they are.

        Raises:
            GrammarLimitError: all strings are longer than ``max_string``.
        """
        most = self.options.max_string
        if most is None or high is not None or (dfa is not None and dfa.is_finite):
            return high
        most = max(most, low)
        if dfa is not None and dfa.shortest_length - 2 > most:
            bound = PATTERNS.dfa(StringConstraints(max_length=most, is_quoted=True), self.budget)
            if dfas.intersection(dfa, bound, self.budget).is_empty:
                raise GrammarLimitError(
                    f"all strings that fit are longer than max_string = {most}; raise it, or bound "
                    "their length in the schema",
                    limit="max_string",
                )
        return most

    def countable_length(self, most: int, dfa: Dfa) -> int:
        """A bound of ours on the strings of an automaton, lowered to what can be counted in it."""
        return min(most, max(dfa.shortest_length - 2, COUNTED_STATES // dfa.num_states))

    def _terminal(self, language: Language, part: StringPart = StringPart.WHOLE) -> ir.Node:
        """Strings, or parts of them, with the escapes that the options allow."""
        if self.is_canonical:
            return ir.Terminal(canonical_escapes(language.dfa, part, self.budget))
        return ir.Terminal(language)

    def _string_of_length(self, low: int, high: int | None) -> ir.Node:
        """``"`` low to high characters ``"``; whole blocks of long strings are counted."""
        bound = low if high is None else high
        if bound <= BLOCK_LENGTH:
            return self._terminal(string_of_length(low, high))
        full, opening = self._terminal(block(), StringPart.BODY), literal('"')
        skipped, rest = divmod(low, BLOCK_LENGTH)
        start = ir.sequence(opening, ir.Repeat(full, skipped, skipped))
        if high is None:
            return ir.sequence(start, self._block_end(rest, None))
        blocks = high // BLOCK_LENGTH - skipped
        if blocks == 0:
            return ir.sequence(start, self._block_end(rest, high % BLOCK_LENGTH))
        last = BLOCK_LENGTH - 1
        return ir.sequence(
            start,
            ir.choice(
                self._block_end(rest, last),
                ir.sequence(
                    full, ir.Repeat(full, 0, blocks - 1), self._block_end(0, high % BLOCK_LENGTH)
                ),
                ir.NOTHING
                if blocks < 2
                else ir.sequence(full, ir.Repeat(full, 0, blocks - 2), self._block_end(0, last)),
            ),
        )

    def _block_end(self, low: int, high: int | None) -> ir.Node:
        return self._terminal(block_end(low, high), StringPart.END)


@functools.lru_cache(maxsize=4096)
def _key(name: str) -> ir.Node:
    return ir.Terminal(WordList(spellings(name)))


def _is_long_uri(bounds: StringBounds) -> bool:
    """Whether a string is a URI whose length cannot be counted as a whole."""
    if bounds.patterns or len(bounds.formats) != 1 or bounds.formats[0] not in PARTED_FORMATS:
        return False
    shortest = FORMAT_LENGTHS[bounds.formats[0]][0]
    most = bounds.max_length
    return most is not None and most > WHOLE_LENGTH and bounds.min_length <= shortest

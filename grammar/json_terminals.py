"""The terminals of JSON texts."""

from __future__ import annotations

import functools
import json
from collections.abc import Collection, Iterable

from syntagma.grammar import ir
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_bytes
from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.json_formats import COMMON_FORMATS, FORMATS
from syntagma.grammar.json_numbers import integer_tree, number_tree
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.json_punctuation import Punctuation, literal
from syntagma.grammar.json_string_automata import (
    BLOCK_LENGTH,
    block,
    block_end,
    format_string,
    spellings,
    string_of_length,
)
from syntagma.grammar.json_strings import JsonStrings
from syntagma.grammar.limits import Budget
from syntagma.grammar.terminals import WordList


class JsonTerminals(JsonStrings):
    """Builds the terminals of one compilation under one set of options.

    Terminals that do not depend on the schema are remembered for the process; those of patterns and
    formats for the compilation.

    Attributes:
        closing: closing brackets, with the white space that may stand before them.
        comma, colon: with the white space around them.
        enclosed: what stands between two brackets; see `Punctuation`.
    """

    def __init__(self, options: JsonOptions, budget: Budget) -> None:
        super().__init__(options, budget)
        punctuation = Punctuation(options)
        self.closing = punctuation.closing
        self.comma = punctuation.comma
        self.colon = punctuation.colon
        self.enclosed = punctuation.enclosed

    def words(self, values: Iterable[str | int | float | bool | None]) -> ir.Node:
        """Any of some scalar values, spelled as `json.dumps` does, with or without ``ensure_ascii``
        where strings may have any escape."""
        spelled: set[bytes] = set()
        for value in values:
            if isinstance(value, str):
                spelled.update(spellings(value, is_canonical=self.is_canonical))
            elif isinstance(value, float):
                spelled.add(repr(value).encode())
                if value.is_integer() and abs(value) < 1e15:
                    spelled.add(str(int(value)).encode())
            elif value is None or isinstance(value, bool):
                spelled.add(self.options.literal(value).encode())
            else:
                spelled.add(json.dumps(value).encode())
        return ir.Terminal(WordList(spelled)) if spelled else ir.NOTHING

    def literals(self, types: Collection[str]) -> list[ir.Node]:
        """``null`` and the booleans, where they are among the types."""
        values: list[bool | None] = [None] if "null" in types else []
        values += [True, False] if "boolean" in types else []
        return [literal(*map(self.options.literal, values))] if values else []

    def number(self) -> ir.Node:
        """Any number."""
        return ir.Terminal(_number(self.options))

    def integer(self, low: int | None, high: int | None) -> ir.Node:
        """The integers from ``low`` to ``high``; raises as `integer_range`."""
        low, high = self.integer_range(low, high)
        if low is not None and high is not None and low > high:
            return ir.NOTHING
        return ir.Terminal(_integer(low, high, self.options))

    def integer_range(self, low: int | None, high: int | None) -> tuple[int | None, int | None]:
        """Bounds without those that exclude nothing the options allow.

        Raises:
            GrammarLimitError: a bound that excludes something has more than ``max_number_digits``.
        """
        largest = 10**self.budget.limits.max_number_digits
        if (low is not None and low > largest) or (high is not None and high < -largest):
            raise GrammarLimitError(
                f"a bound has more than max_number_digits = "
                f"{self.budget.limits.max_number_digits} digits",
                limit="max_number_digits",
            )
        return (
            None if low is not None and low < -largest else low,
            None if high is not None and high > largest else high,
        )


def prebuild() -> None:
    """Build what nearly every schema needs, so that no compilation pays for it (once a process).

    The other formats are here for what they cost: those of URIs take 10 to 20 ms each.
    """
    common_terminals()
    for name in FORMATS:
        format_string((name,))
    block()
    block_end(0, BLOCK_LENGTH - 1)


def common_terminals() -> list[Dfa]:
    """What nearly every schema needs, most wanted first."""
    options = JsonOptions()
    return [
        string_of_length(0, None),
        *(node.language.dfa for node in Punctuation(options).terminals),
        _integer(None, None, options),
        _number(options),
        *(format_string((name,)) for name in COMMON_FORMATS),
    ]


@functools.cache
def _number(options: JsonOptions) -> Dfa:
    return dfa_from_bytes(number_tree(options), Budget.unlimited())


@functools.lru_cache(maxsize=512)
def _integer(low: int | None, high: int | None, options: JsonOptions) -> Dfa:
    return dfa_from_bytes(integer_tree(low, high, options), Budget.unlimited())

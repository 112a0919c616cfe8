"""Automata of JSON strings, built once for the process.

Where no limits are passed, their size does not depend on a request.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from json.encoder import encode_basestring, encode_basestring_ascii

from syntagma.grammar import dfa as dfas
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_all, dfa_from_code_points
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.json_formats import FORMAT_LENGTHS, FORMATS
from syntagma.grammar.limits import Budget, CompileLimits
from syntagma.grammar.pattern_cache import PATTERNS, StringConstraints
from syntagma.grammar.terminals import any_string

# Longer strings are counted in blocks by the parser instead of being unrolled in one automaton.
BLOCK_LENGTH = 512

# Few tokens have more characters.
SHORT_LENGTH = 24


@dataclass(frozen=True)
class StringBounds:
    """What a schema asks of a string.

    Attributes:
        min_length, max_length: code points; None: no upper bound.
        patterns: regular expressions that must match somewhere.
        formats: names in `FORMATS`.
    """

    min_length: int = 0
    max_length: int | None = None
    patterns: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()

    @property
    def asks_length(self) -> bool:
        """Whether the lengths exclude anything that the formats do not."""
        shortest = max((FORMAT_LENGTHS[name][0] for name in self.formats), default=0)
        longest = min((FORMAT_LENGTHS[name][1] for name in self.formats), default=None)
        if self.min_length > shortest:
            return True
        return self.max_length is not None and (longest is None or self.max_length < longest)


def spellings(text: str, *, is_canonical: bool = False) -> tuple[bytes, ...]:
    """A string as `json.dumps` writes it, with or, unless it is to be canonical, without ``ensure_ascii``."""
    raw = encode_basestring(text).encode()
    if is_canonical or text.isascii():
        return (raw,)
    return raw, encode_basestring_ascii(text).encode()


@functools.lru_cache(maxsize=256)
def string_of_length(low: int, high: int | None) -> Dfa:
    """The strings of some length in code points."""
    if low == 0 and high is None:
        return any_string()
    tree = ast.Repeat(ast.ANY_CHAR, low, high)
    return dfa_from_all([tree], Encoder.JSON, Budget.unlimited(), is_quoted=True)


@functools.cache
def short_string() -> Dfa:
    """Any string of up to `SHORT_LENGTH` characters."""
    return string_of_length(0, SHORT_LENGTH)


@functools.lru_cache(maxsize=64)
def format_string(formats: tuple[str, ...]) -> Dfa:
    """The strings that fit some formats."""
    return bounded_string(StringBounds(formats=formats), CompileLimits.unlimited())


def bounded_string(bounds: StringBounds, limits: CompileLimits) -> Dfa:
    """The strings that fit all patterns, formats and lengths."""
    constraints = StringConstraints(
        searched=bounds.patterns,
        matched=tuple(p for name in bounds.formats for p in FORMATS[name]),
        min_length=bounds.min_length if bounds.asks_length else 0,
        max_length=bounds.max_length if bounds.asks_length else None,
        is_quoted=True,
    )
    return PATTERNS.dfa(constraints, Budget(limits))


@functools.cache
def block() -> Dfa:
    """Part of a string, `BLOCK_LENGTH` characters."""
    tree = ast.Repeat(ast.ANY_CHAR, BLOCK_LENGTH, BLOCK_LENGTH)
    return dfa_from_code_points(tree, Encoder.JSON, Budget.unlimited())


@functools.lru_cache(maxsize=256)
def block_end(low: int, high: int | None) -> Dfa:
    """What is left of a string behind whole blocks."""
    return dfas.behind_first_byte(string_of_length(low, high))

"""The languages that terminals can have, besides finished automata.

Most terminals of a schema are literals and "any other key", and most of those are never reached. They
stay descriptions until a parser needs them; the lexer pool then enters them as sparse states. Their
`dfa` is the same language as an automaton, for whoever needs one.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable
from typing import Protocol

from syntagma.grammar import dfa as dfas
from syntagma.grammar import regex_ast as ast
from syntagma.grammar.code_points import ANY
from syntagma.grammar.dfa import Dfa
from syntagma.grammar.dfa_builder import dfa_from_code_points, strings_other_than
from syntagma.grammar.encoders import Encoder
from syntagma.grammar.limits import Budget


class Language(Protocol):
    """A non-empty language over bytes, without the empty word where it is a terminal's."""

    @property
    def key(self) -> bytes:
        """Equal keys mean equal languages (not the other way round)."""

    @property
    def dfa(self) -> Dfa:
        """The minimal automaton."""

    @property
    def shortest_length(self) -> int:
        """Bytes of a shortest word, -1 if there is none."""


class WordList:
    """A finite language given by its words, distinct and in byte order."""

    def __init__(self, words: Iterable[bytes]) -> None:
        self.words = tuple(sorted(set(words)))

    @functools.cached_property
    def key(self) -> bytes:
        digest = hashlib.blake2b(b"words", digest_size=16)
        for word in self.words:
            digest.update(len(word).to_bytes(4, "little"))
            digest.update(word)
        return digest.digest()

    @functools.cached_property
    def dfa(self) -> Dfa:
        if len(self.words) == 1 and self.words[0]:
            return dfas.literal(self.words[0])
        return dfas.from_words(self.words)

    @functools.cached_property
    def shortest_length(self) -> int:
        return min(map(len, self.words), default=-1)


class OtherStrings:
    """The JSON strings, quotes included, that do not spell any of the given names."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(set(names)))

    @functools.cached_property
    def key(self) -> bytes:
        digest = hashlib.blake2b(b"other strings", digest_size=16)
        for name in self.names:
            raw = name.encode("utf-8", "surrogatepass")
            digest.update(len(raw).to_bytes(4, "little"))
            digest.update(raw)
        return digest.digest()

    @functools.cached_property
    def dfa(self) -> Dfa:
        return strings_other_than(self.names, Encoder.JSON, Budget.unlimited(), is_quoted=True)

    @property
    def shortest_length(self) -> int:
        """Two quotes, or one character between them (not all of those can be names)."""
        return 3 if "" in self.names else 2


@functools.cache
def any_body() -> Dfa:
    """What may stand between the quotes of a JSON string."""
    tree = ast.Repeat(ast.CharSet(ANY), 0, None)
    return dfa_from_code_points(tree, Encoder.JSON, Budget.unlimited())


@functools.cache
def any_string() -> Dfa:
    """Any JSON string, quotes included."""
    return dfas.surrounded(any_body(), ord('"'))

"""The languages that terminals can have, besides finished automata.

Most terminals of a schema are literals and "any other key", and most of those are never reached. They
stay descriptions until a parser needs them; the lexer pool then enters them as sparse states. Their
`dfa` is the same language as an automaton, for whoever needs one.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterable, Sequence
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
        self.shortest_length = min(map(len, self.words), default=-1)
        self.key = _key_of(b"words", self.words)

    @functools.cached_property
    def dfa(self) -> Dfa:
        if len(self.words) == 1 and self.words[0]:
            return dfas.literal(self.words[0])
        return dfas.from_words(self.words)


class OtherStrings:
    """The JSON strings, quotes included, that do not spell any of the given names."""

    def __init__(self, names: Iterable[str]) -> None:
        self.names = tuple(sorted(set(names)))
        self.key = _key_of(
            b"other strings", [name.encode("utf-8", "surrogatepass") for name in self.names]
        )

    @functools.cached_property
    def dfa(self) -> Dfa:
        return strings_other_than(self.names, Encoder.JSON, Budget.unlimited(), is_quoted=True)

    @property
    def shortest_length(self) -> int:
        """Two quotes, or one character between them (not all of those can be names)."""
        return 3 if "" in self.names else 2


def _key_of(kind: bytes, words: Sequence[bytes]) -> bytes:
    parts = [kind]
    for word in words:
        parts += (len(word).to_bytes(4, "little"), word)
    return hashlib.blake2b(b"".join(parts), digest_size=16).digest()


@functools.cache
def any_body() -> Dfa:
    """What may stand between the quotes of a JSON string."""
    tree = ast.Repeat(ast.CharSet(ANY), 0, None)
    return dfa_from_code_points(tree, Encoder.JSON, Budget.unlimited())


@functools.cache
def any_string() -> Dfa:
    """Any JSON string, quotes included."""
    return dfas.surrounded(any_body(), ord('"'))

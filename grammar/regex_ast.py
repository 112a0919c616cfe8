"""Syntax trees of regular languages, over code points or over bytes.

The tree says nothing about its alphabet: `dfa_builder` reads a `CharSet` as code points (and spells
them as UTF-8 or inside a JSON string) or as bytes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syntagma.grammar.code_points import ANY, CodePointSet
from syntagma.grammar.dfa import Dfa


@dataclass(frozen=True)
class CharSet:
    """One symbol out of a set; the empty set matches nothing."""

    points: CodePointSet


@dataclass(frozen=True)
class Concat:
    """The parts one after another; no parts: the empty word."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Union:
    """Any of the parts; no parts: nothing."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """The part ``min_count`` to ``max_count`` times (None: without bound)."""

    part: Node
    min_count: int
    max_count: int | None


@dataclass(frozen=True)
class Begin:
    """The empty word, at the beginning of the text only."""


@dataclass(frozen=True)
class End:
    """The empty word, at the end of the text only."""


@dataclass(frozen=True)
class Automaton:
    """The language of a finished DFA (byte trees only)."""

    dfa: Dfa


Node = CharSet | Concat | Union | Repeat | Begin | End | Automaton

EMPTY = Concat(())
NOTHING = Union(())
ANY_CHAR = CharSet(ANY)
ANYTHING = Repeat(ANY_CHAR, 0, None)


def literal(symbols: str | bytes) -> Concat:
    """The one word made of these characters or bytes."""
    points = symbols if isinstance(symbols, bytes) else [ord(c) for c in symbols]
    return Concat(tuple(CharSet(((point, point),)) for point in points))


def concat(*parts: Node) -> Node:
    """Concatenation; a single part stays itself."""
    return parts[0] if len(parts) == 1 else Concat(parts)


def union(parts: Sequence[Node]) -> Node:
    """Alternation; a single part stays itself."""
    return parts[0] if len(parts) == 1 else Union(tuple(parts))


def optional(part: Node) -> Repeat:
    """The part or nothing."""
    return Repeat(part, 0, 1)

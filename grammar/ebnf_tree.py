"""Syntax trees of EBNF grammars, as written: nothing is resolved or simplified."""

from __future__ import annotations

from dataclasses import dataclass

from syntagma.grammar.code_points import CodePointSet


@dataclass(frozen=True)
class Literal:
    """Exactly this text."""

    text: str


@dataclass(frozen=True)
class Characters:
    """One character out of a set."""

    points: CodePointSet


@dataclass(frozen=True)
class Reference:
    """A word of the rule of that name; ``position`` is its offset in the source."""

    name: str
    position: int


@dataclass(frozen=True)
class Sequence:
    """The parts one after another; no parts: the empty word."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Alternatives:
    """Any of the parts."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Repetition:
    """The part ``min_count`` to ``max_count`` times (None: without bound)."""

    part: Node
    min_count: int
    max_count: int | None


@dataclass(frozen=True)
class Exclusion:
    """The words of ``left`` that are not words of ``right``; ``position`` is that of the ``-``."""

    left: Node
    right: Node
    position: int


Node = Literal | Characters | Reference | Sequence | Alternatives | Repetition | Exclusion


@dataclass(frozen=True)
class Rule:
    """``name ::= body``; ``position`` is the offset of the name in the source."""

    name: str
    body: Node
    position: int

"""The intermediate representation: a context-free grammar over terminals, with EBNF operators."""

from __future__ import annotations

from dataclasses import dataclass, field

from syntagma.grammar.dfa import Dfa


@dataclass(frozen=True)
class Terminal:
    """A word of a regular language; the empty word is not among them (say `EMPTY` beside it)."""

    dfa: Dfa


@dataclass(frozen=True)
class Sequence:
    """The parts one after another; no parts: the empty word."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Choice:
    """Any of the parts; no parts: nothing."""

    parts: tuple[Node, ...]


@dataclass(frozen=True)
class Repeat:
    """The part ``min_count`` to ``max_count`` times (None: without bound)."""

    part: Node
    min_count: int
    max_count: int | None


@dataclass(frozen=True)
class Call:
    """A word of another rule."""

    rule: int


Node = Terminal | Sequence | Choice | Repeat | Call

EMPTY = Sequence(())
NOTHING = Choice(())


def sequence(*parts: Node) -> Node:
    """Concatenation; a single part stays itself."""
    return parts[0] if len(parts) == 1 else Sequence(parts)


def choice(*parts: Node) -> Node:
    """Alternation; a single part stays itself."""
    return parts[0] if len(parts) == 1 else Choice(parts)


def optional(part: Node) -> Node:
    """The part or the empty word."""
    return Choice((part, EMPTY))


def regular(dfa: Dfa, *, non_empty: Dfa) -> Node:
    """A regular language as a node; ``non_empty`` is the language less the empty word."""
    if not dfa.accepts_empty_word:
        return Terminal(dfa)
    return EMPTY if non_empty.is_empty else optional(Terminal(non_empty))


@dataclass
class Grammar:
    """Rules by number; rule 0 is the start. Rules may be declared first and defined later."""

    rules: list[Node] = field(default_factory=list)
    names: list[str] = field(default_factory=list)

    def declare(self, name: str) -> int:
        """Reserve a rule (it has no words until it is defined)."""
        self.rules.append(NOTHING)
        self.names.append(name)
        return len(self.rules) - 1

    def define(self, rule: int, body: Node) -> None:
        """Give a declared rule its body."""
        self.rules[rule] = body

    def add(self, name: str, body: Node) -> int:
        """Declare and define at once."""
        rule = self.declare(name)
        self.define(rule, body)
        return rule

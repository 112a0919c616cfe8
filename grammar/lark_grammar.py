"""What the `lark` package makes of a grammar: terminals with patterns, rules without operators."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

END = "$END"


@dataclass(frozen=True, slots=True)
class LarkTerminal:
    """A terminal.

    Attributes:
        name: as Lark calls it; made up for literals in rules.
        pattern: a regular expression in the syntax of Python's `re`, flags included.
        text: the literal, or None where the terminal is a regular expression.
        flags: of the literal or regular expression as a whole.
        priority: higher ones are tried first.
        max_width: characters of a longest match, as Python estimates it.
        size: characters that Lark sorts by.
        position: where in the source something like it stands.
    """

    name: str
    pattern: str
    text: str | None
    flags: frozenset[str]
    priority: int
    max_width: int
    size: int
    position: int

    @property
    def order(self) -> tuple[int, int, int, str]:
        """Lark tries terminals in ascending order of this."""
        return -self.priority, -self.max_width, -self.size, self.name


@dataclass(frozen=True, slots=True)
class Production:
    """One alternative of a rule; symbols are numbers (see `LarkGrammar`)."""

    origin: int
    symbols: tuple[int, ...]
    priority: int


@dataclass(frozen=True, slots=True)
class Lines:
    """The terminals of an indenter, by number.

    Attributes:
        newline: looked for everywhere, and skipped between brackets.
        indent: has no pattern; None: no rule asks for it.
        dedent: likewise.
        brackets: 1 for those that open, -1 for those that close.
        tab_length: how many spaces a tab is worth.
    """

    newline: int
    indent: int | None
    dedent: int | None
    brackets: Mapping[int, int]
    tab_length: int

    def blocks(self) -> dict[int, int]:
        """1 for the beginning of a block, -1 for its end."""
        found = {self.indent: 1, self.dedent: -1}
        return {symbol: step for symbol, step in found.items() if symbol is not None}


@dataclass(frozen=True)
class LarkGrammar:
    """A grammar in Backus-Naur form.

    A symbol is a number: terminals come first, by their place in ``terminals``, then rules.

    Attributes:
        terminals: those that rules use or that are ignored.
        ignored: numbers of the terminals that may stand anywhere between others.
        rule_names: of the symbols ``len(terminals)`` and up.
        productions: all alternatives of all rules.
        start: symbol of the rule to start from.
        lines: what indentation is told by, None if by nothing.
    """

    terminals: tuple[LarkTerminal, ...]
    ignored: frozenset[int]
    rule_names: tuple[str, ...]
    productions: tuple[Production, ...]
    start: int
    lines: Lines | None = None

    def is_terminal(self, symbol: int) -> bool:
        """Whether a symbol is a terminal."""
        return symbol < len(self.terminals)

    @property
    def num_symbols(self) -> int:
        """Terminals and rules together."""
        return len(self.terminals) + len(self.rule_names)

    def looked_for(self, accepts: frozenset[int]) -> frozenset[int]:
        """What a lexer looks for where a parser accepts some terminals."""
        if self.lines is None:
            return accepts
        return accepts.difference(self.lines.blocks()) | {self.lines.newline}

    def by_origin(self) -> dict[int, list[int]]:
        """Numbers of the productions of each rule."""
        found: dict[int, list[int]] = {}
        for number, production in enumerate(self.productions):
            found.setdefault(production.origin, []).append(number)
        return found

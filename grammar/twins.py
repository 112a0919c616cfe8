"""Matcher states with the same row: they differ only below what the row depends on.

How deep a row looks into the stacks is known when it has been computed (see `parser`). States with the
same positions on top look equally deep, so where one has been, another finds its row under the upper
part of its stacks. Most states never meet a second one with the same top, so nothing but the tops is
worked out before that.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from syntagma.grammar.matcher_state import MatcherState
    from syntagma.grammar.parser import Parser


class Family:
    """States of one grammar with the same positions on top. Not locked: the owner locks."""

    __slots__ = ("_by_stacks", "_depth", "_parser", "_pending")

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        # How deep the rows of such states look, as far as it is known.
        self._depth = 0
        # States that are not among the others yet, and states by the upper parts of their stacks.
        self._pending: list[MatcherState] = []
        self._by_stacks: dict[Hashable, MatcherState] = {}

    def __len__(self) -> int:
        return len(self._pending) + len(self._by_stacks)

    def find(self, state: MatcherState) -> MatcherState | None:
        """A state entered before that has the same row, if it is still known."""
        if not self._pending and not self._by_stacks:
            return None
        for other in self._pending:
            self._by_stacks[self._stacks(other)] = other
        self._pending.clear()
        return self._by_stacks.get(self._stacks(state))

    def enter(self, state: MatcherState, lowest: int) -> None:
        """Note a state whose row has been computed.

        Args:
            state: the state.
            lowest: the height of the lowest stack that was looked at for its row.
        """
        height = max(self._parser.height(parser) for parser, _ in state.configs)
        depth = height + 1 - lowest
        if depth > self._depth:
            self._depth = depth
            self._by_stacks.clear()
        self._pending.append(state)

    def _stacks(self, state: MatcherState) -> Hashable:
        depth, truncated = self._depth, self._parser.truncated
        return tuple(truncated(parser, depth) for parser, _ in state.configs) if depth else None


class Twins:
    """The families of one grammar. Not locked: the owner locks."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._families: dict[Hashable, Family] = {}

    def __len__(self) -> int:
        return sum(map(len, self._families.values()))

    def family(self, configs: tuple[tuple[int, int], ...]) -> Family | None:
        """The family of a set of configs; None where stacks are empty and nothing can be shared."""
        parser = self._parser
        if len(configs) == 1:
            ((state, lexer),) = configs
            if parser.height(state) == 0:
                return None
            key: Hashable = (lexer, parser.tops(state))
        else:
            if max((parser.height(state) for state, _ in configs), default=0) == 0:
                return None
            key = tuple((lexer, parser.tops(state)) for state, lexer in configs)
        family = self._families.get(key)
        if family is None:
            family = self._families[key] = Family(parser)
        return family

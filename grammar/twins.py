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
    from syntagma.grammar.parser import Parser
    from syntagma.grammar.recognizer import MatcherState


class _Family:
    """States with the same tops.

    Attributes:
        depth: how deep the rows of such states look, as far as it is known.
        pending: states that are not in ``by_stacks`` yet.
        by_stacks: states by the upper parts of their stacks, ``depth`` deep.
    """

    __slots__ = ("by_stacks", "depth", "pending")

    def __init__(self) -> None:
        self.depth = 0
        self.pending: list[MatcherState] = []
        self.by_stacks: dict[Hashable, MatcherState] = {}


class Twins:
    """States of one grammar by what their rows depend on. Not locked: the owner locks."""

    def __init__(self, parser: Parser) -> None:
        self._parser = parser
        self._families: dict[Hashable, _Family] = {}

    def __len__(self) -> int:
        return sum(len(f.pending) + len(f.by_stacks) for f in self._families.values())

    def find(self, state: MatcherState) -> MatcherState | None:
        """A state entered before that has the same row, if it still has one."""
        family = self._families.get(self._tops(state))
        if family is None:
            return None
        depth = family.depth
        for other in family.pending:
            family.by_stacks[self._stacks(other, depth)] = other
        family.pending.clear()
        return family.by_stacks.get(self._stacks(state, depth))

    def enter(self, state: MatcherState, lowest: int) -> None:
        """Note a state whose row has been computed.

        Args:
            state: the state.
            lowest: the height of the lowest stack that was looked at for its row.
        """
        height = max((self._parser.height(parser) for parser, _ in state.configs), default=0)
        if height == 0:
            return
        tops = self._tops(state)
        family = self._families.get(tops)
        if family is None:
            family = self._families[tops] = _Family()
        depth = height + 1 - lowest
        if depth > family.depth:
            family.depth = depth
            family.by_stacks.clear()
        family.pending.append(state)

    def _tops(self, state: MatcherState) -> Hashable:
        tops = self._parser.tops
        return tuple((lexer, tops(parser)) for parser, lexer in state.configs)

    def _stacks(self, state: MatcherState, depth: int) -> Hashable:
        truncated = self._parser.truncated
        return tuple(truncated(parser, depth) for parser, _ in state.configs) if depth else None

"""Rules by how they call each other.

Rules that can reach each other are one group. If they do so only at the very end of their bodies
(right-linear), or only at the very beginning (left-linear), they need no stack (Chomsky 1959, "On
certain formal properties of grammars").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from syntagma.grammar import ir
from syntagma.grammar.components import strong_components


class RuleGroups:
    """The groups of a grammar's rules, each after those that it calls.

    Attributes:
        bodies: the rules.
        group_of: the group of each rule.
        members: the rules of each group.
        is_recursive, is_right_linear, is_left_linear: of each group.
    """

    def __init__(self, bodies: Sequence[ir.Node]) -> None:
        self.bodies = bodies
        successors = [sorted(set(calls(body))) for body in bodies]
        self.members = strong_components(successors)
        self.group_of = [0] * len(bodies)
        self.is_recursive: list[bool] = []
        self.is_right_linear: list[bool] = []
        self.is_left_linear: list[bool] = []
        for group, members in enumerate(self.members):
            for rule in members:
                self.group_of[rule] = group
            first = members[0]
            self.is_recursive.append(len(members) > 1 or first in successors[first])
            positions = [self._own_calls(rule) for rule in members]
            self.is_right_linear.append(all(own.are_last for own in positions))
            self.is_left_linear.append(all(own.are_first for own in positions))

    def may_recurse(self, rule: int) -> bool:
        """Whether a rule can call itself, directly or not."""
        return self.is_recursive[self.group_of[rule]]

    def needs_no_stack(self, group: int) -> bool:
        """Whether the rules of a group call each other at one end only, if at all."""
        return self.is_right_linear[group] or self.is_left_linear[group]

    def _own_calls(self, rule: int) -> _CallPositions:
        """Where a body calls the rules of its own group."""
        are_first = are_last = True
        waiting = [(self.bodies[rule], True, True)]
        while waiting:
            node, is_first, is_last = waiting.pop()
            match node:
                case ir.Call(callee):
                    if self.group_of[callee] == self.group_of[rule]:
                        are_first &= is_first
                        are_last &= is_last
                case ir.Sequence(parts):
                    end = len(parts) - 1
                    waiting += [
                        (part, is_first and index == 0, is_last and index == end)
                        for index, part in enumerate(parts)
                    ]
                case ir.Choice(parts):
                    waiting += [(part, is_first, is_last) for part in parts]
                case ir.Repeat(part, _, max_count):
                    is_once = max_count == 1
                    waiting.append((part, is_first and is_once, is_last and is_once))
                case ir.Terminal():
                    pass
        return _CallPositions(are_first, are_last)


@dataclass(frozen=True)
class _CallPositions:
    """Whether certain calls of a body all stand at its beginning, or all at its end."""

    are_first: bool
    are_last: bool


def calls(body: ir.Node) -> list[int]:
    """The rule of every call in a body."""
    found: list[int] = []
    waiting = [body]
    while waiting:
        match waiting.pop():
            case ir.Call(rule):
                found.append(rule)
            case ir.Sequence(parts) | ir.Choice(parts):
                waiting += parts
            case ir.Repeat(part, _, _):
                waiting.append(part)
            case ir.Terminal():
                pass
    return found

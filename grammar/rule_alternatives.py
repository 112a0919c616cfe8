"""The alternatives of a rule as one small automaton over symbols.

Lark multiplies optional parts out, so the alternatives of a rule with ten of them are a thousand
sequences of symbols. They begin alike and end alike: as the smallest acyclic automaton they are about
as large as what was written.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from syntagma.grammar.lark_grammar import LarkGrammar

NO_END: Final = -2
ANY_END: Final = -1


@dataclass(frozen=True, eq=False)
class Node:
    """What may follow a beginning of some alternatives.

    Attributes:
        edges: what may come next, by symbol.
        end: whether an alternative may end here: NO_END, ANY_END, or its number where that matters.
        height: symbols of the longest way to an end.
        depends: whether a symbol or end that matters is ahead.
    """

    edges: dict[int, Node]
    end: int
    height: int
    depends: bool


class Alternatives:
    """The automata of all rules; equal nodes are one object.

    Args:
        grammar: the rules.
        depends: symbols that are not read alike everywhere.
        ends: alternatives whose ends matter.
    """

    def __init__(self, grammar: LarkGrammar, depends: frozenset[int], ends: frozenset[int]) -> None:
        self._depends = depends
        self._nodes: dict[tuple[int, tuple[tuple[int, int], ...]], Node] = {}
        by_origin: dict[int, list[tuple[tuple[int, ...], int]]] = {}
        for number, production in enumerate(grammar.productions):
            end = number if number in ends else ANY_END
            by_origin.setdefault(production.origin, []).append((production.symbols, end))
        self.of_rule = {origin: self._automaton(words) for origin, words in by_origin.items()}

    def _automaton(self, words: list[tuple[tuple[int, ...], int]]) -> Node:
        """The smallest automaton of some sequences, each with its end."""
        # A trie; what is below a node is complete, and made one with its equals, from the last on.
        tries: list[tuple[dict[int, int], int]] = [({}, NO_END)]
        for symbols, end in words:
            at = 0
            for symbol in symbols:
                if symbol not in tries[at][0]:
                    tries[at][0][symbol] = len(tries)
                    tries.append(({}, NO_END))
                at = tries[at][0][symbol]
            tries[at] = tries[at][0], end
        nodes: dict[int, Node] = {}
        for at in range(len(tries) - 1, -1, -1):
            below, end = tries[at]
            nodes[at] = self._node({symbol: nodes[child] for symbol, child in below.items()}, end)
        return nodes[0]

    def _node(self, edges: dict[int, Node], end: int) -> Node:
        key = end, tuple(sorted((symbol, id(node)) for symbol, node in edges.items()))
        found = self._nodes.get(key)
        if found is None:
            depends = end >= 0 or any(
                symbol in self._depends or node.depends for symbol, node in edges.items()
            )
            height = max((1 + node.height for node in edges.values()), default=0)
            found = self._nodes[key] = Node(edges, end, height, depends)
        return found

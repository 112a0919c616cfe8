"""Formulas about one JSON value: atoms, conjunction and negation, each formula stored once.

A formula is a number: `TRUE` is 0, the negation of ``f`` is ``~f``, so that pushing a negation inwards is
reading a number. Equal formulas have equal numbers, which makes contradictions like ``f and not f``
visible without looking inside. Disjunction is a negated conjunction of negations.

An *atom* speaks about values of one kind and holds for all others, as the keywords of JSON Schema do:
``minimum: 3`` is the atom "a number is at least 3". A *place* stands for a schema whose own formula is made
when it is needed; places are what recursion goes through.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass

from syntagma.grammar.limits import Budget

Formula = int
TRUE: Formula = 0
FALSE: Formula = ~TRUE

KINDS = ("null", "boolean", "number", "string", "array", "object")

# The atom that no value of its kind satisfies.
NEVER = "never"


@dataclass(frozen=True)
class Atom:
    """An assertion about the values of one kind.

    Attributes:
        kind: one of `KINDS`.
        name: what is asserted; see `schema_formulas`.
        payload: about what: numbers, names, formulas of members.
    """

    kind: str
    name: str
    payload: Hashable = None


@dataclass(frozen=True)
class Conjunction:
    """All of some formulas, in the order in which they were written."""

    parts: tuple[Formula, ...]


@dataclass(frozen=True)
class Place:
    """A schema and the dynamic scope in which it is read, both by number."""

    schema: int
    scope: int


Node = Atom | Conjunction | Place


class Logic:
    """The formulas of one compilation.

    Attributes:
        origins: for atoms, the keyword and the pointer that first asked for them.
    """

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self.origins: dict[Formula, tuple[str, str]] = {}
        self._nodes: list[Node] = [Conjunction(())]
        self._numbers: dict[Node, Formula] = {Conjunction(()): TRUE}

    def node(self, formula: Formula) -> Node:
        """What a formula, or the one it negates, is made of."""
        return self._nodes[formula if formula >= 0 else ~formula]

    def intern(self, node: Node) -> Formula:
        """The number of a node."""
        number = self._numbers.get(node)
        if number is None:
            number = self._numbers[node] = len(self._nodes)
            self._nodes.append(node)
            self.budget.check("max_positions", number, "formulas of the schema")
            if number % 256 == 0:
                self.budget.check_time()
        return number

    def atom(self, kind: str, name: str, payload: Hashable = None) -> Formula:
        """An assertion about one kind of values."""
        return self.intern(Atom(kind, name, payload))

    def never(self, kind: str) -> Formula:
        """No value of a kind."""
        return self.atom(kind, NEVER)

    def all_of(self, formulas: Iterable[Formula]) -> Formula:
        """All of some formulas hold."""
        found: dict[Formula, None] = {}
        for formula in formulas:
            if formula == FALSE or ~formula in found:
                return FALSE
            node = self.node(formula)
            if formula >= 0 and isinstance(node, Conjunction):
                if any(~part in found for part in node.parts):
                    return FALSE
                found.update(dict.fromkeys(node.parts))
            else:
                found[formula] = None
        if len(found) == 1:
            return next(iter(found))
        return self.intern(Conjunction(tuple(found)))

    def any_of(self, formulas: Iterable[Formula]) -> Formula:
        """At least one of some formulas holds."""
        return ~self.all_of(~formula for formula in formulas)

    def unless(self, kind: str, formula: Formula) -> Formula:
        """That a formula does not hold if the value is of a kind."""
        return self.any_of([self.never(kind), ~formula])

    def one_of(self, formulas: list[Formula]) -> Formula:
        """Exactly one of some formulas holds."""
        return self.any_of(
            self.all_of([formula, *(~f for j, f in enumerate(formulas) if j != i)])
            for i, formula in enumerate(formulas)
        )

    def if_else(self, condition: Formula, then: Formula, otherwise: Formula) -> Formula:
        """The second formula where the first one holds, else the third."""
        return self.any_of([self.all_of([condition, then]), self.all_of([~condition, otherwise])])

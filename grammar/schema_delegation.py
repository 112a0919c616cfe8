"""Goals that only the general way can read, as part of a grammar of the fast way.

Such a goal becomes a formula, and what is written for it is written at once, for that may fail and need not
have a word. Where the formula of a member or an item comes down to schemas, it is a goal of its own, left to
the fast way: a ``oneOf`` costs its own rules, but not those of what stands below it.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Protocol

from syntagma.grammar import ir
from syntagma.grammar.from_schema_formulas import FormulaLowering
from syntagma.grammar.ir_fold import fold, rebuilt
from syntagma.grammar.json_terminals import JsonTerminals
from syntagma.grammar.marks import has_marks
from syntagma.grammar.schema_conjunction import Goal, normal_goal
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_logic import TRUE, Conjunction, Formula, Place
from syntagma.grammar.schema_plain import NeedsMoreError
from syntagma.grammar.schema_survey import Alternative, Key
from syntagma.grammar.schema_text import JsonSchema
from syntagma.grammar.schema_universe import NO_SCOPE, SchemaUniverse

# Ways to satisfy one rule that are told apart.
MAX_ALTERNATIVES = 64
NOTHING_NEEDED: list[Alternative] = [[]]


class Goals(Protocol):
    """The fast way's rules.

    Attributes:
        table: where rules are declared and defined.
    """

    table: ir.Grammar

    def call(self, goal: Goal) -> ir.Call:
        """A call of a goal's rule."""

    def key(self, rule: int) -> Key:
        """Under what a survey knows a rule: a goal's key, or the number of any other rule."""


class Delegation:
    """The goals of one document that went the general way.

    Attributes:
        bodies: the rules that were written, with what may turn out to have no word; see `alive`.

    Args:
        document: the schema.
        documents: further ones, by URI.
        terminals: where strings and numbers are built.
        goals: the fast way's rules.
        visit: has the survey look at a goal.
    """

    def __init__(
        self,
        document: SchemaDocument,
        documents: Mapping[str, JsonSchema],
        terminals: JsonTerminals,
        goals: Goals,
        visit: Callable[[Goal], object],
    ) -> None:
        self.document = document
        self.documents = documents
        self.terminals = terminals
        self.goals = goals
        self.visit = visit
        self.bodies: dict[int, ir.Node] = {}

    @functools.cached_property
    def universe(self) -> SchemaUniverse:
        """All schemas that can be reached."""
        return SchemaUniverse(self.document, self.documents, self.terminals.budget)

    @functools.cached_property
    def _lowering(self) -> FormulaLowering:
        lowering = FormulaLowering(self.universe, self.terminals, self.goals.table, self._call)
        lowering.emptiness.is_judged_elsewhere = self._is_one_schema
        return lowering

    def close(self) -> None:
        """Let go of the lowering, which refers back to this, so that nothing waits for a collection."""
        self.__dict__.pop("_lowering", None)

    def lower(self, goal: Goal) -> dict[Key, list[Alternative]]:
        """Write a goal's rule and what it needs; by rule, the ways to satisfy it.

        Raises:
            GrammarError: as `formulas_to_grammar`, where that might not.
            NeedsMoreError: what a schema means depends on how it was reached, or what an output may
                have depends on what has come before.
        """
        lowering = self._lowering
        formula = lowering.logic.all_of(lowering.formulas.of(s, NO_SCOPE) for s in goal)
        lowering.bodies[self.goals.call(goal).rule] = functools.partial(lowering.body, formula)
        bodies = lowering.produce_all()
        if self.universe.has_dynamic:
            raise NeedsMoreError("$dynamicRef")
        if has_marks(bodies.values()):
            raise NeedsMoreError("what has come before decides")
        self.bodies |= bodies
        return {
            self.goals.key(rule): alternatives_of(body, self.goals.key)
            for rule, body in bodies.items()
        }

    def _call(self, formula: Formula) -> ir.Node | None:
        """A value that fits a formula, if that comes down to schemas."""
        goal = self._goal(formula)
        if goal is None:
            return None
        self.visit(goal)
        return self.goals.call(goal)

    def _goal(self, formula: Formula) -> Goal | None:
        if formula < TRUE:
            return None
        node = self._lowering.logic.node(formula)
        parts = node.parts if isinstance(node, Conjunction) else (formula,)
        schemas: list[JsonSchema] = []
        for part in parts:
            place = self._lowering.logic.node(part)
            if part < TRUE or not isinstance(place, Place):
                return None
            schema = self.universe.schema(place.schema)
            if not self.document.is_within(schema):
                return None
            schemas.append(schema)
        try:
            return normal_goal(schemas, self.document)
        except NeedsMoreError:
            return None

    def _is_one_schema(self, formula: Formula) -> bool:
        """Whether the survey finds out if a formula has an instance."""
        return formula > TRUE and isinstance(self._lowering.logic.node(formula), Place)


def alternatives_of(body: ir.Node, key_of: Callable[[int], Key]) -> list[Alternative]:
    """The ways to make a word of a node, each with the rules it needs; one that needs none is enough.

    Raises:
        NeedsMoreError: there are too many.
    """

    def combine(node: ir.Node, parts: list[list[Alternative]]) -> list[Alternative]:
        if isinstance(node, ir.Call):
            return [[key_of(node.rule)]]
        if isinstance(node, ir.Terminal) or (isinstance(node, ir.Repeat) and not node.min_count):
            return NOTHING_NEEDED
        if isinstance(node, ir.Sequence):
            ways = _all_of(parts)
        elif isinstance(node, ir.AnyOrder):
            ways = _ways_in_any_order(node, parts)
        else:
            ways = [way for part in parts for way in part]
        return NOTHING_NEEDED if [] in ways else ways

    return fold(body, combine)


def _all_of(parts: Iterable[list[Alternative]]) -> list[Alternative]:
    """The ways to satisfy all of some parts."""
    ways = NOTHING_NEEDED
    for part in parts:
        if part is not NOTHING_NEEDED:
            if min(len(ways), len(part)) > 1 and len(ways) * len(part) > MAX_ALTERNATIVES:
                raise NeedsMoreError("alternatives")
            ways = [one + other for one in ways for other in part]
    return ways


def _ways_in_any_order(node: ir.AnyOrder, parts: list[list[Alternative]]) -> list[Alternative]:
    first, second = node.num_required, node.num_required + len(node.optional)
    missing = node.num_missing
    if node.max_count is not None and first + missing > node.max_count:
        return []
    # What may come again may come as often as it takes.
    others: list[Iterable[list[Alternative]]] = [[part] for part in parts[second:]]
    if missing:
        if missing > 1 and math.comb(second - first, missing) > MAX_ALTERNATIVES:
            raise NeedsMoreError("alternatives")
        others += itertools.combinations(parts[first:second], missing)
    else:
        others = [()]
    return [way for found in others for way in _all_of([*parts[:first], *found])]


def alive(body: ir.Node, dead: set[Key], key_of: Callable[[int], Key]) -> ir.Node:
    """A node without the calls of dead rules, and without what has no word for want of them."""

    def combine(node: ir.Node, parts: list[ir.Node]) -> ir.Node:
        if isinstance(node, ir.Terminal):
            return node
        if isinstance(node, ir.Call):
            return ir.NOTHING if dead and key_of(node.rule) in dead else node
        if isinstance(node, ir.Choice):
            return ir.choice(*(part for part in parts if part != ir.NOTHING))
        if isinstance(node, ir.Sequence):
            return ir.NOTHING if ir.NOTHING in parts else ir.Sequence(tuple(parts))
        if isinstance(node, ir.AnyOrder):
            return _alive_in_any_order(node, parts)
        if parts[0] != ir.NOTHING:
            return ir.Repeat(parts[0], node.min_count, node.max_count)
        return ir.NOTHING if node.min_count else ir.EMPTY

    return fold(body, combine)


def _alive_in_any_order(node: ir.AnyOrder, parts: list[ir.Node]) -> ir.Node:
    if not node.has_word([part != ir.NOTHING for part in parts]):
        return ir.NOTHING
    whole = rebuilt(node, parts)
    assert isinstance(whole, ir.AnyOrder), "it is what it was"
    return replace(
        whole,
        optional=tuple(part for part in whole.optional if part != ir.NOTHING),
        repeated=tuple(part for part in whole.repeated if part != ir.NOTHING),
    )

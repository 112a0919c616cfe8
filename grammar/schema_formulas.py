"""Schemas -> formulas, one schema at a time.

The atoms, by kind (a leading ``~`` negates, payloads in brackets):

    number   range [intervals], multiple [step]
    boolean  in [values]
    string   in [texts], longer [n]: at least n code points, pattern [regex], format [name]
    array    size [n]: at least n items, at [i, f]: item i, if any, fits f, from [i, f]: so do all from
             item i on, count [i, f, n]: at least n items from item i on fit f, unique
    object   size [n]: at least n members, all [k, f]: where the key fits k, the value fits f

and ``never`` for each kind. Keys are described by formulas about strings. That a member is required is
the negation of "all members of that name fit nothing".
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from fractions import Fraction
from typing import Any

from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.number_sets import exact, points
from syntagma.grammar.schema_dialects import ANNOTATIONS
from syntagma.grammar.schema_evaluation import UNEVALUATED, with_unevaluated
from syntagma.grammar.schema_logic import FALSE, KINDS, TRUE, Formula, Logic, Place
from syntagma.grammar.schema_reader import SchemaReader
from syntagma.grammar.schema_text import JsonSchema
from syntagma.grammar.schema_universe import SchemaUniverse


class Formulas:
    """The formulas of all schemas that are met.

    Attributes:
        spellings: for numbers that ``enum`` and ``const`` list, how they were given.
    """

    def __init__(self, universe: SchemaUniverse, logic: Logic, options: JsonOptions) -> None:
        self.universe = universe
        self.logic = logic
        self.options = options
        self.spellings: dict[Fraction, list[int | float]] = {}
        self._expanded: dict[Place, Formula] = {}

    def of(self, schema: JsonSchema, scope: int) -> Formula:
        """A schema read in a scope, not yet looked into."""
        if isinstance(schema, bool):
            return TRUE if schema else FALSE
        if ANNOTATIONS.issuperset(schema):
            return TRUE
        scope = self.universe.entered(scope, schema)
        return self.logic.intern(Place(self.universe.number(schema), scope))

    def expanded(self, place: Place) -> Formula:
        """What a place stands for."""
        formula = self._expanded.get(place)
        if formula is None:
            reader = SchemaReader(self, place)
            if UNEVALUATED.isdisjoint(reader.keywords):
                formula = self.logic.all_of([reader.own(), reader.in_place()])
            else:
                formula = with_unevaluated(reader)
            self._expanded[place] = formula
        return formula

    def names(self, names: Iterable[str]) -> Formula:
        """The keys with certain names."""
        found = frozenset(names)
        return self.logic.atom("string", "in", found) if found else FALSE

    def listed(self, values: list[Any], keyword: str, pointer: str) -> Formula:
        """Any of some values; the nesting of a value is bounded by the document's."""
        logic = self.logic

        def atom(kind: str, name: str, payload: Hashable) -> Formula:
            formula = logic.atom(kind, name, payload)
            logic.origins.setdefault(formula, (keyword, pointer))
            return formula

        numbers = [v for v in values if isinstance(v, int | float) and not isinstance(v, bool)]
        for number in numbers:
            known = self.spellings.setdefault(exact(number), [])
            if number not in known or type(number) not in map(type, known):
                known.append(number)
        by_kind: dict[str, Formula] = {}
        if None in values:
            by_kind["null"] = TRUE
        if booleans := frozenset(v for v in values if isinstance(v, bool)):
            by_kind["boolean"] = atom("boolean", "in", booleans) if len(booleans) == 1 else TRUE
        if numbers:
            by_kind["number"] = atom("number", "range", points(map(exact, numbers)))
        if texts := frozenset(v for v in values if isinstance(v, str)):
            by_kind["string"] = atom("string", "in", texts)
        for kind, type_ in (("array", list), ("object", dict)):
            nested = [v for v in values if isinstance(v, type_)]
            if nested:
                options = [self._constant(value, keyword, pointer) for value in nested]
                by_kind[kind] = logic.any_of([logic.never(kind), *options])
        return logic.all_of(by_kind.get(k, atom(k, "never", None)) for k in KINDS)

    def _constant(self, value: Any, keyword: str, pointer: str) -> Formula:
        """One array or object; says nothing about other kinds of values."""
        logic = self.logic
        if isinstance(value, list):
            items = [self.listed([item], keyword, pointer) for item in value]
            parts = [logic.atom("array", "at", (i, item)) for i, item in enumerate(items)]
            kind = "array"
        else:
            members = {n: self.listed([v], keyword, pointer) for n, v in value.items()}
            names = {name: self.names([name]) for name in members}
            parts = [logic.atom("object", "all", (names[n], f)) for n, f in members.items()]
            parts += [~logic.atom("object", "all", (key, FALSE)) for key in names.values()]
            kind = "object"
        if value:
            parts.append(logic.atom(kind, "size", len(value)))
        parts.append(~logic.atom(kind, "size", len(value) + 1))
        return logic.all_of(parts)

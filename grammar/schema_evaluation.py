"""``unevaluatedProperties`` and ``unevaluatedItems``: what else has looked at a member or an item.

Which members count as evaluated depends on which subschemas hold. So a schema is split into *cases*: for
each choice of the conditional subschemas that hold (``anyOf``, ``oneOf``, ``if``, ``dependentSchemas``) a
formula and what has been evaluated if it holds. Cases that evaluate the same are put together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from syntagma.grammar.errors import GrammarLimitError
from syntagma.grammar.schema_dialects import Dialect
from syntagma.grammar.schema_logic import FALSE, TRUE, Formula, Place
from syntagma.grammar.schema_reader import SchemaReader
from syntagma.grammar.schema_text import JsonSchema

UNEVALUATED = frozenset(["unevaluatedItems", "unevaluatedProperties"])

# Schemas applied to one value within one another.
MAX_NESTING = 64


@dataclass(frozen=True)
class Evaluated:
    """What has been evaluated of an object or array.

    Attributes:
        keys: formula of the members' keys.
        num_items: how many first items; None: all.
        items: formulas; an item that fits one of them is evaluated, too.
    """

    keys: Formula = FALSE
    num_items: int | None = 0
    items: frozenset[Formula] = frozenset()


Cases = dict[Evaluated, Formula]


def with_unevaluated(reader: SchemaReader) -> Formula:
    """The formula of a schema with ``unevaluatedProperties`` or ``unevaluatedItems``."""
    return reader.logic.any_of(Evaluation(reader).cases().values())


class Evaluation:
    """The cases of one schema.

    Args:
        reader: the schema.
        depth: of schemas around it that are applied to the same value.
    """

    def __init__(self, reader: SchemaReader, depth: int = 0) -> None:
        self.reader = reader
        self.logic = reader.logic
        self.depth = depth
        if depth > MAX_NESTING:
            raise GrammarLimitError(
                f"more than {MAX_NESTING} schemas apply to one value, one within the other, below an "
                "unevaluatedProperties or unevaluatedItems",
                limit="max_branches",
                pointer=reader.pointer,
            )

    def cases(self) -> Cases:
        """All cases of the schema."""
        reader, keywords = self.reader, self.reader.keywords
        cases: Cases = {self._own(): reader.own()}
        for keyword in ("$ref", "$dynamicRef", "$recursiveRef"):
            if keyword in keywords:
                cases = self._both(cases, self._below(reader.referred(keyword)))
        for schema in keywords.get("allOf", ()):
            cases = self._both(cases, self._child(schema))
        for keyword, name, formula in reader.dependents():
            has = reader.has(keyword, name)
            cases = self._both(cases, self._either(has, self._below(formula), {Evaluated(): TRUE}))
        if "if" in keywords:
            condition = reader.child(keywords["if"])
            then = self._both(self._below(condition), self._child(keywords.get("then", True)))
            otherwise = self._child(keywords.get("else", True))
            cases = self._both(cases, self._either(condition, then, otherwise))
        if "anyOf" in keywords:
            cases = self._both(cases, self._any_of(keywords["anyOf"]))
        if "oneOf" in keywords:
            cases = self._both(cases, self._one_of(keywords["oneOf"]))
        if "not" in keywords:
            cases = self._both(cases, {Evaluated(): ~reader.child(keywords["not"])})
        return self._closed(cases)

    def _own(self) -> Evaluated:
        """What the schema's own keywords evaluate."""
        reader, keywords = self.reader, self.reader.keywords
        keys = TRUE if "additionalProperties" in keywords else reader.declared_keys()
        rest = reader.rest()
        items = frozenset[Formula]()
        if "contains" in keywords and reader.dialect >= Dialect.DRAFT2020:
            items = frozenset([reader.child(keywords["contains"])])
        return Evaluated(keys, None if rest is not None else len(reader.prefix()[1]), items)

    def _closed(self, cases: Cases) -> Cases:
        """The cases with the schema's own ``unevaluated...`` applied."""
        reader, logic = self.reader, self.logic
        found: Cases = {}
        for evaluated, formula in cases.items():
            if "unevaluatedProperties" in reader.keywords:
                value = reader.child(reader.keywords["unevaluatedProperties"])
                others = reader.all_members("unevaluatedProperties", ~evaluated.keys, value)
                formula = logic.all_of([formula, others])
                evaluated = Evaluated(TRUE, evaluated.num_items, evaluated.items)
            if "unevaluatedItems" in reader.keywords:
                if evaluated.num_items is not None:
                    item = reader.child(reader.keywords["unevaluatedItems"])
                    item = logic.any_of([item, *sorted(evaluated.items)])
                    rest = reader.all_items("unevaluatedItems", evaluated.num_items, item)
                    formula = logic.all_of([formula, rest])
                evaluated = Evaluated(evaluated.keys, None)
            _add(found, evaluated, formula, reader)
        return found

    def _child(self, schema: JsonSchema) -> Cases:
        return self._below(self.reader.child(schema))

    def _below(self, formula: Formula) -> Cases:
        """The cases of a subschema."""
        place = self.logic.node(formula)
        if not isinstance(place, Place):
            return {Evaluated(): formula}
        formulas = self.reader.formulas
        return Evaluation(SchemaReader(formulas, place), self.depth + 1).cases()

    def _either(self, condition: Formula, then: Cases, otherwise: Cases) -> Cases:
        """The first cases where a formula holds, else the others."""
        found: Cases = {}
        for sign, cases in ((condition, then), (~condition, otherwise)):
            for evaluated, formula in cases.items():
                _add(found, evaluated, self.logic.all_of([sign, formula]), self.reader)
        return found

    def _any_of(self, schemas: list[JsonSchema]) -> Cases:
        """Every choice of subschemas that hold, but none."""
        found: Cases = {Evaluated(): TRUE}
        for schema in schemas:
            formula = self.reader.child(schema)
            found = self._both(
                found, self._either(formula, self._child(schema), {Evaluated(): TRUE})
            )
        some = self.logic.any_of(map(self.reader.child, schemas))
        return {e: self.logic.all_of([some, f]) for e, f in found.items()}

    def _one_of(self, schemas: list[JsonSchema]) -> Cases:
        """Each subschema while the others do not hold."""
        found: Cases = {}
        formulas = list(map(self.reader.child, schemas))
        for index, schema in enumerate(schemas):
            others = [~f for j, f in enumerate(formulas) if j != index]
            for evaluated, formula in self._child(schema).items():
                _add(found, evaluated, self.logic.all_of([formula, *others]), self.reader)
        return found

    def _both(self, left: Cases, right: Cases) -> Cases:
        """Both hold; what either has evaluated is evaluated."""
        found: Cases = {}
        for one, first in left.items():
            for other, second in right.items():
                formula = self.logic.all_of([first, second])
                if formula != FALSE:
                    _add(found, self._joined(one, other), formula, self.reader)
        return found

    def _joined(self, one: Evaluated, other: Evaluated) -> Evaluated:
        counts = one.num_items, other.num_items
        return Evaluated(
            self.logic.any_of([one.keys, other.keys]),
            None if None in counts else max(_known(counts)),
            one.items | other.items,
        )


def _known(counts: Iterable[int | None]) -> list[int]:
    return [count for count in counts if count is not None]


def _add(cases: Cases, evaluated: Evaluated, formula: Formula, reader: SchemaReader) -> None:
    """Put a case with the one that evaluates the same."""
    known = cases.get(evaluated)
    cases[evaluated] = formula if known is None else reader.logic.any_of([known, formula])
    budget = reader.formulas.universe.budget
    budget.check("max_branches", len(cases), "cases of unevaluated items or properties")

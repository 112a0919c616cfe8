"""JSON Schema -> grammar, all of it: the general way beside the fast one in `from_json_schema`.

Schemas become formulas (`schema_formulas`), formulas become alternatives for each kind of values
(`schema_clauses`), and those become rules here: one for each formula that a value has to fit. Formulas of
members and items are new formulas, so that recursion ends where a formula has been met before. The method
is that of witness generation for JSON Schema (arXiv 2202.12849).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from syntagma.grammar import dfa as dfas
from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarError, GrammarLimitError
from syntagma.grammar.ir_productive import productive_rules
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.json_terminals import JsonTerminals
from syntagma.grammar.limits import Budget
from syntagma.grammar.number_automata import decimals_dfa, integers_dfa
from syntagma.grammar.number_sets import FEW, NumberSet, as_json, exact
from syntagma.grammar.schema_atoms import booleans, items_form, members_form, number_set
from syntagma.grammar.schema_clauses import Clause, Clauses
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_emptiness import Emptiness
from syntagma.grammar.schema_formulas import Formulas
from syntagma.grammar.schema_item_rules import array_node
from syntagma.grammar.schema_keys import KeySorter
from syntagma.grammar.schema_logic import Formula, Logic
from syntagma.grammar.schema_member_rules import object_node
from syntagma.grammar.schema_text import JsonSchema
from syntagma.grammar.schema_texts import Texts
from syntagma.grammar.schema_universe import NO_SCOPE, SchemaUniverse


def formulas_to_grammar(
    document: SchemaDocument,
    documents: Mapping[str, JsonSchema],
    options: JsonOptions,
    budget: Budget,
) -> ir.Grammar:
    """The grammar of the JSON texts that are valid against a document's root.

    Spelling and order are those of `json_schema_to_grammar`. Undeclared members that a schema asks for
    come last.

    Args:
        document: the schema.
        documents: further ones that references may lead into, by URI.
        options: how JSON may be spelled, and what formats and unknown keywords mean.
        budget: bounds on this compilation.

    Raises:
        GrammarError: as `GrammarCompiler.compile_json_schema`.
    """
    lowering = _Lowering(SchemaUniverse(document, documents, budget), options, budget)
    lowering.produce_all()
    return lowering.grammar


def schemas_without_instance(
    document: SchemaDocument,
    documents: Mapping[str, JsonSchema],
    options: JsonOptions,
    budget: Budget,
    schemas: Sequence[JsonSchema],
) -> list[bool]:
    """For each of some schemas of a document whether no value fits it.

    Raises:
        GrammarError: as `formulas_to_grammar`, for any of them.
    """
    lowering = _Lowering(SchemaUniverse(document, documents, budget), options, budget)
    rules = []
    for schema in schemas:
        formula = lowering.formulas.of(schema, NO_SCOPE)
        rules.append(lowering.declare("schema", functools.partial(lowering.body, formula)))
    lowering.produce_all()
    productive = productive_rules(lowering.grammar, budget)
    return [not productive[rule] for rule in rules]


class _Lowering:
    """The rules of one document."""

    def __init__(self, universe: SchemaUniverse, options: JsonOptions, budget: Budget) -> None:
        self.budget = budget
        self.options = options
        self.logic = Logic(budget)
        self.formulas = Formulas(universe, self.logic, options)
        self.clauses = Clauses(self.formulas)
        self.terminals = JsonTerminals(options, budget)
        self.texts = Texts(self.clauses, self.terminals)
        self.emptiness = Emptiness(self.clauses, self.texts)
        self.sorter = KeySorter(self.texts)
        self.grammar = ir.Grammar()
        self.nodes: dict[Formula, ir.Node] = {}
        self.bodies: dict[int, Callable[[], ir.Node]] = {}
        root = self.formulas.of(universe.root, NO_SCOPE)
        self.declare("root", functools.partial(self.body, root))

    def declare(self, name: str, body: Callable[[], ir.Node]) -> int:
        """A new rule, its body made in its turn."""
        rule = self.grammar.declare(name)
        self.bodies[rule] = body
        return rule

    def produce_all(self) -> None:
        """Define every rule, within the budget."""
        rules = self.grammar.rules
        rule = 0
        while rule < len(rules):
            self.budget.check_time()
            self.budget.check("max_rules", len(rules), "rules of the schema")
            self.grammar.define(rule, self.bodies.pop(rule)())
            rule += 1

    def value(self, formula: Formula) -> ir.Node:
        """A value that fits a formula: a call of its rule, or its body if that is short."""
        node = self.nodes.get(formula)
        if node is None:
            if any(self.clauses.of(formula, kind) for kind in ("array", "object")):
                node = ir.Call(self.declare("value", functools.partial(self.body, formula)))
            else:
                node = self.body(formula)
            self.nodes[formula] = node
        return node

    def body(self, formula: Formula) -> ir.Node:
        """The values that fit a formula, kind by kind."""
        kinds = ["null"] if self.clauses.of(formula, "null") else []
        truths = {
            value
            for clause in self.clauses.of(formula, "boolean")
            for value in booleans(clause, self.logic)
        }
        if len(truths) == 2:
            kinds.append("boolean")
        parts = self.terminals.literals(kinds)
        if len(truths) == 1:
            parts.append(self.terminals.words(truths))
        parts += [self.numbers(clause) for clause in self.clauses.of(formula, "number")]
        parts += [
            self.texts.node(self.texts.form(clause))
            for clause in self.clauses.of(formula, "string")
        ]
        parts += [
            array_node(self, items_form(clause, self.logic))
            for clause in self.clauses.of(formula, "array")
        ]
        parts += [
            object_node(self, members_form(clause, self.logic), self.sorter)
            for clause in self.clauses.of(formula, "object")
        ]
        return ir.choice(*parts)

    def numbers(self, clause: Clause) -> ir.Node:
        """The numbers of a clause.

        Raises:
            GrammarError: bounds or steps with too many digits, with the pointer of one.
        """
        try:
            return self._numbers(number_set(clause, self.logic))
        except GrammarError as error:
            if error.pointer is None:
                origins = (self.logic.origins.get(max(f, ~f)) for f in clause)
                error.pointer = next((origin[1] for origin in origins if origin), None)
            raise

    def _numbers(self, numbers: NumberSet) -> ir.Node:
        if numbers.is_everything:
            return self.terminals.number()
        is_whole = numbers.step is not None and numbers.step.denominator == 1
        is_canonical = self.options.numbers == "canonical"
        if is_canonical and is_whole and numbers.step == 1 and not numbers.holes:
            ranges = numbers.integer_ranges()
            if all(low != high or low is None for low, high in ranges):
                return ir.choice(*(self._integers(low, high) for low, high in ranges))
        # Single numbers, as `enum` lists them, are few in any case.
        most = FEW + len(numbers.intervals)
        members = numbers.members(most) if is_canonical else None
        if members is not None:
            given = self.formulas.spellings
            values = {member: given.get(member, [as_json(member)]) for member in members}
            if all(exact(value) == member for member in members for value in values[member]):
                return self.terminals.words(v for member in members for v in values[member])
        build = integers_dfa if is_canonical and is_whole else decimals_dfa
        dfa = build(numbers, self.options, self.budget)
        if dfa.is_empty and self.options.max_digits is not None:
            without_bound = replace(self.options, max_digits=None)
            if not build(numbers, without_bound, self.budget).is_empty:
                raise GrammarLimitError(
                    "all numbers that fit have more digits than "
                    f"max_digits = {self.options.max_digits}; raise it",
                    limit="max_digits",
                )
        return ir.NOTHING if dfa.is_empty else ir.Terminal(dfas.without_empty_word(dfa))

    def _integers(self, low: int | None, high: int | None) -> ir.Node:
        self.budget.check_time()
        return self.terminals.integer(low, high)

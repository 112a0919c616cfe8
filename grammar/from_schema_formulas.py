"""JSON Schema -> grammar, all of it: the general way beside the fast one in `from_json_schema`.

Schemas become formulas (`schema_formulas`), formulas become alternatives for each kind of values
(`schema_clauses`), and those become rules here: one for each formula that a value has to fit. Formulas of
members and items are new formulas, so that recursion ends where a formula has been met before. The method
is that of witness generation for JSON Schema (arXiv 2202.12849).
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarError
from syntagma.grammar.ir_productive import productive_rules
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.json_terminals import JsonTerminals
from syntagma.grammar.limits import Budget
from syntagma.grammar.schema_atoms import booleans, items_form, members_form, number_set
from syntagma.grammar.schema_clauses import Clause, Clauses
from syntagma.grammar.schema_document import SchemaDocument
from syntagma.grammar.schema_emptiness import Emptiness
from syntagma.grammar.schema_formulas import Formulas
from syntagma.grammar.schema_item_rules import array_node
from syntagma.grammar.schema_keys import KeySorter
from syntagma.grammar.schema_logic import Formula, Logic
from syntagma.grammar.schema_member_rules import object_node
from syntagma.grammar.schema_numbers import number_node
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
    universe = SchemaUniverse(document, documents, budget)
    return _rules_of([universe.root], universe, options, budget)


def _of_its_own(formula: Formula) -> None:
    """No formula is lowered elsewhere."""


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
    grammar = _rules_of(schemas, SchemaUniverse(document, documents, budget), options, budget)
    return [
        not is_productive for is_productive in productive_rules(grammar, budget)[: len(schemas)]
    ]


def _rules_of(
    schemas: Sequence[JsonSchema], universe: SchemaUniverse, options: JsonOptions, budget: Budget
) -> ir.Grammar:
    """The rules of some schemas, which come first, and of all that they need."""
    grammar = ir.Grammar()
    lowering = FormulaLowering(universe, JsonTerminals(options, budget), grammar)
    for schema in schemas:
        formula = lowering.formulas.of(schema, NO_SCOPE)
        lowering.declare("root", functools.partial(lowering.body, formula))
    for rule, body in lowering.produce_all().items():
        grammar.define(rule, body)
    return grammar


class FormulaLowering:
    """Rules of formulas.

    Args:
        universe: the schemas.
        terminals: where strings and numbers are built.
        table: where rules are declared.
        elsewhere: a value that fits a formula, if others write it; None: a rule of this lowering.
    """

    def __init__(
        self,
        universe: SchemaUniverse,
        terminals: JsonTerminals,
        table: ir.Grammar,
        elsewhere: Callable[[Formula], ir.Node | None] = _of_its_own,
    ) -> None:
        self.budget = terminals.budget
        self.logic = Logic(self.budget)
        self.formulas = Formulas(universe, self.logic, terminals.options)
        self.clauses = Clauses(self.formulas)
        self.terminals = terminals
        self.texts = Texts(self.clauses, self.terminals)
        self.emptiness = Emptiness(self.clauses, self.texts)
        self.sorter = KeySorter(self.texts)
        self.table = table
        self.elsewhere = elsewhere
        self.nodes: dict[Formula, ir.Node] = {}
        self.bodies: dict[int, Callable[[], ir.Node]] = {}

    def declare(self, name: str, body: Callable[[], ir.Node]) -> int:
        """A new rule, its body made in its turn."""
        rule = self.table.declare(name)
        self.bodies[rule] = body
        return rule

    def produce_all(self) -> dict[int, ir.Node]:
        """The bodies of all declared rules that have none, within the budget."""
        produced: dict[int, ir.Node] = {}
        while self.bodies:
            self.budget.check_time()
            self.budget.check("max_rules", len(self.table.rules), "rules of the schema")
            rule = next(iter(self.bodies))
            produced[rule] = self.bodies.pop(rule)()
        return produced

    def value(self, formula: Formula) -> ir.Node:
        """A value that fits a formula: a call of its rule, or its body if that is short."""
        node = self.nodes.get(formula) or self.elsewhere(formula)
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
            numbers = number_set(clause, self.logic)
            return number_node(numbers, self.formulas.spellings, self.terminals)
        except GrammarError as error:
            if error.pointer is None:
                origins = (self.logic.origins.get(max(f, ~f)) for f in clause)
                error.pointer = next((origin[1] for origin in origins if origin), None)
            raise

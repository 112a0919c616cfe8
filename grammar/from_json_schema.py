"""JSON Schema -> grammar.

Every goal (a set of schemas that one value must satisfy) becomes a rule: a choice over the goal's
branches and, within a branch, over JSON types. Goals of properties and items are new goals, so that
recursion ends where a goal has been met before. The constraints of a branch are merged per type in
`schema_forms`; here they become rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from syntagma.grammar import ir
from syntagma.grammar.errors import GrammarError
from syntagma.grammar.json_options import JsonOptions
from syntagma.grammar.json_terminals import JsonTerminals, StringBounds
from syntagma.grammar.limits import Budget
from syntagma.grammar.regex_parser import parse_regex
from syntagma.grammar.schema_conjunction import Branch, Goal, branches_of, normal_goal
from syntagma.grammar.schema_document import Located, SchemaDocument
from syntagma.grammar.schema_forms import (
    ArrayForm,
    ObjectForm,
    allowed_types,
    array_form,
    asked,
    integer_bounds,
    listed_values,
    object_form,
    refuse_number_bounds,
    string_bounds,
)


def json_schema_to_grammar(
    document: SchemaDocument, options: JsonOptions, budget: Budget
) -> ir.Grammar:
    """The grammar of the JSON texts that are valid against a document's root.

    Properties come in the order of the schema, undeclared ones behind them. Keys and the strings of
    ``enum`` and ``const`` are spelled as `json.dumps` does, with or without ``ensure_ascii``; all
    other strings may use any escape.

    Raises:
        GrammarError: as `GrammarCompiler.compile_json_schema`.
    """
    return _Lowering(document, options, budget).run()


class _Lowering:
    """One pass over a document; goals wait in a list, so depth costs no stack."""

    def __init__(self, document: SchemaDocument, options: JsonOptions, budget: Budget) -> None:
        self.document = document
        self.budget = budget
        self.terminals = JsonTerminals(options, budget)
        self.grammar = ir.Grammar()
        self.rule_of_goal: dict[Goal, int] = {}
        self.waiting: list[Goal] = []

    def run(self) -> ir.Grammar:
        self.value([self.document.root])
        while self.waiting:
            self.budget.check_time()
            self.budget.check("max_rules", len(self.grammar.rules), "rules of the schema")
            goal = self.waiting.pop()
            branches = branches_of(goal, self.document, self.budget)
            body = ir.choice(*(self.branch(branch) for branch in branches))
            self.grammar.define(self.rule_of_goal[goal], body)
        return self.grammar

    def value(self, schemas: Iterable[Located]) -> ir.Node:
        """A value that satisfies all the schemas."""
        goal = normal_goal(list(schemas), self.document)
        rule = self.rule_of_goal.get(goal)
        if rule is None:
            name = " & ".join(f"#{at.pointer}" for at in goal) or "any value"
            rule = self.rule_of_goal[goal] = self.grammar.declare(name)
            self.waiting.append(goal)
        return ir.Call(rule)

    def branch(self, branch: Branch) -> ir.Node:
        """The values of one branch, type by type."""
        values = listed_values(branch, self.document)
        if values is not None:
            what, where = "values of an enum", branch[0].pointer
            self.budget.check("max_enum_values", len(values), what, pointer=where)
            return self.listed(values)
        types = allowed_types(branch)
        refuse_number_bounds(branch, types)
        parts: list[ir.Node] = []
        if "null" in types:
            parts.append(self.terminals.words([None]))
        if "boolean" in types:
            parts.append(self.terminals.words([True, False]))
        if "number" in types:
            parts.append(self.terminals.number())
        elif "integer" in types:
            parts.append(self.terminals.integer(*integer_bounds(branch)))
        if "string" in types:
            parts.append(self.string(branch))
        if "array" in types:
            parts.append(self.array(array_form(branch)))
        if "object" in types:
            parts.append(self.object(object_form(branch)))
        return ir.choice(*parts)

    def string(self, branch: Branch) -> ir.Node:
        """A string; what is wrong with a pattern is reported where the pattern stands."""
        for at, pattern in asked(branch, "pattern"):
            try:
                parse_regex(pattern, self.budget)
            except GrammarError as error:
                error.pointer = f"{at.pointer}/pattern"
                raise
        return self.terminals.string(string_bounds(branch))

    def listed(self, values: list[Any]) -> ir.Node:
        """Any of some given values."""
        scalars = [v for v in values if not isinstance(v, list | dict)]
        nested = [self.constant(v) for v in values if isinstance(v, list | dict)]
        return ir.choice(self.terminals.words(scalars), *nested)

    def constant(self, value: Any) -> ir.Node:
        """One given value; its nesting is bounded by the document's."""
        if isinstance(value, list):
            return self.bracketed("[", [self.constant(v) for v in value], "]")
        if isinstance(value, dict):
            members = [self.member(self.terminals.words([k]), self.constant(v))
                       for k, v in value.items()]  # fmt: skip
            return self.bracketed("{", members, "}")
        return self.terminals.words([value])

    def bracketed(self, opening: str, members: Sequence[ir.Node], closing: str) -> ir.Node:
        """Given members between brackets."""
        space, parts = self.terminals.whitespace, [self.terminals.punctuation(opening)]
        for index, member in enumerate(members):
            parts += [space, member] if index == 0 else [self.terminals.comma, space, member]
        return ir.sequence(*parts, space, self.terminals.punctuation(closing))

    def member(self, key: ir.Node, value: ir.Node) -> ir.Node:
        """``key: value``."""
        return ir.sequence(key, self.terminals.colon, self.terminals.whitespace, value)

    def array(self, form: ArrayForm) -> ir.Node:
        """``[`` items ``]``: the prefix one by one, the rest counted."""
        space = self.terminals.whitespace
        parts: list[ir.Node] = []
        if form.min_items == 0:
            parts.append(space)
        if form.max_items is None or form.max_items >= max(1, form.min_items):
            parts.append(ir.sequence(space, self.items(form), space))
        return ir.sequence(
            self.terminals.punctuation("["), ir.choice(*parts), self.terminals.punctuation("]")
        )

    def items(self, form: ArrayForm) -> ir.Node:
        """One or more items, separated by commas."""
        count = len(form.prefix)
        separator = ir.sequence(self.terminals.comma, self.terminals.whitespace)
        low = max(0, form.min_items - count)
        high = None if form.max_items is None else form.max_items - count
        # Built from the back: `after` is what may follow the items read so far.
        after: ir.Node = ir.EMPTY
        if high is None or high > 0:
            rest = self.value(form.rest)
            if count == 0:
                more = ir.Repeat(
                    ir.sequence(separator, rest),
                    max(0, low - 1),
                    None if high is None else high - 1,
                )
                return ir.sequence(rest, more)
            after = ir.Repeat(ir.sequence(separator, rest), low, high)
        elif low > 0:
            return ir.NOTHING
        last = count if form.max_items is None else min(count, form.max_items)
        for index in range(last - 1, -1, -1):
            item = self.value(form.prefix[index])
            step = ir.sequence(item if index == 0 else ir.sequence(separator, item), after)
            after = step if index < max(1, form.min_items) else ir.optional(step)
        return after

    def object(self, form: ObjectForm) -> ir.Node:
        """``{`` members ``}``; see `members` for their order."""
        space = self.terminals.whitespace
        first = self.members(form)
        filled = ir.sequence(space, ir.Call(first), space)
        may_be_empty = not any(form.required)
        inner = ir.choice(filled, space) if may_be_empty else filled
        return ir.sequence(self.terminals.punctuation("{"), inner, self.terminals.punctuation("}"))

    def members(self, form: ObjectForm) -> int:
        """The rule of one or more members, in the order of the schema.

        Two rules for each property, both entered before it: one if no member has been written yet,
        one if a comma is due. All calls between them are tail calls and need no stack.
        """
        grammar = self.grammar
        first = grammar.add("undeclared members", ir.NOTHING)
        later = grammar.declare("more undeclared members")
        if form.additional is None:
            grammar.define(later, ir.EMPTY)
        else:
            key = self.undeclared_key(form.declared)
            member = ir.sequence(self.member(key, self.value(form.additional)), ir.Call(later))
            grammar.define(first, member)
            grammar.define(later, ir.choice(self.after_comma(ir.Call(first)), ir.EMPTY))
        for name, schemas, is_required in zip(
            reversed(form.names), reversed(form.schemas), reversed(form.required), strict=True
        ):
            value = self.member(self.terminals.words([name]), self.value(schemas))
            present = grammar.add(f"member {name!r}", ir.sequence(value, ir.Call(later)))
            here, due = ir.Call(present), self.after_comma(ir.Call(present))
            if is_required:
                first, later = present, grammar.add(f"after comma, {name!r}", due)
            else:
                first = grammar.add(f"from {name!r}", ir.choice(here, ir.Call(first)))
                later = grammar.add(f"on from {name!r}", ir.choice(due, ir.Call(later)))
        return first

    def after_comma(self, member: ir.Node) -> ir.Node:
        return ir.sequence(self.terminals.comma, self.terminals.whitespace, member)

    def undeclared_key(self, names: Sequence[str]) -> ir.Node:
        if not names:
            return self.terminals.string(StringBounds())
        return self.terminals.string_other_than(names)
